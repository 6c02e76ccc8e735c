"""Constraints of every kind: what a repository raises, and what a client is told by any other way."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256

import asyncpg
import pytest
from quart import Quart
from sqlalchemy import (
    CheckConstraint,
    Computed,
    Enum,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Numeric,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
    func,
    insert,
)
from sqlalchemy.dialects.postgresql import DOMAIN, INT4RANGE, JSONB, ExcludeConstraint, Range
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from quart_fleet.database import (
    REFUSALS,
    Database,
    Row,
    SQLAlchemyRepository,
    Statement,
    Transaction,
    Violation,
)
from quart_fleet.database.refusals import find_refusal
from quart_fleet.errors import (
    ConflictError,
    DatabaseUnavailableError,
    ServiceError,
    ValidationFailedError,
)
from quart_fleet.models import NAMING_CONVENTION
from quart_fleet.web._envelope import Envelope
from quart_fleet.web._error_responses import ErrorResponses


class Base(DeclarativeBase):
    """Tables of these tests alone."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)


class CategoryModel(Base):
    """What products refer to, and categories themselves."""

    __tablename__ = "categories"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String(5))
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("categories.id"))

    __table_args__ = (Index("ix_categories_lower_name", func.lower(name), unique=True),)


class ProductModel(Base):
    """A constraint of each kind."""

    __tablename__ = "products"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    category_id: Mapped[int | None] = mapped_column(ForeignKey("categories.id"))
    made_in_id: Mapped[int | None] = mapped_column(
        ForeignKey("categories.id", deferrable=True, initially="DEFERRED")
    )
    kept_in_id: Mapped[int | None] = mapped_column(ForeignKey("categories.id", ondelete="RESTRICT"))
    code: Mapped[str | None] = mapped_column(String(3))
    title: Mapped[str] = mapped_column(String(20))
    price: Mapped[Decimal | None] = mapped_column(Numeric(4, 2))
    old_price: Mapped[Decimal | None] = mapped_column(Numeric(4, 2))
    stock: Mapped[int | None] = mapped_column(SmallInteger)
    shelf: Mapped[Range[int] | None] = mapped_column(INT4RANGE)
    details: Mapped[object] = mapped_column(JSONB, nullable=True)
    taste: Mapped[str | None] = mapped_column(Enum("sweet", "sour", name="taste"))
    weight: Mapped[int | None] = mapped_column(DOMAIN("weight", Integer, check="VALUE > 0"))
    grade: Mapped[int | None] = mapped_column("the grade",
        CheckConstraint('"the grade" < 7', name="grade"))  # fmt: skip
    note: Mapped[str | None] = mapped_column(Text, unique=True)
    gift_of_id: Mapped[int] = mapped_column(ForeignKey("categories.id", ondelete="SET NULL"),
        server_default="3")  # fmt: skip
    loud: Mapped[str] = mapped_column(String(20), Computed("upper(title)", persisted=True))

    __table_args__ = (
        UniqueConstraint("category_id", "code"),
        CheckConstraint("price > 0", name="price_positive"),
        CheckConstraint("old_price > price", name="reduced"),
        ExcludeConstraint(("shelf", "&&"), using="gist", name="ex_products_shelf"),
    )


@dataclass
class Entity:
    values: dict[str, object]
    id: int | None = None


class Repository(SQLAlchemyRepository[Entity, CategoryModel]):
    model = CategoryModel
    resource = "Category"

    def _to_entity(self, row: Row) -> Entity:
        values = {column.name: row[column.name] for column in self.model.__table__.columns}
        return Entity(values, values.pop("id"))

    def _to_row(self, entity: Entity) -> dict[str, object]:
        columns = self.model.__table__.columns
        empty = {column.name: None for column in columns if column.nullable}
        return {**empty, **entity.values}


class Products(Repository):
    model = ProductModel  # type: ignore[assignment]  # the tests write plain values
    resource = "Product"


class SetsOfProducts(Products):
    unique_sets = (("category_id", "code"),)


@pytest.fixture
async def stored(database: Database) -> AsyncIterator[Database]:
    """Two categories, and a product that refers to the first."""
    async with database.sessions()() as session:
        connection = await session.connection()
        await connection.run_sync(Base.metadata.create_all)
        await session.commit()
    async with Transaction(database) as transaction:
        named: list[dict[str, object]] = [
            {"name": "Tea"}, {"name": "Ink", "parent_id": 1}, {"name": "Gift"},
        ]  # fmt: skip
        for values in named:
            await Repository(transaction).add(Entity(values))
        await Products(transaction).add(Entity(GOOD))
        await transaction.commit()
    yield database
    async with database.connect() as connection:
        await connection.execute("DROP TABLE products, categories")


