"""Revisions between two descriptions, applied to a real table: up, down, and up again."""

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from scaffold.generation.fields import Resource
from scaffold.generation.samples import samples_of
from scaffold.language.description import IndexColumn, Value
from scaffold.language.grammar import parse_field
from scaffold.revisions.conversions import convert
from scaffold.revisions.writing import Revision, write_revision
from tests.described import apply, catalogue, metadata_of, products

TYPES = {
    "str(5)": '"a:b"',
    "str(80)": '"\\\\"',
    "text": '"it\'s"',
    "int": "1",
    "bigint": "-1",
    "float": "0.5",
    "decimal(10,2)": "1.5",
    "decimal(12,3)": "1.5",
    "bool": "false",
    "date": "2026-11-23",
    "time": "09:24:02",
    "datetime": "now",
    "duration": "PT1H",
    "uuid": "random",
    "email": '"a@b"',
    "url": '"http://a"',
    "enum(a, b)": "a",
    "enum(b, c-d)": "b",
    "ref(category)": "",
    "ref(category, cascade)": "",
}
SAMPLES = {
    **dict.fromkeys(("int", "bigint", "float", "decimal"), "1"),
    "bool": "true",
    "date": "2026-11-23",
    "time": "09:24:02",
    "datetime": "2026-11-23T09:24:02Z",
    "duration": "PT1H",
    "uuid": "0b0f8a52-6f5c-4d3e-9a57-0c1d2e3f4a5b",
}
"""Values that are no texts."""
NAMES = ("name", "order", "user", "note", "price", "value", "metadata")
"""Words of SQL and of SQLAlchemy among them."""
NEW_NAMES = ("title", "group", "text_two")


@pytest_asyncio.fixture
async def connection(fresh_database_url: str) -> AsyncIterator[AsyncConnection]:
    """A connection to an empty database."""
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(fresh_database_url)
    )
    async with engine.connect() as opened:
        await opened.execute(text("CREATE TABLE categories (id bigint PRIMARY KEY)"))
        await opened.execute(text("INSERT INTO categories VALUES (1)"))
        await opened.commit()
        yield opened
    await engine.dispose()


def described(chance: random.Random) -> Resource:
    """Return any description."""
    return _with_options([_spec(chance, each) for each in NAMES if chance.random() < 0.6], chance)


def changed(chance: random.Random, old: Resource) -> tuple[Resource, dict[str, str]]:
    """Return another one, and what is renamed in it."""
    specs, renames = [], dict[str, str]()
    for field in old.description.fields:
        name, what = field.name, chance.random()
        if what < 0.15:
            continue
        if what < 0.3 and len(renames) < len(NEW_NAMES):
            name = renames[field.name] = NEW_NAMES[len(renames)]
        spec = _spec(chance, name)
        if what > 0.6 or convert(field.type, parse_field(spec).type) is None:
            spec = f"{name}:{str(replace(field, index=False)).partition(':')[2]}"
        specs.append(spec)
    present = {field.name for field in old.description.fields}
    specs += [
        _spec(chance, each) for each in NAMES if each not in present and chance.random() < 0.3
    ]
    return _with_options(specs, chance), renames


def _spec(chance: random.Random, name: str) -> str:
    kind, default = chance.choice(list(TYPES.items()))
    optional = "?" * (chance.random() < 0.4)
    unique = ":unique" * (chance.random() < 0.2)
    is_text = kind.partition("(")[0] in ("str", "text", "email", "url")
    unique += ":search" * (is_text and chance.random() < 0.3)
    has_default = default and chance.random() < 0.3
    return f"{name}:{kind}{optional}{unique}" + f"={default}" * bool(has_default)


def _with_options(specs: list[str], chance: random.Random) -> Resource:
    specs = specs or ["name:str(80)"]
    names = [each.partition(":")[0] for each in specs]
    some = tuple(chance.sample(names, min(len(names), 2)))
    return products(
        *specs,
        indexed=chance.sample(names, chance.randint(0, 1)),
        index=((IndexColumn(some[0], chance.random() < 0.5), IndexColumn(some[-1])),)
        * (len(some) > 1 and chance.random() < 0.5),
        unique=(some,) * (len(some) > 1 and chance.random() < 0.5),
        has_active=chance.random() < 0.8,
    )


def filled(old: Resource, new: Resource) -> dict[str, Value]:
    """Return a value for each field that may need one."""
    fields = [each for each in new.description.fields if each.type.name != "many"]
    return {each.key: samples_of(each)[0] for each in fields}


def written(
    old: Resource | None, new: Resource | None, renames: dict[str, str] | None = None
) -> Revision | None:
    """Write a revision in which all that needs a value has one."""
    fill = filled(old, new) if old and new else {}
    keys = {each.name: each.key for one in (old, new) if one for each in one.description.fields}
    columns = {keys[was]: keys[name] for was, name in (renames or {}).items()}
    return write_revision(old, new, parent="3ef43f3fe70a", fill=fill, renames=columns)


