"""The suite can fail: a defect in any row of the contract turns that row's checks red."""

from pathlib import Path

import pytest

from quart_fleet.database._engine import Database
from scaffold.api.row import Row

from .defects import DEFECTS, Defect
from .people import move_in
from .row import CONTRACT, find_deviation
from .service import running
from .workspace import copy

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("defect", DEFECTS, ids=str)
async def test_a_defect_turns_its_row_red(
    defect: Defect, workspace: Path, database: Database, database_url: str, tmp_path: Path
) -> None:
    damaged = copy(workspace, tmp_path / "workspace")
    defect.plant(damaged)

    settings = {"KEEP_ALIVE_TIMEOUT": "1"}  # a connection that is wrongly kept open is waited for
    async with running(damaged, database_url, tmp_path / "log", settings) as service:
        deviation = await _find_first_deviation(
            CONTRACT.table[defect.route], service.port, database
        )

    assert deviation is not None, f"not found: {defect.flaw}"


@pytest.mark.parametrize("route", CONTRACT.table)
async def test_without_a_defect_every_row_is_green(
    route: str, port: int, database: Database
) -> None:
    assert await _find_first_deviation(CONTRACT.table[route], port, database) is None


def test_every_row_of_the_table_has_a_defect() -> None:
    assert {defect.route for defect in DEFECTS} == set(CONTRACT.table)


async def _find_first_deviation(rows: tuple[Row, ...], port: int, database: Database) -> str | None:
    for row in rows:
        await move_in(database)
        deviation = await find_deviation(row, port)
        if deviation is not None:
            return f"{row.title}: {deviation}"
    return None
