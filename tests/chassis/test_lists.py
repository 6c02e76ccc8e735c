"""Lists with filters and orders on a real PostgreSQL: what is found, and by which index."""

import json
import random
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import product
from typing import Annotated, Any, cast
from urllib.parse import quote

import pytest
from pydantic import Field
from sqlalchemy import Index, Numeric, String, Table, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.schema import CreateIndex, CreateTable
from werkzeug.exceptions import RequestURITooLarge

from quart_fleet.asgi._application import ServiceApplication
from quart_fleet.database import Database, Row, SQLAlchemyRepository, Transaction
from quart_fleet.dto import Date, Digits, Id, Integer, Text
from quart_fleet.errors import ValidationFailedError
from quart_fleet.listing import Listing
from quart_fleet.models import StandardColumns
from quart_fleet.paging import ListQuery, Page, Search, SortKey
from quart_fleet.testing import list_by
from quart_fleet.web import Envelope, find_list_query
from quart_fleet.web._lists import cursor_of

DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]  # has no annotation
MANY = 100_000


class Base(DeclarativeBase):
    pass


class BoxModel(StandardColumns, Base):
    __tablename__ = "boxes"
    __table_args__ = (
        Index("ix_boxes_created_at", "created_at", "id"),
        Index("ix_boxes_price", "price", "id"),
        Index("ix_boxes_packed_on", "packed_on", "id"),
        Index("ix_boxes_label", "label", "id"),
        Index("ix_boxes_shelf_price", "shelf", "price", "id"),
        Index("ix_boxes_shelf_weight", "shelf", text("weight DESC NULLS LAST"), "id"),
        Index("ix_boxes_price_shelf", text("price DESC NULLS LAST"), "shelf", "id"),
    )

    code: Mapped[str] = mapped_column(String(20), unique=True)
    price: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    shelf: Mapped[int | None]
    weight: Mapped[int | None]
    packed_on: Mapped[date | None]
    label: Mapped[str | None] = mapped_column(String(20))
    is_open: Mapped[bool]


BOX_LIST = Listing(
    {
        "code": Annotated[Text, Field(max_length=20)],
        "price": Annotated[Decimal, Digits(10, 2)],
        "shelf": Integer | None,
        "weight": Integer | None,
        "packed_on": Date | None,
        "label": Annotated[Text, Field(max_length=20)] | None,
        "is_open": bool,
    },
    unique=["code"],
    indexes=["price", "packed_on", "label", "shelf, price", "shelf, -weight", "-price, shelf"],
)


@dataclass
class Box:
    id: int | None
    created_at: datetime
    code: str
    price: Decimal
    shelf: int | None
    weight: int | None
    packed_on: date | None
    label: str | None
    is_open: bool


class Boxes(SQLAlchemyRepository[Box, BoxModel]):
    model = BoxModel
    resource = "Box"
    unique_fields = ("code",)

    def _to_entity(self, row: Row) -> Box:
        return Box(*(row[name] for name in Box.__annotations__))

    def _to_row(self, entity: Box) -> dict[str, object]:
        return {name: getattr(entity, name) for name in Box.__annotations__}


