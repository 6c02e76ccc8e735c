"""Parts that are read and written with their owners, on a real PostgreSQL: by which statements."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import Field
from sqlalchemy import (
    BigInteger,
    DateTime,
    ForeignKey,
    MetaData,
    Numeric,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy import (
    Integer as IntegerColumn,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from quart_fleet.asgi._application import ServiceApplication
from quart_fleet.database import Database, Row, SQLAlchemyParts, SQLAlchemyRepository, Transaction
from quart_fleet.database._transaction import AutocommitTransaction
from quart_fleet.dto import (
    LEFT_OUT,
    Date,
    Fixed,
    Integer,
    Part,
    PartDTO,
    PartPatchDTO,
    RequestDTO,
    merge_parts,
)
from quart_fleet.errors import (
    AlreadyExistsError,
    InvalidRequestError,
    NotFoundError,
    ServiceError,
    ValidationFailedError,
    broken_rules,
    find_duplicates,
)
from quart_fleet.models import NAMING_CONVENTION, StandardColumns
from quart_fleet.paging import ListQuery
from quart_fleet.web import parse_body

MANY = 100_000


class Base(StandardColumns, DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING_CONVENTION)


class ShopModel(Base):
    __tablename__ = "shops"


class BasketModel(Base):
    __tablename__ = "baskets"

    code: Mapped[str] = mapped_column(String(20), unique=True)


class EggModel(Base):
    __tablename__ = "basket_eggs"
    __table_args__ = (
        UniqueConstraint("basket_id", "position", deferrable=True),
        UniqueConstraint("basket_id", "mark", deferrable=True),
    )

    basket_id: Mapped[int] = mapped_column(ForeignKey("baskets.id", ondelete="CASCADE"))
    position: Mapped[int] = mapped_column(IntegerColumn)
    mark: Mapped[str] = mapped_column(String(6))
    note: Mapped[str | None] = mapped_column(Text)
    count: Mapped[int | None] = mapped_column(BigInteger)
    weight: Mapped[float | None]
    price: Mapped[Decimal | None] = mapped_column(Numeric(10, 2))
    is_fresh: Mapped[bool | None]
    laid_on: Mapped[date | None]
    laid_at: Mapped[time | None]
    seen_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    boiled_for: Mapped[timedelta | None]
    token: Mapped[UUID | None]
    extra: Mapped[Any] = mapped_column(JSONB(none_as_null=True), nullable=True)
    shop_id: Mapped[int | None] = mapped_column(ForeignKey("shops.id"))


@dataclass(kw_only=True)
class Egg:
    mark: str
    note: str | None = None
    count: int | None = None
    weight: float | None = None
    price: Decimal | None = None
    is_fresh: bool | None = None
    laid_on: date | None = None
    laid_at: time | None = None
    seen_at: datetime | None = None
    boiled_for: timedelta | None = None
    token: UUID | None = None
    extra: object = None
    shop_id: int | None = None
    id: int | None = None


@dataclass(kw_only=True)
class Basket:
    code: str
    eggs: tuple[Egg, ...] = ()
    id: int | None = None
    updated_at: datetime | None = None


VALUES = [name for name in Egg.__dataclass_fields__ if name != "id"]


class Eggs(SQLAlchemyParts[Egg, EggModel]):
    model = EggModel
    resource = "Egg"
    field = "eggs"
    owner = "basket_id"

    def _to_part(self, row: Row) -> Egg:
        return Egg(id=row["id"], **{name: row[name] for name in VALUES})

    def _to_row(self, part: Egg) -> dict[str, object]:
        return {name: getattr(part, name) for name in VALUES}


class Baskets(SQLAlchemyRepository[Basket, BasketModel]):
    model = BasketModel
    resource = "Basket"
    unique_fields = ("code",)
    parts = (Eggs(),)

    def _to_entity(self, row: Row) -> Basket:
        return Basket(code=row["code"], id=row["id"], updated_at=row["updated_at"])

    def _to_row(self, entity: Basket) -> dict[str, object]:
        return {"code": entity.code}


class Recorded(Transaction):
    """Keeps what it sends."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.sent: list[tuple[str, tuple[object, ...]]] = []

    async def _send(self, method: str, *arguments: Any, **options: object) -> Any:
        self.sent.append((arguments[0], arguments[1:]))
        return await super()._send(method, *arguments, **options)

    @property
    def words(self) -> list[str]:
        """The statements by their first word."""
        return [sql.split()[0] for sql, _ in self.sent]


