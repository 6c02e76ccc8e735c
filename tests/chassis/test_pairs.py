"""Pairs of ids: written with their owner, and read by one statement for all owners of a list."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest
from pydantic import ValidationError
from sqlalchemy import BigInteger, Column, ForeignKey, String, Table, UniqueConstraint
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.schema import CreateTable

from quart_fleet.database import (
    Database,
    Pairs,
    Row,
    SQLAlchemyParts,
    SQLAlchemyRepository,
    Transaction,
)
from quart_fleet.database._transaction import AutocommitTransaction
from quart_fleet.dto import Ids, RequestDTO
from quart_fleet.errors import (
    AlreadyExistsError,
    ConflictError,
    NotFoundError,
    ValidationFailedError,
)
from quart_fleet.models import StandardColumns
from quart_fleet.paging import ListQuery

DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]  # has no annotation


class Base(DeclarativeBase):
    pass


class LabelModel(StandardColumns, Base):
    __tablename__ = "labels"

    name: Mapped[str] = mapped_column(String(20))


class CrateModel(StandardColumns, Base):
    __tablename__ = "crates"

    code: Mapped[str] = mapped_column(String(20), unique=True)


crate_labels = Table(
    "crate_labels",
    Base.metadata,
    Column("crate_id", BigInteger, ForeignKey("crates.id", ondelete="CASCADE"), primary_key=True),
    Column("label_id", BigInteger, ForeignKey("labels.id"), primary_key=True),
)


class RackModel(StandardColumns, Base):
    __tablename__ = "racks"

    home_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("labels.id"))


class SlotModel(StandardColumns, Base):
    __tablename__ = "rack_slots"

    rack_id: Mapped[int] = mapped_column(ForeignKey("racks.id", ondelete="CASCADE"))
    position: Mapped[int]
    home_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("labels.id"))


rack_slot_labels = Table(
    "rack_slot_labels",
    Base.metadata,
    Column(
        "rack_slot_id",
        BigInteger,
        ForeignKey("rack_slots.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("label_id", BigInteger, ForeignKey("labels.id"), primary_key=True),
)


class HomeModel(StandardColumns, Base):
    __tablename__ = "homes"
    __table_args__ = (UniqueConstraint("label_id", "rack_id"),)

    label_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("labels.id"))
    rack_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("racks.id"))


@dataclass
class Home:
    label_id: int
    rack_id: int
    id: int | None = None


@dataclass
class Label:
    name: str
    id: int | None = None


@dataclass
class Crate:
    code: str
    label_ids: tuple[int, ...] = ()
    id: int | None = None


@dataclass(kw_only=True)
class Slot:
    label_ids: tuple[int, ...] = ()
    home_id: int | None = None
    id: int | None = None


@dataclass
class Rack:
    slots: tuple[Slot, ...] = ()
    home_id: int | None = None
    id: int | None = None


class Labels(SQLAlchemyRepository[Label, LabelModel]):
    model = LabelModel
    resource = "Label"

    def _to_entity(self, row: Row) -> Label:
        return Label(row["name"], row["id"])

    def _to_row(self, entity: Label) -> dict[str, object]:
        return {"name": entity.name}


class Crates(SQLAlchemyRepository[Crate, CrateModel]):
    model = CrateModel
    resource = "Crate"
    unique_fields = ("code",)
    parts = (Pairs("label_ids", crate_labels),)

    def _to_entity(self, row: Row) -> Crate:
        return Crate(row["code"], id=row["id"])

    def _to_row(self, entity: Crate) -> dict[str, object]:
        return {"code": entity.code}


class Slots(SQLAlchemyParts[Slot, SlotModel]):
    model = SlotModel
    resource = "Slot"
    field = "slots"
    owner = "rack_id"
    pairs = (Pairs("label_ids", rack_slot_labels),)

    def _to_part(self, row: Row) -> Slot:
        return Slot(id=row["id"], home_id=row["home_id"])

    def _to_row(self, part: Slot) -> dict[str, object]:
        return {"home_id": part.home_id}


class Racks(SQLAlchemyRepository[Rack, RackModel]):
    model = RackModel
    resource = "Rack"
    parts = (Slots(),)

    def _to_entity(self, row: Row) -> Rack:
        return Rack(id=row["id"], home_id=row["home_id"])

    def _to_row(self, entity: Rack) -> dict[str, object]:
        return {"home_id": entity.home_id}


class Homes(SQLAlchemyRepository[Home, HomeModel]):
    model = HomeModel
    resource = "Home"
    unique_sets = (("label_id", "rack_id"),)
    unique_references = ("label_id", "rack_id")

    def _to_entity(self, row: Row) -> Home:
        return Home(row["label_id"], row["rack_id"], row["id"])

    def _to_row(self, entity: Home) -> dict[str, object]:
        return {"label_id": entity.label_id, "rack_id": entity.rack_id}


class Recorded(Transaction):
    """Keeps what is sent to the driver, and the statements in short."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.sent: list[str] = []
        self.given: list[tuple[str, tuple[object, ...]]] = []

    async def _send(self, method: str, *arguments: object, **options: object) -> Any:
        self.given.append((str(arguments[0]), arguments[1:]))
        sql = re.sub(r"\s+", " ", str(arguments[0]))
        self.sent.append(
            re.sub(r"(?<=SELECT ).+?(?= FROM (crates|labels))|::BIGINT(\[\])?", "", sql)
        )
        return await super()._send(method, *arguments, **options)