def incompressible(length: int) -> str:
    """Return a text that no index of PostgreSQL can hold."""
    return "".join(chr(33 + sha256(str(n).encode()).digest()[0] % 90) for n in range(length))


GOOD: dict[str, object] = {
    "category_id": 1, "code": "a", "title": "Green", "price": Decimal("2.00"), "shelf": Range(1, 5),
}  # fmt: skip

REFUSED: list[tuple[type[Repository], dict[str, object], str, dict[str, str]]] = [
    (Repository, {"name": "TEA"}, "Name already exists", {}),
    (Products, {**GOOD, "shelf": None}, "Code already exists", {}),
    (SetsOfProducts, {**GOOD, "shelf": None}, "Category id and code already exist", {}),
    (Products, {**GOOD, "code": "b"}, "Product conflicts with another one", {}),
    (Products, {"title": "x", "category_id": 9}, "", {"category_id": "No such category"}),
    (Products, {"title": "x", "kept_in_id": 9}, "", {"kept_in_id": "No such kept in"}),
    (Repository, {"name": "x", "parent_id": 9}, "", {"parent_id": "No such parent"}),
    (Products, {"title": "x", "price": Decimal(-1)}, "", {"price": "Is not valid"}),
    (
        Products, {"title": "x", "price": Decimal(2), "old_price": Decimal(1)}, "",
        {"old_price": "Is not valid", "price": "Is not valid"},
    ),
    (Products, {"title": None}, "", {"title": "Must not be null"}),
    (Products, {"title": "x" * 21}, "", {"title": "Must be at most 20 characters"}),
    (Repository, {"name": "sixsix"}, "", {"name": "Must be at most 5 characters"}),
    (Products, {"title": "x", "price": Decimal(100)}, "", {"price": "Is out of range"}),
    (Products, {"title": "x", "stock": 2**15}, "", {"stock": "Is out of range"}),
    (Products, {"title": "x", "stock": -(2**15) - 1}, "", {"stock": "Is out of range"}),
    (Products, {"title": "a\x00"}, "", {"title": "Must not contain NUL characters"}),
    (
        Products, {"title": "x", "details": {"a": ["b\x00"]}}, "",
        {"details": "Must not contain NUL characters"},
    ),
    (Products, {"title": "x", "taste": "salt"}, "", {"taste": "Is not valid"}),
    (Products, {"title": "x", "weight": 0}, "", {"weight": "Is not valid"}),
    (Products, {"title": "(stock)=(", "the grade": 9}, "", {"the grade": "Is not valid"}),
    (Products, {"title": "x", "shelf": Range(5, 1)}, "", {"shelf": "Is not valid"}),
    (Products, {"title": "x", "note": incompressible(9000)}, "", {"note": "Is too long"}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "values", "message", "errors"), REFUSED)
async def test_a_refused_write_is_told_by_its_field(
    kind: type[Repository], values: dict[str, object], message: str, errors: dict[str, str],
    stored: Database,
) -> None:  # fmt: skip
    async with Transaction(stored) as transaction:
        with pytest.raises(ServiceError) as added:
            await kind(transaction).add(Entity(values))
    async with Transaction(stored) as transaction:
        repository = kind(transaction)
        own = await repository.add(
            Entity({"title": "y"} if issubclass(kind, Products) else {"name": "y"})
        )
        with pytest.raises(ServiceError) as updated:
            await repository.update(Entity(values, own.id))

    for refusal in (added.value, updated.value):
        assert refusal.message == (message or "Validation failed")
        assert getattr(refusal, "errors", {}) == errors


@pytest.mark.parametrize("column", ["category_id", "kept_in_id"])
async def test_what_others_refer_to_is_in_use(column: str, stored: Database) -> None:
    async with Transaction(stored) as transaction:
        repository = Repository(transaction)
        held = await repository.add(Entity({"name": "held"}))
        await Products(transaction).add(Entity({"title": "x", column: held.id}))

        with pytest.raises(ConflictError, match="Category is in use"):
            await repository.delete(held.id or 0)


async def test_what_others_cannot_do_without_is_in_use(stored: Database) -> None:
    """PostgreSQL refuses the null that ON DELETE SET NULL would write."""
    async with Transaction(stored) as transaction:
        with pytest.raises(ConflictError, match="Category is in use"):
            await Repository(transaction).delete(3)


async def test_what_its_own_kind_refers_to_is_in_use(stored: Database) -> None:
    async with Transaction(stored) as transaction:
        await Products(transaction).delete(1)

        with pytest.raises(ConflictError, match="Category is in use"):
            await Repository(transaction).delete(1)


