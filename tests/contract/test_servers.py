"""The contract does not depend on the server that speaks HTTP: hypercorn keeps it too."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from quart_fleet.conventions import PREFIX
from quart_fleet.database._engine import Database
from scaffold.api.row import JSON, Row, to_bytes
from scaffold.api.table import ENDPOINT_NOT_FOUND, GRACE, USER_NOT_FOUND

from .row import CONTRACT, find_deviation
from .service import RunningService, running
from .wire import exchange, spell, spell_chunked

# What servers read for themselves before an application sees it.
PATHS = {
    "/users/%31": 200,
    "/users%2F1": 200,
    "/users/%D9%A1": ENDPOINT_NOT_FOUND,
    "/users/1%00": ENDPOINT_NOT_FOUND,
    "/users/" + "9" * 5000: USER_NOT_FOUND,
    "/users/username/%00": USER_NOT_FOUND,
    "/users/username/%FF": USER_NOT_FOUND,
    "/users/username/%": USER_NOT_FOUND,
    "/users/username/%zz": USER_NOT_FOUND,
    "/users/username/%u00e9": USER_NOT_FOUND,
    "/users/username/a%2Fb": ENDPOINT_NOT_FOUND,
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def hypercorn(
    workspace: Path, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningService]:
    log = tmp_path_factory.mktemp("hypercorn") / "log"
    options = ("--server", "hypercorn")
    async with running(workspace, database_url, log, options=options) as service:
        yield service
    assert service.find_in_log("ERROR") is None, log.read_text()


@pytest.mark.parametrize("row", CONTRACT.rows, ids=str)
async def test_hypercorn_keeps_the_table(
    row: Row, hypercorn: RunningService, people: Database
) -> None:
    assert await find_deviation(row, hypercorn.port) is None


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path[:24])
async def test_hypercorn_reads_a_path_as_the_contract_does(
    path: str, hypercorn: RunningService, people: Database
) -> None:
    answer = await exchange(hypercorn.port, spell("GET", PREFIX + path))

    expected = PATHS[path]
    assert expected == answer.status or to_bytes(expected) == answer.body


@pytest.mark.parametrize(("body", "status"), [(GRACE, 201), (b"", 400), (b"x" * 2**21, 413)],
                         ids=["whole", "empty", "too-large"])  # fmt: skip
async def test_hypercorn_reads_chunks(
    body: bytes, status: int, hypercorn: RunningService, people: Database
) -> None:
    request = spell_chunked("POST", f"{PREFIX}/users", JSON, body, size=2**15)

    answer = await exchange(hypercorn.port, request)

    assert answer.status == status