@pytest.fixture
async def work(database: Database) -> AsyncIterator[Recorded]:
    models = (LabelModel, CrateModel, RackModel, SlotModel, HomeModel)
    tables = [cast("Table", each.__table__) for each in models]
    async with database.connect() as connection:
        for table in (*tables, crate_labels, rack_slot_labels):
            await connection.execute(str(CreateTable(table).compile(dialect=DIALECT)))
        await connection.execute("INSERT INTO labels (name) VALUES ('a'), ('b'), ('c')")
    async with Recorded(database) as transaction:
        yield transaction
    async with database.connect() as connection:
        await connection.execute(
            "DROP TABLE homes, rack_slot_labels, rack_slots, racks, crate_labels, crates, labels"
        )


async def test_pairs_are_stored_with_their_owner_and_read_sorted(work: Recorded) -> None:
    crates = Crates(work)

    stored = await crates.add(Crate("x", (3, 1)))
    await work.commit()

    assert stored == Crate("x", (1, 3), 1)
    assert await crates.get(1) == stored
    assert await crates._find_by("code", "x") == stored


async def test_an_update_replaces_the_pairs(work: Recorded) -> None:
    crates = Crates(work)
    crate = await crates.add(Crate("x", (1, 2)))
    crate.label_ids = (2, 3)

    updated = await crates.update(crate)
    crate.label_ids = ()

    assert updated == Crate("x", (2, 3), 1)
    assert await crates.get(1) == updated
    assert await crates.update(crate) == await crates.get(1) == Crate("x", (), 1)


async def test_a_list_of_any_length_takes_one_statement_more(work: Recorded) -> None:
    crates = Crates(work)
    for number in range(40):
        await crates.add(Crate(f"c{number}", (1, 2, 3)[: number % 4]))
    work.sent.clear()

    everything = await crates.list_page(0, 500)
    page = await crates.list_by(ListQuery(limit=30))

    assert [len(each.label_ids) for each in everything] == [0, 1, 2, 3] * 10
    assert page.items == everything[:30]
    pairs = (
        "SELECT crate_labels.crate_id, crate_labels.label_id FROM crate_labels WHERE "
        "crate_labels.crate_id = ANY ($1) ORDER BY crate_labels.crate_id, crate_labels.label_id"
    )
    assert work.sent == [
        "SELECT  FROM crates WHERE crates.id > $1 ORDER BY crates.id LIMIT $2",
        pairs,
        "SELECT  FROM crates ORDER BY crates.id ASC NULLS LAST LIMIT $1",
        pairs,
    ]


async def test_a_list_reads_pairs_by_their_key(database: Database, work: Recorded) -> None:
    fill = """
        INSERT INTO crates (code) SELECT n FROM generate_series(1, 34000) AS n;
        INSERT INTO crate_labels SELECT n, label FROM generate_series(1, 34000) AS n,
        generate_series(1, 3) AS label;
        ANALYZE crates, crate_labels
    """
    async with database.connect() as connection:
        await connection.execute(fill)
        await Crates(work).list_by(ListQuery(limit=100))
        plans = [
            await connection.fetch(f"EXPLAIN {sql}", *arguments)
            for sql, arguments in work.given[1:]
        ]

    assert work.given[0][0] == "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    assert len(plans) == 2
    for plan in plans:
        lines = "\n".join(row[0] for row in plan)
        assert "Index" in lines
        assert "Seq Scan" not in lines


async def test_a_write_takes_the_same_statements_for_any_number_of_pairs(work: Recorded) -> None:
    crates = Crates(work)

    crate = await crates.add(Crate("x", (1, 2, 3)))
    added = [each.partition(" ")[0] for each in work.sent]
    work.sent.clear()
    crate.label_ids = (1,)
    await crates.update(crate)
    crate.label_ids = (3, 2)
    await crates.update(crate)

    assert added == ["BEGIN", "INSERT", "INSERT"]
    assert [each.partition(" ")[0] for each in work.sent] == [
        *("UPDATE", "SELECT", "DELETE"),
        *("UPDATE", "SELECT", "DELETE", "INSERT"),
    ]


