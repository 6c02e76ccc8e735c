"""Statements that SQLAlchemy writes and asyncpg runs, on a real PostgreSQL."""

import enum
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Enum,
    Float,
    Interval,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    Uuid,
    any_,
    bindparam,
    func,
    insert,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB

from quart_fleet.database._engine import Database
from quart_fleet.database._statement import Statement
from quart_fleet.database._transaction import Transaction


class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"


SAMPLES = Table(
    "samples",
    MetaData(),
    Column("id", BigInteger, primary_key=True),
    Column("colour", Enum(Colour, native_enum=False)),
    Column("document", JSON),
    Column("indexed", JSONB),
    Column("price", Numeric(10, 2)),
    Column("weight", Float),
    Column("token", Uuid),
    Column("blob", LargeBinary),
    Column("day", Date),
    Column("moment", DateTime(timezone=True)),
    Column("lasting", Interval),
    Column("tags", ARRAY(String)),
    Column("open", Boolean),
)
VALUES: dict[str, object] = {
    "id": 1,
    "colour": Colour.BLUE,
    "document": {"a": [1, None, "é"]},
    "indexed": [True],
    "price": Decimal("12.50"),
    "weight": 0.5,
    "token": UUID(int=7),
    "blob": b"\x00\xff",
    "day": date(2026, 11, 23),
    "moment": datetime(2026, 11, 23, 9, 24, tzinfo=UTC),
    "lasting": datetime(2026, 1, 2, tzinfo=UTC) - datetime(2026, 1, 1, tzinfo=UTC),
    "tags": ["x", "y"],
    "open": True,
}
ADD = Statement(
    insert(SAMPLES).values({name: bindparam(name) for name in VALUES}).returning(*SAMPLES.c)
)


@pytest.fixture
async def transaction(database: Database) -> AsyncIterator[Transaction]:
    async with database.connect() as connection:
        await connection.execute(_create_table())
    async with Transaction(database) as transaction:
        yield transaction
    async with database.connect() as connection:
        await connection.execute("DROP TABLE samples")


def _create_table() -> str:
    from sqlalchemy.dialects.postgresql.asyncpg import dialect  # noqa: PLC0415
    from sqlalchemy.schema import CreateTable  # noqa: PLC0415

    return str(CreateTable(SAMPLES).compile(dialect=dialect()))  # type: ignore[no-untyped-call]


async def test_every_type_survives_the_way_there_and_back(transaction: Transaction) -> None:
    row = await transaction.write(ADD, VALUES)

    assert row is not None
    assert {name: row[name] for name in VALUES} == VALUES


async def test_every_type_may_be_null(transaction: Transaction) -> None:
    nothing = {**dict.fromkeys(VALUES), "id": 1}

    row = await transaction.write(ADD, nothing)

    assert row is not None
    assert {name: row[name] for name in VALUES} == nothing


async def test_values_written_into_a_statement_are_its_defaults(transaction: Transaction) -> None:
    for number in (1, 2, 3):
        await transaction.write(ADD, {**VALUES, "id": number})
    first_two = Statement(select(SAMPLES.c.id).order_by(SAMPLES.c.id).limit(2))

    rows = await transaction.fetch(first_two, {})

    assert [row["id"] for row in rows] == [1, 2]


async def test_a_list_of_values_is_one_array(transaction: Transaction) -> None:
    for number in (1, 2, 3):
        await transaction.write(ADD, {**VALUES, "id": number})
    ids = bindparam("ids", type_=ARRAY(BigInteger))
    count = Statement(select(func.count().label("found")).where(SAMPLES.c.id == any_(ids)))

    row = await transaction.fetch_first(count, {"ids": [1, 3, 5]})

    assert row is not None
    assert row["found"] == 2


def test_a_list_of_varying_length_is_refused_when_the_statement_is_made() -> None:
    with pytest.raises(ValueError, match="any_"):
        Statement(select(SAMPLES).where(SAMPLES.c.id.in_([1, 2])))


def test_a_missing_parameter_is_refused_rather_than_null() -> None:
    with pytest.raises(KeyError, match="colour"):
        ADD.arguments({"id": 1})
