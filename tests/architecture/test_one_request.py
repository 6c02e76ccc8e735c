"""One request is readable: it passes few files, each entered for a reason."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from quart_fleet.testing import NewDatabase
from tests.architecture.generated import DamageableWorkspace
from tests.workspace import FRAMEWORK

MOST_FILES = 14
MOST_MOVES = 30
"""Only ever lowered."""

Moves = list[tuple[str, str]]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def moves(
    workspace: DamageableWorkspace, new_database: NewDatabase
) -> AsyncIterator[dict[str, Moves]]:
    """By method, from which file to which the request goes, in order."""
    root = workspace.root
    folders = [FRAMEWORK / "quart_fleet", root / "quart_fleet", root / "shared", root / "services"]
    async with new_database() as url:
        settings = {"DATABASE_URL": url, "SECRET_KEY": "a secret of the tests"}
        workspace.python("-m", "db_manager", "migrate", **settings)
        tracer = Path(__file__).with_name("tracer.py")
        yield json.loads(workspace.python(str(tracer), *map(str, folders), **settings))


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_a_request_passes_few_files_in_few_moves(method: str, moves: dict[str, Moves]) -> None:
    steps = [tuple(move) for move in moves[method]]
    files = sorted({target for _, target in steps})

    assert len(files) <= MOST_FILES, "\n".join(files)
    assert len(steps) <= MOST_MOVES, "\n".join(f"{origin} -> {target}" for origin, target in steps)
