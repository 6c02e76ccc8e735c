"""Every row of the contract's table, by bytes."""

import pytest

from .row import Row, find_deviation
from .table import TABLE

ROWS = [row for rows in TABLE.values() for row in rows]


@pytest.mark.parametrize("row", ROWS, ids=str)
async def test_the_service_keeps_the_table(row: Row, port: int) -> None:
    assert await find_deviation(row, port) is None