def created(connection: Connection, resource: Resource) -> list[tuple[str, str]]:
    """Return what a database has of a description whose table it was without."""
    creation = written(None, resource)
    assert creation is not None
    apply(connection, creation)
    found = catalogue(connection, resource.table)
    apply(connection, creation, "downgrade")
    return found


def modelled(connection: Connection, resource: Resource) -> list[tuple[str, str]]:
    """Return what a database has of the resource's model."""
    metadata = metadata_of(resource)
    with connection.begin():
        connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        metadata.create_all(connection)
    found = catalogue(connection)
    with connection.begin():
        metadata.drop_all(connection, [metadata.tables[resource.table]])
    return found


SEEDS = range(44)
"""Of five changes each."""


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.slow
async def test_any_change_leads_to_what_the_new_description_gives_and_back(
    connection: AsyncConnection, seed: int
) -> None:
    chance = random.Random(seed)

    def go_through(connection: Connection) -> None:
        for _ in range(5):
            old = described(chance)
            new, renames = changed(chance, old)
            before, after = created(connection, old), created(connection, new)
            assert modelled(connection, new) == after
            creation, change = written(None, old), written(old, new, renames)
            assert creation is not None
            apply(connection, creation)
            if change is None:
                assert before == after
            else:
                for way, expected in (("upgrade", after), ("downgrade", before)) * 2:
                    apply(connection, change, way)
                    assert catalogue(connection) == expected, (way, change.text)
            apply(connection, creation, "downgrade")

    await connection.run_sync(go_through)


OLD = products(
    *("name:str(120):unique", "price:decimal(10,2)", "note:str(20)?", "status:enum(a, b)=a"),
    *("gone:str(5):unique", "stock:int"),
    indexed=["price", "stock"],
)
NEW = products(
    *("name:str(200):unique", "cost:decimal(12,2)=1", "note:text", "status:enum(a, b, c)=c"),
    *("order:int", "token:uuid:unique=random", "stock:bigint?:unique"),
    indexed=["cost", "order"],
    index=((IndexColumn("cost"), IndexColumn("note", descending=True)),),
    unique=(("name", "note"),),
    has_active=False,
)
FILL: dict[str, Value] = {"order": 7, "note": "it's: $$100 \\% é"}
ROWS = """
    INSERT INTO products (name, price, note, gone, stock)
    VALUES ('one', 1.5, NULL, 'x', 1), ('two', 2, 'kept', 'y', 2)
"""


@pytest.fixture
def change() -> Revision:
    """A revision with every kind of operation."""
    found = write_revision(OLD, NEW, parent=None, fill=FILL, renames={"price": "cost"})
    assert found is not None
    return found