FULL = Egg(
    mark='é"\\,{}',
    note="NULL",
    count=2**63 - 1,
    weight=0.1,
    price=Decimal("12.50"),
    is_fresh=False,
    laid_on=date(2026, 11, 23),
    laid_at=time(23, 59, 59, 999999),
    seen_at=datetime(2026, 11, 23, 9, 24, 2, 1, tzinfo=UTC),
    boiled_for=timedelta(days=-1, microseconds=1),
    token=UUID("c3d4e5f6-7a8b-4c9d-8e0f-1a2b3c4d5e6f"),
    extra={"a": [1, "é", None], "b": []},
)


@pytest.fixture
async def work(database: Database) -> AsyncIterator[Recorded]:
    async with database.sessions()() as session:
        await (await session.connection()).run_sync(Base.metadata.create_all)
        await session.commit()
    async with Recorded(database) as transaction:
        yield transaction
    async with database.connect() as connection:
        await connection.execute("DROP TABLE basket_eggs, baskets, shops")


def eggs(*marks: str) -> tuple[Egg, ...]:
    return tuple(Egg(mark=mark) for mark in marks)


async def test_parts_of_every_type_are_read_as_they_were_stored(work: Recorded) -> None:
    baskets = Baskets(work)

    added = await baskets.add(Basket(code="a", eggs=(FULL, Egg(mark=""))))

    assert added.eggs == (replace(FULL, id=added.eggs[0].id), Egg(mark="", id=added.eggs[1].id))
    assert work.words == ["BEGIN", "INSERT", "INSERT"]
    for found in (
        await baskets.get(added.id or 0),
        await baskets.get_for_update(added.id or 0),
        *await baskets.list_page(0, 9),
        *(await baskets.list_by(ListQuery())).items,
    ):
        assert found == added


async def test_an_update_writes_only_what_differs(work: Recorded) -> None:
    baskets = Baskets(work)
    basket = await baskets.add(Basket(code="a", eggs=eggs("one", "two", "three")))
    await work.commit()
    one, two, three = basket.eggs

    work.sent.clear()
    assert (await baskets.update(basket)).eggs == basket.eggs
    assert work.words == ["BEGIN", "UPDATE", "SELECT"]

    work.sent.clear()
    basket.eggs = (three, *eggs("new", "newer"), replace(one, note="first"))
    updated = await baskets.update(basket)

    assert work.words == ["UPDATE", "SELECT", "DELETE", "UPDATE", "INSERT"]
    assert updated.eggs == (
        three,
        *(
            replace(egg, id=after.id)
            for egg, after in zip(basket.eggs[1:3], updated.eggs[1:3], strict=True)
        ),
        replace(one, note="first"),
    )
    assert two.id not in [egg.id for egg in updated.eggs]
    assert await baskets.get(basket.id or 0) == updated


async def test_the_owners_time_moves_with_its_parts(work: Recorded) -> None:
    baskets = Baskets(work)
    basket = await baskets.add(Basket(code="a", eggs=eggs("one")))
    await work.commit()

    basket.eggs = eggs("other")

    assert (await baskets.update(basket)).updated_at != basket.updated_at


async def test_two_unique_values_and_places_may_swap(work: Recorded) -> None:
    baskets = Baskets(work)
    basket = await baskets.add(Basket(code="a", eggs=eggs("one", "two")))
    one, two = basket.eggs

    basket.eggs = (replace(one, mark="two"), replace(two, mark="one"))
    assert [egg.mark for egg in (await baskets.update(basket)).eggs] == ["two", "one"]
    basket.eggs = (two, one)
    assert (await baskets.update(basket)).eggs == (two, one)


async def test_a_unique_value_is_taken_once_in_one_owner(work: Recorded) -> None:
    baskets = Baskets(work)
    await baskets.add(Basket(code="a", eggs=eggs("one")))
    await baskets.add(Basket(code="b", eggs=eggs("one")))

    with pytest.raises(AlreadyExistsError, match="Mark already exists"):
        await baskets.add(Basket(code="c", eggs=eggs("two", "two")))