class Recorded(Transaction):
    """Keeps what is sent to the driver."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.sent: list[tuple[object, ...]] = []

    async def _send(self, method: str, *arguments: object, **options: object) -> Any:
        self.sent.append(arguments)
        return await super()._send(method, *arguments, **options)


@pytest.fixture
async def work(database: Database) -> AsyncIterator[Recorded]:
    table = cast("Table", BoxModel.__table__)
    indexes = sorted(table.indexes, key=lambda index: str(index.name))
    async with database.connect() as connection:
        await connection.execute(str(CreateTable(table).compile(dialect=DIALECT)))
        for index in indexes:
            await connection.execute(str(CreateIndex(index).compile(dialect=DIALECT)))
    async with Recorded(database) as transaction:
        yield transaction
    async with database.connect() as connection:
        await connection.execute("DROP TABLE boxes")


async def query_of(app: ServiceApplication, parameters: str) -> ListQuery:
    async with app.test_request_context(f"/boxes?{parameters}"):
        query = find_list_query(BOX_LIST)
    assert query is not None
    return query


def fixed_by(query: ListQuery) -> set[str]:
    """Return the fields that have one value."""
    return {each.field for each in query.conditions if each.is_single}


async def errors_of(app: ServiceApplication, parameters: str) -> dict[str, str]:
    with pytest.raises(ValidationFailedError) as refused:
        await query_of(app, parameters)
    return refused.value.errors


def make_boxes(count: int) -> Iterator[Box]:
    """Yield boxes with few values, so that many are equal, and none where there may be."""
    chance = random.Random(12)
    start = datetime(2026, 11, 23, tzinfo=UTC)
    for number in range(1, count + 1):
        yield Box(
            id=number,
            created_at=start + timedelta(microseconds=chance.randrange(9)),
            code=f"c{chance.randrange(10**6):06}-{number}",
            price=Decimal(chance.randrange(5)) / 4,
            shelf=chance.choice([1, 2, 3, None]),
            weight=chance.choice([5, 6, None]),
            packed_on=chance.choice([date(2026, 1, 31), date(2026, 2, 28), None]),
            label=chance.choice(["a,b", "null", "", None]),
            is_open=chance.random() < 0.5,
        )


FILTERS = (
    "",
    "is_open=true",
    "shelf=2",
    "shelf=null",
    "shelf=1,null",
    "shelf=1,2&price_min=0.5",
    "price=0.25,0.5,1.00",
    "price_min=0.25&price_max=0.75",
    "packed_on=2026-01-31",
    "packed_on_max=2026-02-01&is_open=false",
    "label=a%2Cb&label=null",
    "label_null=true",
    "label=&label_null=true&weight=5",
    "shelf=3&weight=null",
)


class TestPages:
    @pytest.mark.parametrize("filters", FILTERS)
    async def test_pages_in_every_order_are_the_whole_list_in_that_order(
        self, app: ServiceApplication, work: Recorded, filters: str
    ) -> None:
        boxes = list(make_boxes(240))
        await work.copy(BoxModel.__table__, map(Boxes(work)._to_row, boxes))
        plain = await query_of(app, f"limit=100&{filters}")
        sorts = BOX_LIST.sorts(fixed_by(plain))

        for sort, limit in product(sorts, (7, 100)):
            asked = f"sort={sort}&limit={limit}&count=true&{filters}"
            query = await query_of(app, asked)
            expected = list_by(boxes, replace(query, limit=len(boxes)))
            found: list[Box] = []
            address: str | None = f"/boxes?{asked}"
            while address:
                async with app.test_request_context(address):
                    part = find_list_query(BOX_LIST)
                    assert part is not None
                    page = await Boxes(work).list_by(part)
                    response = Envelope.listing(replace(page, items=[]), part)
                assert response.headers["X-Total-Count"] == str(expected.total)
                assert page == list_by(boxes, part)
                found += page.items
                link = response.headers.get("Link")
                address = link and link.removeprefix("<").partition(">")[0]
            assert found == expected.items, sort
            keys = [key.removeprefix("-") for key in sort.split(",")]
            assert expected.items == sorted_by(keys, sort, expected.items)


SEARCHED_LIST = Listing({"label": Text | None, "shelf": Integer}, search=["label", "code"])


@pytest.mark.parametrize("sought", ["100%", "A_B", "k\\s", "%%%", "c12", "abc", "'; --"])
@pytest.mark.parametrize("more", ["limit=100&count=true", "limit=1&sort=-id", "shelf=1"])
async def test_a_search_finds_what_holds_a_text_as_it_is(
    app: ServiceApplication, work: Recorded, sought: str, more: str
) -> None:
    labels = ("100% wool", "100 wool", "a_b", "aXb", "back\\slash", "%%%", None, "it'; --")
    boxes = [
        replace(box, label=label, code=f"C12-{label or ''}"[:20] if number % 2 else f"c{number}")
        for number, (box, label) in enumerate(zip(make_boxes(8), labels, strict=True))
    ]
    await work.copy(BoxModel.__table__, map(Boxes(work)._to_row, boxes))

    async with app.test_request_context("/boxes", query_string={"q": sought}):
        plain = find_list_query(SEARCHED_LIST)
    async with app.test_request_context(f"/boxes?{more}&q={quote(sought)}"):
        query = find_list_query(SEARCHED_LIST)
    assert plain is not None
    assert query is not None

    assert plain.search == Search(sought, ("label", "code"))
    assert (await Boxes(work).list_by(plain)).items == [
        box
        for box in boxes
        if any(sought.lower() in text.lower() for text in (box.label or "", box.code))
    ]
    assert await Boxes(work).list_by(query) == list_by(boxes, query)


def sorted_by(keys: list[str], sort: str, boxes: list[Box]) -> list[Box]:
    """Sort again by what was asked for alone: what is in order already does not move."""
    for key, word in reversed(list(zip(keys, sort.split(","), strict=True))):
        valued = [each for each in boxes if getattr(each, key) is not None]
        valued.sort(key=lambda each: getattr(each, key), reverse=word.startswith("-"))
        boxes = valued + [each for each in boxes if getattr(each, key) is None]
    return boxes


FILTERS_OF_MANY = (
    "is_open=true",
    "shelf=2",
    "shelf=1,null",
    "shelf=null",
    "price_min=100",
    "packed_on_max=2026-09-30&is_open=false",
    "weight=5,6",
    "shelf=2&weight=null",
    "label_null=true",
    "code=c1&code=c2",
)
FILL = """
INSERT INTO boxes (code, price, shelf, weight, packed_on, label, is_open, created_at)
SELECT
    'c' || number,
    (number * 7919 % 10007) / 4.0,
    nullif(number % 11, 0),
    nullif(number % 7, 0),
    date '2026-01-01' + nullif(number % 400, 0)::int,
    nullif('l' || number % 50, 'l0'),
    number % 2 = 0,
    timestamptz '2026-01-01' + number % 5000 * interval '1 minute'