async def test_rows_keep_their_values_and_get_those_that_were_given(
    connection: AsyncConnection, change: Revision
) -> None:
    def up_and_down(connection: Connection) -> tuple[list[object], list[object]]:
        prepare(connection)
        apply(connection, change)
        after = rows(connection, 'name, cost, note, status, "order", token IS NOT NULL, stock')
        apply(connection, change, "downgrade")
        return after, rows(connection, "name, price, note, status, gone, stock, is_active")

    after, before = await connection.run_sync(up_and_down)

    assert after == [
        ("one", Decimal("1.50"), FILL["note"], "a", 7, True, 1),
        ("two", Decimal("2.00"), "kept", "a", 7, True, 2),
    ]
    assert before == [
        ("one", Decimal("1.50"), FILL["note"], "a", "1", 1, True),
        ("two", Decimal("2.00"), "kept", "a", "2", 2, True),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("way", ["upgrade", "downgrade"])
async def test_a_run_that_was_interrupted_anywhere_is_done_again(
    connection: AsyncConnection, change: Revision, way: str
) -> None:
    class InterruptedRunError(Exception):
        pass

    left = 0

    def interrupt(*_: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise InterruptedRunError

    def interrupt_everywhere(connection: Connection) -> int:
        nonlocal left
        event.listen(connection, "before_cursor_execute", interrupt)
        creation = prepare(connection)
        old = catalogue(connection)
        apply(connection, change)
        expected = catalogue(connection) if way == "upgrade" else old
        for number in count(1):
            if way == "upgrade":
                apply(connection, change, "downgrade")
                apply(connection, creation, "downgrade")
                prepare(connection)
            elif number > 1:
                apply(connection, change)
            left = number
            try:
                apply(connection, change, way)
            except InterruptedRunError:
                connection.rollback()
                apply(connection, change, way)
                assert catalogue(connection) == expected, number
            else:
                return number
        return 0

    assert await connection.run_sync(interrupt_everywhere) > 20


async def test_what_would_be_cut_or_lost_is_refused_by_postgresql(
    connection: AsyncConnection,
) -> None:
    narrower = products(
        *("name:str(2):unique", "price:decimal(10,2)", "note:str(20)?", "status:enum(a, b)=a"),
        *("gone:str(5):unique", "stock:int"),
        indexed=["price", "stock"],
    )
    change = written(OLD, narrower)

    def narrow(connection: Connection) -> list[object]:
        assert change is not None
        prepare(connection)
        with pytest.raises(DBAPIError, match="value too long"):
            apply(connection, change)
        connection.rollback()
        return rows(connection, "name")

    assert await connection.run_sync(narrow) == [("one",), ("two",)]


@pytest.mark.parametrize("is_there", [False, True])
async def test_the_extension_of_a_search_goes_where_a_revision_made_it(
    connection: AsyncConnection, is_there: bool
) -> None:
    plain, searched = products("name:str(20)"), products("name:str(20):search")
    creation, change, whole = (
        written(None, plain),
        written(plain, searched),
        written(None, searched),
    )
    assert creation is not None
    assert change is not None
    assert whole is not None

    def extensions(connection: Connection) -> list[object]:
        with connection.begin():
            query = "SELECT extname FROM pg_extension WHERE extname <> 'plpgsql'"
            return [row[0] for row in connection.exec_driver_sql(query)]

    def go(connection: Connection) -> list[list[object]]:
        found = []
        if is_there:
            with connection.begin():
                connection.exec_driver_sql("CREATE EXTENSION pg_trgm")
        for revision, way in (
            (whole, "upgrade"),
            (whole, "downgrade"),
            (creation, "upgrade"),
            (change, "upgrade"),
            (change, "downgrade"),
        ):
            apply(connection, revision, way)
            found.append(extensions(connection))
        return found

    there: list[object] = ["pg_trgm"]
    without = there if is_there else []
    assert await connection.run_sync(go) == [there, without, without, there, without]


async def test_json_is_added_made_of_text_and_dropped(connection: AsyncConnection) -> None:
    old = products("name:str(20)", "note:text", "data:json")
    new = products("name:str(20)", "note:json", "more:json")
    creation = written(None, old)
    change = write_revision(old, new, parent=None, fill={"more": '{"a: $$": "it\'s"}'})
    assert creation is not None
    assert change is not None

    def go(connection: Connection) -> tuple[list[object], list[object]]:
        before, after = created(connection, old), created(connection, new)
        assert modelled(connection, new) == after
        apply(connection, creation)
        with connection.begin():
            connection.exec_driver_sql(
                """INSERT INTO products (name, note, data) VALUES ('x', '[1]', '"gone"')"""
            )
        apply(connection, change)
        assert catalogue(connection) == after
        found = rows(connection, "note, more")
        apply(connection, change, "downgrade")
        assert catalogue(connection) == before
        return found, rows(connection, "note, data")

    assert await connection.run_sync(go) == (
        [([1], {"a: $$": "it's"})],
        [("[1]", {})],
    )


@pytest.mark.slow
async def test_values_become_those_of_another_type_and_twice_the_same(
    connection: AsyncConnection,
) -> None:
    kinds = [parse_field(f"value:{each}?") for each in TYPES if not each.startswith("ref")]
    texts = [each for each in kinds if each.type.name not in SAMPLES]
    narrow = {"str(5)", "enum(a, b)", "enum(b, c-d)"}
    pairs = [
        (old, new)
        for old in kinds
        for new in kinds
        if convert(old.type, new.type) is not None
        and ((old in texts) is (new in texts) or not {str(old.type), str(new.type)} & narrow)
    ]

    def convert_all(connection: Connection) -> None:
        for old, new in pairs:
            # A text has to be one of the other type.
            told = new if old in texts else old
            value = SAMPLES.get(told.type.name, "b")
            # With an index, which is made apart, the revision is one that can be repeated.
            before, after = products(str(old)), products(str(new), indexed=["value"])
            creation, change = written(None, before), written(before, after)
            assert creation is not None
            assert change is not None
            expected = created(connection, after)
            apply(connection, creation)
            with connection.begin():
                connection.exec_driver_sql(f"INSERT INTO products ({old.key}) VALUES ('{value}')")
            apply(connection, change)
            apply(connection, change)
            assert catalogue(connection) == expected, (str(old), str(new))
            apply(connection, change, "downgrade")
            assert rows(connection, "value IS NULL") == [(False,)]
            apply(connection, creation, "downgrade")

    await connection.run_sync(convert_all)


async def test_a_date_becomes_midnight_in_utc_wherever_the_session_is(
    connection: AsyncConnection,
) -> None:
    old, new = products("at:date"), products("at:datetime", indexed=["at"])
    creation, change = written(None, old), written(old, new)

    def convert_dates(connection: Connection) -> list[list[object]]:
        assert creation is not None
        assert change is not None
        with connection.begin():
            connection.exec_driver_sql("SET timezone = 'America/New_York'")
        apply(connection, creation)
        with connection.begin():
            connection.exec_driver_sql("INSERT INTO products (at) VALUES ('2026-11-23')")
        apply(connection, change)
        apply(connection, change)
        after = rows(connection, "at")
        apply(connection, change, "downgrade")
        return [after, rows(connection, "at")]

    assert await connection.run_sync(convert_dates) == [
        [(datetime(2026, 11, 23, tzinfo=UTC),)],
        [(date(2026, 11, 23),)],
    ]


async def test_a_negative_duration_is_what_rows_get_that_are_there_and_that_come(
    connection: AsyncConnection,
) -> None:
    old = products("name:str(9)")
    new = products("name:str(9)", "late:duration=-P9DT23H8M16.064428S", "early:duration")
    early = timedelta(days=-1, seconds=0.5)
    creation = written(None, old)
    change = write_revision(old, new, parent=None, fill={"early": early})

    def add(connection: Connection) -> list[object]:
        assert creation is not None
        assert change is not None
        assert modelled(connection, new) == created(connection, new)
        apply(connection, creation)
        with connection.begin():
            connection.exec_driver_sql("INSERT INTO products (name) VALUES ('old')")
        apply(connection, change)
        with connection.begin():
            connection.exec_driver_sql("INSERT INTO products (name, early) VALUES ('new', 'PT1S')")
        return rows(connection, "name, late, early")

    late = -timedelta(days=9, hours=23, minutes=8, seconds=16.064428)
    assert await connection.run_sync(add) == [
        ("old", late, early),
        ("new", late, timedelta(seconds=1)),
    ]


async def test_a_table_may_get_another_name(connection: AsyncConnection) -> None:
    old = products("name:str(20):unique", "kind:enum(a, b)", indexed=["kind"])
    new = replace(old, many="wares", description=replace(old.description, plural="wares"))
    change = write_revision(old, new, parent=None)

    def rename(connection: Connection) -> None:
        assert change is not None
        after, creation = created(connection, new), written(None, old)
        assert creation is not None
        apply(connection, creation)
        before = catalogue(connection)
        apply(connection, change)
        assert catalogue(connection, "wares") == after
        apply(connection, change, "downgrade")
        assert catalogue(connection) == before

    await connection.run_sync(rename)


KINDS = products("name:str(20)", "kinds:many(category)")
WARES = replace(KINDS, many="wares", description=replace(KINDS.description, plural="wares"))
TABLES = ("products", "wares", "product_kinds", "product_groups")


@pytest.mark.parametrize(
    ("old", "new", "renames"),
    [
        (products("name:str(20)"), KINDS, {}),
        (products("name:str(20):unique", "groups:many(category)"), KINDS, {}),
        (products("name:str(20)", "groups:many(category)"), KINDS, {"groups": "kinds"}),
        (products("name:str(20)", "kinds:many(product)"), KINDS, {}),
        (KINDS, WARES, {}),
        (KINDS, products("name:str(20)", "kinds:many(category)", "groups:many(product)"), {}),
    ],
)
async def test_tables_of_pairs_follow_their_fields(
    connection: AsyncConnection, old: Resource, new: Resource, renames: dict[str, str]
) -> None:
    def everything(connection: Connection) -> list[list[tuple[str, str]]]:
        return [catalogue(connection, each) for each in TABLES]

    def go_through(connection: Connection) -> None:
        creations = [written(None, each) for each in (new, old)]
        change = written(old, new, renames)
        assert change is not None
        metadata = metadata_of(new)
        with connection.begin():
            metadata.create_all(connection)
        after = everything(connection)
        with connection.begin():
            metadata.drop_all(
                connection, [each for each in metadata.sorted_tables if each.name != "categories"]
            )
        for creation in creations:
            assert creation is not None
            apply(connection, creation)
            found = everything(connection)
            if creation is creations[0]:
                assert found == after
                apply(connection, creation, "downgrade")
        for way, expected in (("upgrade", after), ("downgrade", found)) * 2:
            apply(connection, change, way)
            assert everything(connection) == expected, (way, change.text)

    await connection.run_sync(go_through)


def prepare(connection: Connection) -> Revision:
    """Create the old table with two rows; return the revision."""
    creation = written(None, OLD)
    assert creation is not None
    apply(connection, creation)
    with connection.begin():
        connection.exec_driver_sql(ROWS)
    return creation


def rows(connection: Connection, columns: str) -> list[object]:
    """Return the products."""
    with connection.begin():
        found = connection.exec_driver_sql(f"SELECT {columns} FROM products ORDER BY id")
        return [tuple(each) for each in found]