async def test_rows_that_come_to_refer_to_each_other_do_not_wait_for_each_other(
    stored: Database,
) -> None:
    async with Transaction(stored) as first, Transaction(stored) as second:
        tea = await Repository(first).get_for_update(1)
        ink = await Repository(second).get_for_update(2)
        tea.values["parent_id"], ink.values["parent_id"] = 2, 1
        await Repository(first).update(tea)
        await Repository(second).update(ink)
        await first.commit()
        await second.commit()


def test_a_deadlock_is_no_fault_of_the_service() -> None:
    for error in (asyncpg.DeadlockDetectedError("x"), asyncpg.SerializationError("x")):
        assert isinstance(find_refusal(error), DatabaseUnavailableError)


async def test_a_generated_column_comes_back_and_is_never_written(stored: Database) -> None:
    async with Transaction(stored) as transaction:
        products = Products(transaction)
        added = await products.add(Entity({"title": "quiet"}))
        given = await products.add(Entity({"title": "quiet", "loud": "other"}))

    assert added.values["loud"] == given.values["loud"] == "QUIET"


# What is no repository's: statements of one's own, ORM sessions, and what COMMIT finds.


async def _by_statement(database: Database) -> None:
    async with Transaction(database) as transaction:
        await transaction.execute(Statement(insert(CategoryModel).values(name="TEA")))


async def _by_reference(database: Database) -> None:
    async with Transaction(database) as transaction:
        await transaction.execute(Statement(insert(ProductModel).values(title="x", category_id=9)))


async def _by_deletion(database: Database) -> None:
    async with database.connect() as connection:
        await connection.execute("DELETE FROM categories WHERE id = 1")


async def _by_session(database: Database) -> None:
    async with database.sessions()() as session:
        session.add(ProductModel(title="x", price=Decimal(-1)))
        await session.commit()


async def _by_commit(database: Database) -> None:
    async with Transaction(database) as transaction:
        await Products(transaction).add(Entity({"title": "x", "made_in_id": 9}))
        await transaction.commit()


async def _by_length(database: Database) -> None:
    async with database.connect() as connection:
        await connection.execute("INSERT INTO categories (name) VALUES ('sixsix')")


async def _by_mistake(database: Database) -> None:
    async with database.connect() as connection:
        await connection.execute("INSERT INTO nothing VALUES (1)")


@pytest.fixture
def app(stored: Database) -> Quart:
    """Its routes are the ways above."""
    app = Quart(__name__)
    ErrorResponses(Envelope, {}).register(app)
    for work in (_by_statement, _by_reference, _by_deletion, _by_session, _by_commit, _by_length,
                 _by_mistake):  # fmt: skip

        async def route(work=work) -> str:  # type: ignore[no-untyped-def]  # bound for each
            await work(stored)
            return ""

        app.add_url_rule(f"/{work.__name__}", work.__name__, route)
    return app


@pytest.mark.parametrize(
    ("way", "status", "answer"),
    [
        ("_by_statement", 400, {"message": "Name already exists"}),
        ("_by_reference", 422, {"errors": {"category_id": "No such category"}}),
        ("_by_deletion", 409, {"message": "Record is in use"}),
        ("_by_session", 422, {"errors": {"price_positive": "Is not valid"}}),
        ("_by_commit", 422, {"errors": {"made_in_id": "No such made in"}}),
        ("_by_length", 422, {"message": "Validation failed"}),
        ("_by_mistake", 500, {"message": "Internal server error"}),
    ],
)
async def test_a_client_is_told_by_every_way(
    way: str, status: int, answer: dict[str, object], app: Quart
) -> None:
    response = await app.test_client().get(f"/{way}")

    told = await response.get_json()
    assert response.status_code == status
    assert told == {"message": "Validation failed", "success": False} | answer


@pytest.fixture
def refusals() -> Iterator[None]:
    """The table, which is as before after the test."""
    before = dict(REFUSALS)
    yield
    REFUSALS.clear()
    REFUSALS.update(before)


@pytest.mark.usefixtures("refusals")
async def test_an_owner_says_a_constraint_s_refusal_in_words_of_ones_own(
    stored: Database,
) -> None:
    REFUSALS["ck_products_price_positive"] = lambda _: ValidationFailedError(
        {"price": "Must be positive"}
    )
    seen = list[Violation]()

    def refuse(violation: Violation) -> ServiceError:
        seen.append(violation)
        return ConflictError("Taken")

    REFUSALS["ix_categories_lower_name"] = refuse

    async with Transaction(stored) as transaction:
        with pytest.raises(ValidationFailedError) as refused:
            await Products(transaction).add(Entity({"title": "x", "price": Decimal(-1)}))
    async with Transaction(stored) as transaction:
        with pytest.raises(ConflictError, match="Taken"):
            await Repository(transaction).add(Entity({"name": "tEA"}))

    assert refused.value.errors == {"price": "Must be positive"}
    assert [(each.resource, each.fields) for each in seen] == [("Category", ("name",))]
