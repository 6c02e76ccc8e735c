"""The base of the repositories: refusals, ids and columns of every kind, on a real PostgreSQL."""

import asyncio
import enum
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import cast
from uuid import UUID, uuid4

import pytest
from sqlalchemy import (
    Column,
    Computed,
    Enum,
    Identity,
    Integer,
    String,
    Table,
    Text,
    Uuid,
    bindparam,
    select,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.schema import CreateTable

from quart_fleet.database import (
    Database,
    Row,
    SQLAlchemyRepository,
    Transaction,
    page_of,
)
from quart_fleet.database._transaction import AutocommitTransaction
from quart_fleet.errors import AlreadyExistsError, NotFoundError
from shared.models.user import UserModel


@dataclass
class Person:
    username: str
    email: str
    age: int | None = None
    id: int | None = None


class People(SQLAlchemyRepository[Person, UserModel]):
    """Users; the repository names one of the two unique fields."""

    model = UserModel
    resource = "Person"
    unique_fields = ("username",)

    def _to_entity(self, row: Row) -> Person:
        return Person(row["username"], row["email"], row["age"], row["id"])

    def _to_row(self, entity: Person) -> dict[str, object]:
        empty = dict.fromkeys(("first_name", "last_name"))
        values = {"username": entity.username, "email": entity.email, "age": entity.age}
        return {**empty, **values, "is_active": True}


@pytest.fixture
async def people(database: Database) -> AsyncIterator[People]:
    async with Transaction(database) as transaction:
        yield People(transaction)


async def test_a_taken_unique_field_is_refused_by_name(
    people: People,
) -> None:
    await people.add(Person("ada", "ada@example.com"))

    with pytest.raises(AlreadyExistsError, match="Username already exists"):
        await people.add(Person("ada", "other@example.com"))


async def test_a_taken_unique_field_that_the_repository_does_not_name_is_refused_by_its_column(
    people: People,
) -> None:
    await people.add(Person("ada", "ada@example.com"))

    with pytest.raises(AlreadyExistsError, match="Email already exists"):
        await people.add(Person("grace", "ada@example.com"))


async def test_a_column_without_value_or_default_is_named(database: Database) -> None:
    class Incomplete(People):
        def _to_row(self, entity: Person) -> dict[str, object]:
            return {"username": entity.username, "email": entity.email}

    async with Transaction(database) as transaction:
        with pytest.raises(KeyError, match="first_name"):
            await Incomplete(transaction).add(Person("ada", "ada@example.com"))


async def test_of_many_additions_at_once_one_is_kept(database: Database) -> None:
    async def register(number: int) -> Person:
        async with AutocommitTransaction(database) as work:
            return await People(work).add(Person("ada", f"{number}@example.com"))

    outcomes = await asyncio.gather(*map(register, range(20)), return_exceptions=True)

    refusals = [outcome for outcome in outcomes if isinstance(outcome, AlreadyExistsError)]
    assert {str(refusal) for refusal in refusals} == {"Username already exists"}
    assert len(refusals) == 19
    async with Transaction(database) as work:
        assert len(await People(work).list_page(0, 100)) == 1


async def test_an_addition_is_kept_when_the_row_in_its_way_has_gone(
    database: Database,
) -> None:
    class Late(People):
        """Looks for the row in the way after it was deleted."""

        async def _find_by(self, field: str, value: object) -> Person | None:
            async with AutocommitTransaction(database) as other:
                with suppress(NotFoundError):  # deleted before the first field was looked up
                    await People(other).delete(ada.id or 0)
            return await super()._find_by(field, value)

    async with AutocommitTransaction(database) as work:
        ada = await People(work).add(Person("ada", "ada@example.com"))

    async with AutocommitTransaction(database) as work:
        other = await Late(work).add(Person("ada", "other@example.com"))

    async with Transaction(database) as reading:
        assert await People(reading).list_page(0, 100) == [other]


@pytest.mark.parametrize(
    "record_id", [2**63, -(2**63), -(2**63) - 1, 10**100, -(10**100), 0, -1, 7]
)
async def test_an_id_that_no_row_has_is_not_found(record_id: int, people: People) -> None:
    await people.add(Person("ada", "ada@example.com"))

    for attempt in (
        people.get(record_id),
        people.get_for_update(record_id),
        people.update(Person("grace", "grace@example.com", id=record_id)),
        people.delete(record_id),
    ):
        with pytest.raises(NotFoundError, match="Person not found"):
            await attempt


async def test_an_entity_without_an_id_is_not_found_by_update(people: People) -> None:
    with pytest.raises(NotFoundError):
        await people.update(Person("ada", "ada@example.com"))


async def test_a_negative_id_of_a_row_is_found(database: Database, people: People) -> None:
    async with database.connect() as connection:
        await connection.execute(
            "INSERT INTO users (id, username, email) OVERRIDING SYSTEM VALUE VALUES (-1, 'a', 'a')"
        )

    assert (await people.get(-1)).username == "a"


DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]  # has no annotation


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


