"""Statements: types, defaults and parameters, on a real PostgreSQL."""

import enum
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID, uuid4

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
    delete,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql import ClauseElement

from quart_fleet.database._engine import Database
from quart_fleet.database._statement import Effect, Statement
from quart_fleet.database._transaction import Transaction, arguments_of


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


async def test_every_type_is_read_as_it_was_written(transaction: Transaction) -> None:
    row = await transaction.fetch_first(ADD, VALUES)

    assert row is not None
    assert {name: row[name] for name in VALUES} == VALUES


async def test_every_type_may_be_null(transaction: Transaction) -> None:
    nothing = {**dict.fromkeys(VALUES), "id": 1}

    row = await transaction.fetch_first(ADD, nothing)

    assert row is not None
    assert {name: row[name] for name in VALUES} == nothing


async def test_values_written_into_a_statement_are_its_defaults(transaction: Transaction) -> None:
    for number in (1, 2, 3):
        await transaction.fetch_first(ADD, {**VALUES, "id": number})
    first_two = Statement(select(SAMPLES.c.id).order_by(SAMPLES.c.id).limit(2))

    rows = await transaction.fetch(first_two, {})

    assert [row["id"] for row in rows] == [1, 2]


async def test_a_list_of_values_is_one_array(transaction: Transaction) -> None:
    for number in (1, 2, 3):
        await transaction.fetch_first(ADD, {**VALUES, "id": number})
    ids = bindparam("ids", type_=ARRAY(BigInteger))
    count = Statement(select(func.count().label("found")).where(SAMPLES.c.id == any_(ids)))

    row = await transaction.fetch_first(count, {"ids": [1, 3, 5]})

    assert row is not None
    assert row["found"] == 2


def test_a_list_of_varying_length_is_refused_when_the_statement_is_made() -> None:
    with pytest.raises(ValueError, match="any_"):
        Statement(select(SAMPLES).where(SAMPLES.c.id.in_([1, 2])))


@pytest.mark.parametrize("missing", VALUES)
def test_a_missing_parameter_is_named_with_its_statement(missing: str) -> None:
    """Enumerations and JSON are among the columns: their conversion must not hide it."""
    values = {name: value for name, value in VALUES.items() if name != missing}

    with pytest.raises(KeyError, match=f"'{missing}' is given to: INSERT INTO samples"):
        arguments_of(ADD, values)


async def test_copy_converts_every_type(transaction: Transaction) -> None:
    rows = [{**VALUES, "id": number} for number in (1, 2)]

    assert await transaction.copy(SAMPLES, rows) == 2

    stored = await transaction.fetch(Statement(select(SAMPLES).order_by(SAMPLES.c.id)))
    assert [{name: row[name] for name in VALUES} for row in stored] == rows


async def test_a_session_reads_and_writes_json_beside_statements(transaction: Transaction) -> None:
    await transaction.execute(ADD, VALUES)
    async with transaction.session() as session:
        document = await session.scalar(select(SAMPLES.c.document))
        await session.execute(SAMPLES.update().values(indexed={"b": ["é"]}))
        row = await transaction.fetch_first(Statement(select(SAMPLES)))

    assert document == VALUES["document"]
    assert row is not None
    assert (row["document"], row["indexed"]) == (VALUES["document"], {"b": ["é"]})


STAMPED = Table(
    "stamped",
    MetaData(),
    Column("id", BigInteger, primary_key=True),
    Column("token", Uuid, default=uuid4, onupdate=uuid4),
    Column("kind", String, default="plain", onupdate="changed"),
)


def test_defaults_of_columns_are_made_for_each_execution() -> None:
    add = Statement(insert(STAMPED).values(id=bindparam("number")))
    change = Statement(update(STAMPED).where(STAMPED.c.id == bindparam("number")).values(id=2))

    first, second = arguments_of(add, {"number": 1}), arguments_of(add, {"number": 1})
    changed = arguments_of(change, {"number": 1})

    assert isinstance(first[1], UUID)
    assert first[1] != second[1]
    assert first[0::2] == [1, "plain"]
    assert "changed" in changed
    assert any(isinstance(value, UUID) for value in changed)


@pytest.mark.parametrize(
    ("element", "effect"),
    [
        (select(SAMPLES), Effect.READ),
        (select(SAMPLES).where(text("id = 1")), Effect.READ),
        (select(SAMPLES.c.id).union(select(SAMPLES.c.id)), Effect.READ),
        (select(SAMPLES).with_for_update(), Effect.LOCK),
        (select(select(SAMPLES).with_for_update(read=True).subquery()), Effect.LOCK),
        (insert(SAMPLES), Effect.WRITE),
        (select(delete(SAMPLES).returning(SAMPLES.c.id).cte()), Effect.WRITE),
        (select(SAMPLES).add_cte(insert(SAMPLES).cte()), Effect.WRITE),
        (text("SELECT 1"), Effect.WRITE),
        (text("SELECT 1 AS id").columns(SAMPLES.c.id), Effect.WRITE),
    ],
)
def test_the_effect_of_a_statement_is_known(element: ClauseElement, effect: Effect) -> None:
    assert Statement(element).effect is effect