async def test_a_list_of_any_length_is_two_statements_that_read_indexes(work: Recorded) -> None:
    fill = """
        INSERT INTO baskets (code) SELECT n FROM generate_series(1, 10000) AS n;
        INSERT INTO basket_eggs (basket_id, position, mark)
        SELECT 1 + n % 10000, n / 10000, n / 10000 FROM generate_series(0, {}) AS n;
        ANALYZE baskets, basket_eggs
    """
    async with work.connection() as connection:
        await connection.execute(fill.format(MANY - 1))
    work.sent.clear()

    page = await Baskets(work).list_by(ListQuery(limit=100))
    chunk = await Baskets(work).list_page(0, 500)

    assert len(work.sent) == 4
    assert [len(each.eggs) for each in (*page.items, *chunk)] == [10] * 600
    assert work.sent[1][0] == work.sent[3][0]
    assert work.sent[1][0].endswith(
        "FROM basket_eggs \nWHERE basket_eggs.basket_id = ANY ($1::BIGINT[]) "
        "ORDER BY basket_eggs.basket_id, basket_eggs.position"
    )
    async with work.connection() as connection:
        for sql, arguments in work.sent[:2]:
            plan = await connection.fetch(f"EXPLAIN {sql}", *arguments)
            lines = "\n".join(row[0] for row in plan)
            assert "Index Scan" in lines
            assert "Seq Scan" not in lines


async def test_a_thousand_parts_are_inserted_by_one_statement(work: Recorded) -> None:
    basket = await Baskets(work).add(Basket(code="a", eggs=eggs(*map(str, range(1000)))))

    assert work.words == ["BEGIN", "INSERT", "INSERT"]
    assert [egg.mark for egg in basket.eggs] == list(map(str, range(1000)))


async def test_parts_go_with_their_owner(work: Recorded) -> None:
    basket = await Baskets(work).add(Basket(code="a", eggs=eggs("one")))

    await Baskets(work).delete(basket.id or 0)

    async with work.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM basket_eggs") == 0


@pytest.mark.parametrize("make", ["add", "update"])
async def test_what_is_written_with_parts_is_kept_together(
    work: Recorded, database: Database, make: str
) -> None:
    async with AutocommitTransaction(database) as alone:
        with pytest.raises(RuntimeError, match="autocommit"):
            await getattr(Baskets(alone), make)(Basket(code="a", id=1))


@pytest.mark.parametrize("record_id", [0, 2])
async def test_an_id_of_another_owners_part_is_not_found(work: Recorded, record_id: int) -> None:
    baskets = Baskets(work)
    basket = await baskets.add(Basket(code="a", eggs=eggs("one")))
    await baskets.add(Basket(code="b", eggs=eggs("one")))

    basket.eggs = (Egg(mark="one", id=record_id),)
    with pytest.raises(NotFoundError, match="Egg not found"):
        await baskets.update(basket)


@pytest.mark.parametrize(
    ("egg", "errors"),
    [
        (Egg(mark="bad", shop_id=7), {"eggs.1.shop_id": "No such shop"}),
        (Egg(mark="1234567"), {"eggs.1.mark": "Must be at most 6 characters"}),
        (Egg(mark="bad", price=Decimal(10**8)), {"eggs.1.price": "Is out of range"}),
        (Egg(mark="bad", note="\x00"), {"eggs.1.note": "Must not contain NUL characters"}),
    ],
)
async def test_a_refusal_names_the_part(work: Recorded, egg: Egg, errors: dict[str, str]) -> None:
    async with work.connection() as connection:
        await connection.execute("INSERT INTO shops DEFAULT VALUES")

    with pytest.raises(ServiceError) as refused:
        await Baskets(work).add(Basket(code="a", eggs=(Egg(mark="good", shop_id=1), egg)))

    assert isinstance(refused.value, ValidationFailedError)
    assert refused.value.errors == errors


class CreateEggDTO(PartDTO):
    count: Integer
    token: UUID
    laid_on: Date | None = None


