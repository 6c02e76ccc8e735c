"""The contract does not depend on what else a process serves: beside another service it is kept too."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from quart_fleet.database._engine import Database
from scaffold.api.row import Row
from tests.ports import reserve_port

from .row import CONTRACT, find_deviation
from .service import RunningService, running
from .wire import exchange, spell
from .workspace import add_service

OTHER = "other-service"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def together(
    workspace: Path, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[RunningService, int]]:
    """The service, and the port of another one in its process."""
    folder, port = tmp_path_factory.mktemp("together"), reserve_port()
    fleet = add_service(workspace, folder / "fleet", OTHER, port)
    log = folder / "log"
    async with running(fleet, database_url, log, beside=True) as service:
        yield service, port
    assert service.find_in_log("ERROR") is None, log.read_text()


@pytest.mark.parametrize("row", CONTRACT.rows, ids=str)
async def test_a_service_keeps_the_table_beside_another(
    row: Row, together: tuple[RunningService, int], people: Database
) -> None:
    service, _ = together

    assert await find_deviation(row, service.port) is None


async def test_the_other_one_answers_as_itself(
    together: tuple[RunningService, int], people: Database
) -> None:
    service, other = together

    welcomes = [await exchange(port, spell("GET", "/api/v1/")) for port in (service.port, other)]

    names = [json.loads(each.body)["data"]["message"].split()[-1] for each in welcomes]
    assert names == ["user-service", OTHER]