class Base(DeclarativeBase):
    """Tables of these tests alone."""


class CrateModel(Base):
    """Columns of every kind that the database or SQLAlchemy fills, and of unlucky names."""

    __tablename__ = "crates"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)  # a SERIAL, of four bytes
    record_id: Mapped[int] = mapped_column(Integer)
    after: Mapped[str] = mapped_column(String(10))
    limit: Mapped[int] = mapped_column(Integer)
    param_1: Mapped[int] = mapped_column(Integer, server_default="7")
    doubled: Mapped[int] = mapped_column(Integer, Computed("record_id * 2", persisted=True))
    number: Mapped[int] = mapped_column(Integer, Identity(always=True, start=100))
    place: Mapped[int] = mapped_column(Integer, Identity(start=200))
    size: Mapped[Size] = mapped_column(Enum(Size, native_enum=False), default=Size.LARGE)
    labels: Mapped[list[str]] = mapped_column(JSONB, default=list)
    token: Mapped[UUID] = mapped_column(Uuid, default=uuid4)
    state: Mapped[str] = mapped_column(String(10), server_default="new", onupdate=lambda: "changed")
    note: Mapped[str | None] = mapped_column(String(20))


@dataclass
class Crate:
    values: dict[str, object]
    id: int | None = None


class Crates(SQLAlchemyRepository[Crate, CrateModel]):
    """Stores those columns that a crate has values for."""

    model = CrateModel
    resource = "Crate"

    def _to_entity(self, row: Row) -> Crate:
        values = {column.name: row[column.name] for column in CrateModel.__table__.c}
        return Crate(values, values.pop("id"))

    def _to_row(self, entity: Crate) -> dict[str, object]:
        return entity.values


@pytest.fixture
async def crates(database: Database) -> AsyncIterator[Crates]:
    table = cast("Table", CrateModel.__table__)
    async with database.connect() as connection:
        await connection.execute(str(CreateTable(table).compile(dialect=DIALECT)))
    async with Transaction(database) as transaction:
        yield Crates(transaction)
    async with database.connect() as connection:
        await connection.execute("DROP TABLE crates")


NEEDED: dict[str, object] = {"record_id": 21, "after": "b", "limit": 3, "note": None}


async def test_columns_that_are_left_out_come_back_from_the_database(crates: Crates) -> None:
    first = await crates.add(Crate(NEEDED))
    second = await crates.add(Crate(NEEDED))

    filled = {"param_1": 7, "doubled": 42, "size": Size.LARGE, "labels": [], "state": "new"}
    assert first.values == {
        **NEEDED, **filled, "number": 100, "place": 200, "token": first.values["token"]
    }  # fmt: skip
    assert (second.id, second.values["number"], second.values["place"]) == (2, 101, 201)
    assert isinstance(first.values["token"], UUID)
    assert first.values["token"] != second.values["token"]