async def test_what_is_refused_is_named_and_nothing_is_stored(
    database: Database, work: Recorded
) -> None:
    crates = Crates(work)
    crate = await crates.add(Crate("x", (1,)))
    await work.commit()

    async with Transaction(database) as other:
        with pytest.raises(ValidationFailedError) as refused:
            await Crates(other).add(Crate("y", (1, 9)))
    assert refused.value.errors == {"label_ids": "No such label"}
    async with Transaction(database) as other:
        with pytest.raises(ValidationFailedError) as refused:
            await Crates(other).update(Crate("x", (9,), crate.id))
    assert refused.value.errors == {"label_ids": "No such label"}
    async with Transaction(database) as other:
        with pytest.raises(AlreadyExistsError):
            await Crates(other).add(Crate("x", (9,)))
    assert await crates.list_page(0, 9) == [crate]


async def test_pairs_keep_what_they_lead_to_and_go_with_their_owner(
    database: Database, work: Recorded
) -> None:
    crates = Crates(work)
    crate = await crates.add(Crate("x", (1,)))
    await work.commit()

    async with Transaction(database) as other:
        with pytest.raises(ConflictError, match="Label is in use"):
            await Labels(other).delete(1)
    await crates.delete(crate.id or 0)
    await work.commit()

    await Labels(work).delete(1)
    assert await crates.list_page(0, 9) == []


async def test_parts_have_pairs_too_by_two_statements_for_all_of_them(work: Recorded) -> None:
    racks = Racks(work)

    rack = await racks.add(Rack((Slot(label_ids=(3, 1)), Slot(), Slot(label_ids=(1, 2)))))
    added = [each.partition(" ")[0] for each in work.sent]
    first, second, third = rack.slots
    rack.slots = (third, Slot(label_ids=(2,)), replace(first, label_ids=(2, 3)))
    work.sent.clear()
    updated = await racks.update(rack)
    changed = [each.partition(" ")[0] for each in work.sent]
    work.sent.clear()

    assert [each.label_ids for each in (first, second, third)] == [(1, 3), (), (1, 2)]
    assert added == ["BEGIN", "INSERT", "INSERT", "INSERT"]
    assert [each.label_ids for each in updated.slots] == [(1, 2), (2,), (2, 3)]
    assert [each.id for each in updated.slots[::2]] == [third.id, first.id]
    assert changed == [
        *("UPDATE", "SELECT", "DELETE", "UPDATE", "INSERT"),
        *("SELECT", "DELETE", "INSERT"),
    ]
    assert await racks.list_page(0, 9) == [updated]
    assert [each.partition(" ")[0] for each in work.sent] == ["SELECT"] * 3


async def test_a_part_is_named_whose_pair_leads_nowhere(work: Recorded) -> None:
    with pytest.raises(ValidationFailedError) as refused:
        await Racks(work).add(Rack((Slot(label_ids=(1,)), Slot(label_ids=(2, 9)), Slot())))

    assert refused.value.errors == {"slots.1.label_ids": "No such label"}


async def test_all_that_is_missing_is_told_once_the_transaction_is_over(
    database: Database, work: Recorded
) -> None:
    slots = (
        Slot(label_ids=(1, 8)),
        Slot(label_ids=(2,), home_id=7),
        Slot(label_ids=(9,), home_id=1),
    )

    async with Transaction(database) as other:
        with pytest.raises(ValidationFailedError) as refused:
            await Racks(other).add(Rack(slots, home_id=8))
        assert refused.value.errors == {"home_id": "No such home"}

    everything = {
        "home_id": "No such home",
        "slots.0.label_ids": "No such label",
        "slots.1.home_id": "No such home",
        "slots.2.label_ids": "No such label",
    }
    assert refused.value.errors == everything
    rack = await Racks(work).add(Rack())
    await work.commit()
    async with Transaction(database) as other:
        with pytest.raises(ValidationFailedError) as refused:
            await Racks(other).update(Rack(slots, home_id=8, id=rack.id))
    assert refused.value.errors == everything
    async with Transaction(database) as other:
        with pytest.raises(ValidationFailedError) as refused:
            await Racks(other).add(Rack(slots, home_id=1))
    del everything["home_id"]
    assert refused.value.errors == everything
    async with AutocommitTransaction(database) as other:
        with pytest.raises(ValidationFailedError) as refused:
            await Homes(other).add(Home(label_id=8, rack_id=9))
    assert refused.value.errors == {"label_id": "No such label", "rack_id": "No such rack"}


