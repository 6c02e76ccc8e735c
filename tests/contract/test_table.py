"""Every row of the contract's table, and the life of users, by bytes."""

import asyncio

import pytest

from quart_fleet.database._engine import Database
from scaffold.api.row import Records, Row

from .people import make_records
from .row import CONTRACT, find_deviation


@pytest.mark.parametrize("row", CONTRACT.rows, ids=str)
async def test_the_service_keeps_the_table(row: Row, port: int) -> None:
    assert await find_deviation(row, port) is None


async def test_the_service_keeps_the_life_of_users(port: int, people: Database) -> None:
    async with people.connect() as connection:
        await connection.execute("DELETE FROM users")
    records = Records()

    for row in (*CONTRACT.life, *CONTRACT.arrival):
        await asyncio.sleep(row.delay)
        assert await find_deviation(row, port, records) is None, row.title


async def test_the_stored_people_are_those_that_arrive(port: int, people: Database) -> None:
    stored = make_records().by_name
    async with people.connect() as connection:
        await connection.execute("DELETE FROM users")
    records = Records()

    for row in CONTRACT.arrival:
        assert await find_deviation(row, port, records) is None, row.title

    chosen = ("id", "created_at", "updated_at")
    for name, record in records.by_name.items():
        assert {**record, **{key: stored[name][key] for key in chosen}} == stored[name]


def test_every_row_has_a_title_of_its_own() -> None:
    titles = [row.title for row in CONTRACT.rows]

    assert len(set(titles)) == len(titles)
