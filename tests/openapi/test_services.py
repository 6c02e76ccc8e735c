"""Every service of the domains, held to its document by Schemathesis: all checks, links followed."""

import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from quart_fleet.testing import NewDatabase
from tests.requirement import get_program
from tests.workspace import GeneratedWorkspace, all_booted

pytestmark = pytest.mark.slow

DOMAINS = Path(__file__).parents[1] / "domains"
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")


@pytest_asyncio.fixture(
    scope="module", loop_scope="session", params=["clinic", "forum", "ledger", "school", "shop"]
)
async def served(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    new_database: NewDatabase,
) -> AsyncIterator[tuple[GeneratedWorkspace, str]]:
    """A workspace of a domain, and the URL of its database."""
    workspace = GeneratedWorkspace.make(tmp_path_factory.mktemp(request.param) / "fleet")
    shutil.copy(DOMAINS / request.param / "fleet.toml", workspace.root)
    workspace.python("-m", "scaffold", "apply")
    async with new_database() as url:
        workspace.python("-m", "db_manager", "migrate", DATABASE_URL=url)
        yield workspace, url


def test_nothing_is_found(served: tuple[GeneratedWorkspace, str], tmp_path: Path) -> None:
    workspace, url = served
    shutil.copy(CONFIGURATION, tmp_path)
    program = get_program("schemathesis")
    count, seed = os.environ.get("EXAMPLES", "15"), os.environ.get("SEED", "1")
    with all_booted(workspace, url) as addresses:
        for address in addresses.values():
            found = subprocess.run(
                [program, "run", f"{address}/openapi.json", "-n", count, "--seed", seed],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
            )
            assert found.returncode == 0, found.stdout
            assert "No issues found" in found.stdout