async def test_references_that_are_unique_together_are_called_by_what_they_refer_to(
    work: Recorded,
) -> None:
    homes, rack = Homes(work), await Racks(work).add(Rack())
    first = await homes.add(Home(label_id=1, rack_id=rack.id or 0))
    other = await homes.add(Home(label_id=2, rack_id=rack.id or 0))
    await work.commit()

    with pytest.raises(AlreadyExistsError, match=r"^Label and rack already exist$"):
        await homes.add(replace(first, id=None))
    await work.commit()
    with pytest.raises(AlreadyExistsError, match=r"^Label and rack already exist$"):
        await homes.update(replace(first, id=other.id))


class Overtaken(Pairs):
    """Lets another one write after a crate is read and before its pairs are."""

    def __init__(self, database: Database, write: str) -> None:
        super().__init__("label_ids", crate_labels)
        self._database, self._write = database, write

    async def fetch(self, transaction: Transaction, owners: Sequence[int]) -> list[Row]:
        async with self._database.connect() as connection:
            await connection.execute(self._write)
        return await super().fetch(transaction, owners)


READS: list[Callable[[Crates], Awaitable[Any]]] = [
    lambda crates: crates.get(1),
    lambda crates: crates._find_by("code", "x"),
    lambda crates: crates.list_page(0, 9),
    lambda crates: crates.list_by(ListQuery()),
]


@pytest.fixture(params=READS, ids=["get", "find_by", "list_page", "list_by"])
def read(request: pytest.FixtureRequest) -> Callable[[Crates], Awaitable[Any]]:
    chosen: Callable[[Crates], Awaitable[Any]] = request.param
    return chosen


@pytest.mark.parametrize(
    "overtake",
    [
        "UPDATE crates SET code = 'y'; UPDATE crate_labels SET label_id = 2",
        "DELETE FROM crates",
    ],
)
@pytest.mark.parametrize("kind", [Transaction, AutocommitTransaction])
async def test_a_crate_is_read_with_the_pairs_of_the_same_moment(
    database: Database,
    work: Recorded,
    read: Callable[[Crates], Awaitable[Any]],
    overtake: str,
    kind: type[Transaction],
) -> None:
    crate = await Crates(work).add(Crate("x", (1,)))
    await work.commit()

    class OvertakenCrates(Crates):
        parts = (Overtaken(database, overtake),)

    async with kind(database) as transaction:
        found = await read(OvertakenCrates(transaction))

    [entity] = [found] if isinstance(found, Crate) else getattr(found, "items", found)
    assert entity == crate


async def test_what_was_read_may_be_written(work: Recorded, database: Database) -> None:
    await Crates(work).add(Crate("x", (1,)))
    await work.commit()

    async with Transaction(database) as transaction:
        crate = await Crates(transaction).get(1)
        crate.label_ids = (2,)
        await Crates(transaction).update(crate)
        with pytest.raises(NotFoundError):
            await Crates(work).get(2)
        await transaction.commit()

    assert await Crates(work).get(1) == crate


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE crates ADD size integer",
        "ALTER TABLE crate_labels ALTER label_id TYPE integer",
        "ALTER TABLE crates ALTER code TYPE text; "
        "ALTER TABLE crate_labels ALTER label_id TYPE integer",
    ],
)
async def test_a_migration_between_two_reads_is_not_seen(
    database: Database, work: Recorded, read: Callable[[Crates], Awaitable[Any]], change: str
) -> None:
    await Crates(work).add(Crate("x", (1,)))
    await work.commit()

    before = await read(Crates(work))
    async with database.connect() as connection:
        await connection.execute(change)

    assert await read(Crates(work)) == before


class CrateDTO(RequestDTO):
    label_ids: Ids = ()


def test_ids_in_a_body_are_sorted_and_few_and_none_is_there_twice() -> None:
    assert CrateDTO.model_validate_json('{"label_ids": [3, 1, 2]}').label_ids == (1, 2, 3)
    assert CrateDTO.model_validate_json("{}").label_ids == ()
    many = list(range(1001))
    assert len(CrateDTO.model_validate_json(f'{{"label_ids": {many[1:]}}}').label_ids) == 1000
    for body, kind in (
        ("[1, 1]", "duplicate_items"),
        (str(many), "too_long"),
        ('["1"]', "int_type"),
        ("[true]", "int_type"),
        ("1", "tuple_type"),
        ("null", "tuple_type"),
    ):
        with pytest.raises(ValidationError) as refused:
            CrateDTO.model_validate_json(f'{{"label_ids": {body}}}')
        assert [each["type"] for each in refused.value.errors()] == [kind]