async def test_an_update_leaves_columns_that_are_left_out_as_they_are(crates: Crates) -> None:
    added = await crates.add(Crate({**NEEDED, "param_1": 8, "size": Size.SMALL, "labels": ["x"]}))

    changed = await crates.update(Crate({**NEEDED, "record_id": 5}, added.id))

    assert changed.values == {**added.values, "record_id": 5, "doubled": 10, "state": "changed"}
    assert await crates.get(added.id or 0) == changed


async def test_a_whole_row_can_be_stored_again_with_its_generated_columns(crates: Crates) -> None:
    added = await crates.add(Crate(NEEDED))
    given = {**added.values, "note": "again", "doubled": 1, "number": 1, "place": 9, "id": 77}

    changed = await crates.update(Crate(given, added.id))
    other = await crates.add(Crate({**given, "id": 50}))

    assert changed.id == added.id
    assert changed.values == {**added.values, "note": "again", "place": 9}
    assert (other.id, other.values["doubled"], other.values["number"]) == (50, 42, 101)


async def test_an_id_wider_than_its_column_is_not_found(crates: Crates) -> None:
    with pytest.raises(NotFoundError):
        await crates.get(2**31)


async def test_a_column_that_the_table_lacks_is_named(crates: Crates) -> None:
    with pytest.raises(KeyError, match="crates has no column 'notes'"):
        await crates.add(Crate({**NEEDED, "notes": "?"}))


async def test_pages_of_a_table_with_columns_of_the_parameters_names(crates: Crates) -> None:
    added = [await crates.add(Crate({**NEEDED, "limit": number})) for number in range(4)]
    big = page_of(
        select(CrateModel.__table__).where(CrateModel.limit > bindparam("above")), CrateModel.id
    )

    assert await crates.list_page(1, 2) == added[1:3]
    assert await crates._list_page(big, 0, 10, {"above": 1}) == added[2:]


ODD = (
    "per cent %",
    "(a)",
    "a b",
    "a_b",
    "a.b",
    "a:b",
    "[a]",
    'a"b',
    "sélect",
    "$1",
    "values",
)


class OddBase(DeclarativeBase):
    """Tables of one test alone."""


class OddCrateModel(OddBase):
    """Names that PostgreSQL allows, and a name of the model's own beside one."""

    __table__ = Table(
        "odd crates", OddBase.metadata, Column("id", Integer, Identity(), primary_key=True),
        *(Column(name, Integer) for name in ODD), Column("class", Text, key="kind", unique=True),
    )  # fmt: skip


@dataclass
class OddCrate:
    values: dict[str, object]
    id: int | None = None


class OddCrates(SQLAlchemyRepository[OddCrate, OddCrateModel]):
    model = OddCrateModel
    resource = "Crate"
    unique_fields = ("class",)

    def _to_entity(self, row: Row) -> OddCrate:
        return OddCrate({name: row[name] for name in (*ODD, "class")}, row["id"])

    def _to_row(self, entity: OddCrate) -> dict[str, object]:
        return entity.values


async def test_no_name_of_a_column_matters(database: Database) -> None:
    values: dict[str, object] = {name: number for number, name in enumerate(ODD)}
    async with Transaction(database) as transaction:
        async with transaction.session() as session:
            connection = await session.connection()
            await connection.run_sync(OddBase.metadata.create_all)
        crates = OddCrates(transaction)

        added = await crates.add(OddCrate({**values, "class": "first"}))
        added.values["a b"] = 99
        updated = await crates.update(added)

        assert updated.values == {**values, "class": "first", "a b": 99}
        with pytest.raises(AlreadyExistsError, match="Class"):
            await crates.add(OddCrate({**values, "class": "first"}))


def test_a_page_whose_rows_bind_its_own_parameters_is_refused() -> None:
    rows = select(CrateModel.__table__).where(CrateModel.limit == bindparam("limit"))

    with pytest.raises(ValueError, match="rename your bindparam"):
        page_of(rows, CrateModel.id)