FROM generate_series(1, $1::bigint) AS number
"""


async def nodes_of(work: Recorded, sent: tuple[object, ...]) -> list[dict[str, Any]]:
    """Return the nodes of the plan that PostgreSQL has for what was sent."""
    sql, *arguments = sent
    async with work._database.connect() as connection:
        [row] = await connection.fetch(f"EXPLAIN (FORMAT JSON) {sql}", *arguments)
    nodes, waiting = [], [row["QUERY PLAN"][0]["Plan"]]
    while waiting:
        node = waiting.pop()
        nodes.append(node)
        waiting += node.get("Plans", [])
    return nodes


@pytest.mark.slow
async def test_every_order_is_read_from_an_index(app: ServiceApplication, work: Recorded) -> None:
    async with work.connection() as connection:
        await connection.execute(FILL, MANY)
        await connection.execute("ANALYZE boxes")
    await work.commit()
    boxes = Boxes(work)

    for filters in ("", *FILTERS_OF_MANY):
        plain = await query_of(app, f"limit=20&{filters}")
        for sort in BOX_LIST.sorts(fixed_by(plain)):
            query = await query_of(app, f"sort={sort}&{filters}")
            far = await boxes.list_by(replace(query, limit=1000))
            for after in (None, far.after):
                work.sent.clear()
                await boxes.list_by(replace(query, after=after))

                assert len(work.sent) <= 2 * len(query.varying)
                for sent in work.sent:
                    nodes = await nodes_of(work, sent)
                    kinds = {node["Node Type"] for node in nodes}
                    assert kinds & {"Index Scan", "Bitmap Index Scan"}, sent
                    # A few rows of one range PostgreSQL may sort, where it finds that cheaper.
                    sizes = [node["Plan Rows"] for node in nodes if "Sort" in node["Node Type"]]
                    assert max(sizes, default=0) <= MANY // 1000, sent


async def test_a_page_of_one_order_takes_one_statement(
    app: ServiceApplication, work: Recorded
) -> None:
    await work.copy(BoxModel.__table__, map(Boxes(work)._to_row, make_boxes(30)))
    for parameters in ("limit=5", "sort=-created_at", "sort=price", "shelf=2&sort=price&limit=1"):
        query = await query_of(app, parameters)
        page = await Boxes(work).list_by(query)
        work.sent.clear()

        await Boxes(work).list_by(replace(query, after=page.after))
        counted = await Boxes(work).list_by(replace(query, is_counted=True))

        assert len(work.sent) == 3
        assert counted.total == len(
            [b for b in make_boxes(30) if "shelf" not in parameters or b.shelf == 2]
        )


class TestParameters:
    @pytest.mark.parametrize("parameters", ["", "&", "&&"])
    async def test_no_parameter_asks_for_the_whole_list(
        self, app: ServiceApplication, parameters: str
    ) -> None:
        async with app.test_request_context(f"/boxes?{parameters}"):
            assert find_list_query(BOX_LIST) is None

    @pytest.mark.parametrize(
        ("parameters", "errors"),
        [
            ("limit=0", {"limit": "Must be at least 1"}),
            ("limit=101", {"limit": "Must be at most 100"}),
            ("limit=x&count=1", {"limit": "Must be an integer", "count": "Must be true or false"}),
            ("limit=1&limit=2", {"limit": "Must be given once"}),
            ("packed_on=2026-02-30", {"packed_on": "Must be a date, like 2026-11-23"}),
            ("packed_on_min=null", {"packed_on_min": "Must be a date, like 2026-11-23"}),
            ("price=1.005", {"price": "Must have at most 2 decimal places"}),
            ("price=1,x", {"price": "Must be a decimal number"}),
            ("price=null", {"price": "Must be a decimal number"}),
            ("shelf=2147483648", {"shelf": "Must be at most 2147483647"}),
            ("shelf=", {"shelf": "Must be an integer"}),
            ("shelf_min=1&shelf_min=2", {"shelf_min": "Must be given once"}),
            ("is_open=yes", {"is_open": "Must be true or false"}),
            ("is_open=null", {"is_open": "Must be true or false"}),
            ("code=a%00", {"code": "Must not contain NUL characters"}),
            (f"code={'x' * 21}", {"code": "Must be at most 20 characters"}),
            ("label_null=1", {"label_null": "Must be true"}),
            (f"shelf={'1,' * 100}1", {"shelf": "Must have at most 100 values"}),
        ],
    )
    async def test_what_cannot_be_read_is_named(
        self, app: ServiceApplication, parameters: str, errors: dict[str, str]
    ) -> None:
        assert await errors_of(app, parameters) == errors

    @pytest.mark.parametrize(
        "name", ["colour", "code_null", "label_min", "is_open_max", "Limit", ""]
    )
    async def test_a_parameter_that_does_not_exist_is_told_which_do(
        self, app: ServiceApplication, name: str
    ) -> None:
        assert await errors_of(app, f"{name}=1&limit=5") == {
            name: "Is no parameter of this list, which has limit, after, sort, count, code, price, "
            "price_min, price_max, shelf, shelf_min, shelf_max, weight, weight_min, weight_max, "
            "packed_on, packed_on_min, packed_on_max, label, label_null, is_open"
        }

    async def test_an_answer_names_few_of_many_unknown_parameters(
        self, app: ServiceApplication
    ) -> None:
        assert len(await errors_of(app, "&".join(f"x{number}" for number in range(999)))) == 10

    @pytest.mark.parametrize(
        "sort", ["weight", "is_open", "-price,-id,code", "price,-id", "-shelf,-weight,x", "", "-"]
    )
    async def test_an_order_without_an_index_is_told_which_there_are(
        self, app: ServiceApplication, sort: str
    ) -> None:
        assert await errors_of(app, f"sort={sort}") == {
            "sort": "Must be one of id; -id; created_at; -created_at; code; -code; price; -price; "
            "packed_on; -packed_on; label; -label; shelf,price; -shelf,-price; shelf,-weight; "
            "-price,shelf"
        }

    @pytest.mark.parametrize(
        ("parameters", "order"),
        [
            ("limit=1", "id"),
            ("sort=-id", "-id"),
            ("sort=code", "code"),
            ("sort=price,id", "price,id"),
            ("sort=-price,-id", "-price,-id"),
            ("sort=-price,shelf", "-price,shelf,id"),
            ("sort=shelf", "shelf,price,id"),
            ("sort=price&shelf=1", "shelf,price,id"),
            ("sort=price&shelf=null", "shelf,price,id"),
            ("sort=-shelf,price&shelf=1", "shelf,price,id"),
            ("sort=-weight&shelf=1", "shelf,-weight,id"),
            ("sort=weight&shelf=1", "-shelf,weight,-id"),
            ("sort=price&shelf=1,2", "price,id"),
            ("sort=price&shelf_min=1&shelf_max=1", "price,id"),
        ],
    )
    async def test_an_order_is_that_of_the_index_that_fits_best(
        self, app: ServiceApplication, parameters: str, order: str
    ) -> None:
        query = await query_of(app, parameters)

        written = [f"{'-' * key.descending}{key.field}" for key in query.order]
        assert ",".join(written) == order

    async def test_a_query_has_a_greatest_length(self, app: ServiceApplication) -> None:
        codes = "&".join("code=" + "x" * 20 for _ in range(99))

        assert len((await query_of(app, codes)).conditions[0].values) == 1
        with pytest.raises(RequestURITooLarge):
            await query_of(app, f"{codes}&label={'x' * 6000}")


class TestCursors:
    @pytest.fixture
    async def cursor(self, app: ServiceApplication) -> str:
        query = await query_of(app, "sort=price&shelf=1,2")
        return cursor_of(query, (Decimal("0.50"), 7))

    async def test_a_cursor_holds_where_the_next_page_begins(
        self, app: ServiceApplication, cursor: str
    ) -> None:
        query = await query_of(app, f"limit=3&after={cursor}&shelf=2,1&sort=price&count=true")

        assert query.after == (Decimal("0.50"), 7)

    @pytest.mark.parametrize(
        "parameters",
        ["", "sort=price", "sort=-price&shelf=1,2", "sort=price&shelf=1,2,null", "sort=price&shelf=1",
         "sort=price&shelf_min=1&shelf=1,2", "sort=price&weight=1,2"],
    )  # fmt: skip
    async def test_a_cursor_of_another_query_is_refused(
        self, app: ServiceApplication, cursor: str, parameters: str
    ) -> None:
        assert await errors_of(app, f"{parameters}&after={cursor}") == {
            "after": "Belongs to another query"
        }

    @pytest.mark.parametrize(
        "written", [b"", b"7", b"null", b"{}", b"[]", b"\xff", b"[" * 100_000, b'["x"', b"[NaN"]
    )
    async def test_what_is_no_cursor_is_refused(
        self, app: ServiceApplication, written: bytes
    ) -> None:
        errors = await errors_of(app, f"after={urlsafe_b64encode(written).decode()}")

        assert errors["after"] in ("Is no cursor of this list", "Belongs to another query")

    @pytest.mark.parametrize(
        "values", [[], ["1"], ["1", "2", "3"], [None, "2"], ["1", None], [1, [2]], ["1", {}], ["x", "2"],
                   ["1", str(2**63)], ["1", "2\u0000"]],
    )  # fmt: skip
    async def test_values_of_a_cursor_are_of_the_fields_types(
        self, app: ServiceApplication, cursor: str, values: list[object]
    ) -> None:
        checksum = json.loads(urlsafe_b64decode(cursor + "=="))[0]
        written = urlsafe_b64encode(json.dumps([checksum, *values]).encode()).decode()

        assert await errors_of(app, f"sort=price&shelf=1,2&after={written}") == {
            "after": "Is no cursor of this list"
        }

    async def test_the_next_page_keeps_the_parameters_of_this_one(
        self, app: ServiceApplication
    ) -> None:
        async with app.test_request_context("/boxes?after=x&label=a%2Cb&limit=1&sort=label"):
            query = replace(ListQuery(), order=(SortKey("label"), SortKey("id")))
            page: Page[object] = Page([], ('é"', 3), 9)
            response = Envelope.listing(page, query)

        cursor = cursor_of(query, ('é"', 3))
        assert re.fullmatch("[A-Za-z0-9_-]+", cursor)
        assert response.headers["Link"] == (
            f'</boxes?label=a%2Cb&limit=1&sort=label&after={cursor}>; rel="next"'
        )
        assert response.headers["X-Total-Count"] == "9"
        assert response.headers.getlist("Access-Control-Expose-Headers") == [
            "X-Total-Count",
            "Link",
        ]


async def test_a_reference_is_filtered_by_its_key_and_sorted_by_its_name(
    app: ServiceApplication,
) -> None:
    listing = Listing(
        {"shelf_id": Id | None, "price": Integer},
        indexes=["shelf_id", "price, -shelf_id"],
        names={"shelf": "shelf_id"},
    )

    async with app.test_request_context("/boxes?shelf_id=3,4,null&sort=-shelf"):
        query = find_list_query(listing)
    assert query is not None
    assert [each.values for each in query.conditions] == [(3, 4, None)]
    assert query.order == (SortKey("shelf_id", True), SortKey("id", True))
    assert [name for name in listing.parameters if name.startswith("shelf")] == ["shelf_id"]
    assert listing.sorts(frozenset())[4:] == ["shelf", "-shelf", "price,-shelf"]
    assert listing.find_order("shelf_id,price", frozenset()) is None