class PatchEggDTO(PartPatchDTO):
    count: Integer = LEFT_OUT
    token: UUID = LEFT_OUT
    laid_on: Fixed = LEFT_OUT


class UpdateBasketDTO(RequestDTO):
    eggs: Annotated[list[Part[CreateEggDTO, PatchEggDTO]], Field(max_length=3)] | None = None


async def read(body: str) -> UpdateBasketDTO:
    headers = {"Content-Type": "application/json"}
    app = ServiceApplication(__name__)
    async with app.test_request_context("/", method="POST", headers=headers, data=body.encode()):
        return await parse_body(UpdateBasketDTO)


async def test_a_body_tells_new_parts_from_known_ones() -> None:
    token = "c3d4e5f6-7a8b-4c9d-8e0f-1a2b3c4d5e6f"
    new = f'{{"id": null, "count": 1, "token": "{token}"}}'

    dto = await read(f'{{"eggs": [{{"id": 7, "token": "{token}"}}, {new}]}}')

    assert dto.eggs == [
        PatchEggDTO(id=7, token=UUID(token)),
        CreateEggDTO(count=1, token=UUID(token)),
    ]


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ("7", {"eggs": "Must be an array"}),
        ("[{}, {}, {}, {}]", {"eggs": "Must have at most 3 items"}),
        ('[7, {"id": 1}]', {"eggs.0": "Must be an object"}),
        ('[{"id": "1"}]', {"eggs.0.id": "Must be an integer"}),
        ('[{"id": 1, "count": "1"}]', {"eggs.0.count": "Must be an integer"}),
        ('[{"id": 1, "count": null}]', {"eggs.0.count": "Must be an integer"}),
        ('[{"id": 1, "laid_on": null}]', {"eggs.0.laid_on": "Cannot be changed"}),
        ('[{"id": 1}, {"count": 1, "token": 1}]', {"eggs.1.token": "Must be a UUID"}),
    ],
)
async def test_what_is_wrong_in_a_part_is_named_by_its_place(
    body: str, errors: dict[str, str]
) -> None:
    with pytest.raises(ValidationFailedError) as refused:
        await read(f'{{"eggs": {body}}}')

    assert refused.value.errors == errors


async def test_a_new_part_has_what_is_required() -> None:
    with pytest.raises(InvalidRequestError, match=r"^Field 'eggs\.1\.count' is required$"):
        await read('{"eggs": [{"id": 1}, {}]}')


def test_known_parts_keep_what_is_left_out() -> None:
    egg = Egg(id=7, mark="a", count=3, token=UUID(int=1))
    new = CreateEggDTO(count=1, token=UUID(int=2))

    given: list[PatchEggDTO | CreateEggDTO] = [PatchEggDTO(id=7, count=4), new]

    whole, other = merge_parts("eggs", given, [egg])

    assert (whole.count, whole.token, whole.id) == (4, UUID(int=1), 7)
    assert other is new


def test_an_id_that_no_part_has_or_two_have_is_refused() -> None:
    given = [PatchEggDTO(id=one) for one in (7, 8, 7)]

    with pytest.raises(ValidationFailedError) as refused:
        merge_parts("eggs", given, [Egg(id=7, mark="a")])

    assert refused.value.errors == {"eggs.1.id": "No such item", "eggs.2.id": "Is a duplicate"}


def test_duplicates_are_found_at_the_second_and_null_is_none() -> None:
    marks = [("a", 1), ("b", 1), ("a", 1), ("a", None), ("a", None), ("a", 1)]
    given = [Egg(mark=mark, count=count) for mark, count in marks]

    assert find_duplicates("eggs", given, "mark", "count") == {
        "eggs.2.count": "Is a duplicate",
        "eggs.5.count": "Is a duplicate",
    }


def test_what_parts_refuse_is_named_by_their_places() -> None:
    @dataclass
    class Checked:
        errors: dict[str, str]

        def ensure_valid(self) -> None:
            if self.errors:
                raise ValidationFailedError(self.errors)

    parts = [Checked({}), Checked({"mark": "Is too long", "count": "Is too small"})]

    assert broken_rules("eggs", parts) == {
        "eggs.1.mark": "Is too long",
        "eggs.1.count": "Is too small",
    }
