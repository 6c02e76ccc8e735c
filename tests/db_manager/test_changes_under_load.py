"""Changes of a table of 200,000 rows while a program reads and writes it: none of its statements fails."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import asyncpg
import pytest

from scaffold.generation.fields import Resource
from scaffold.language.description import IndexColumn
from scaffold.revisions.writing import Revision, write_revision
from tests.db_manager.outcome import USERS, execute
from tests.db_manager.workspace_copy import WorkspaceCopy
from tests.described import products

pytestmark = pytest.mark.slow

NUMBER = 200_000
FIELDS = {
    "code": "code:str(40)",
    "stock": "stock:int",
    "note": "note:str(20)?",
    "price": "price:decimal(10,2)",
    "status": "status:enum(open, paid)=open",
    "aside": "aside:str(20)=x",
}
CATEGORIES = (
    "CREATE TABLE categories (id bigint PRIMARY KEY)",
    "INSERT INTO categories VALUES (1)",
)
ROWS = f"""
    INSERT INTO products (code, stock, note, price)
    SELECT 'old ' || number, number % 100, nullif('note', repeat('note', number % 2)), number / 3.0
    FROM generate_series(1, {NUMBER}) AS number
"""


def table(*others: str, without: str = "", **options: Any) -> Resource:
    """Return the description with other fields, in place of those of their names."""
    fields = FIELDS | {each.partition(":")[0]: each for each in others}
    return products(*(spec for name, spec in fields.items() if name != without), **options)


OLD = table()
CHANGES: dict[str, tuple[Resource, dict[str, Any]]] = {
    "an optional field": (table("extra:text?"), {}),
    "a required field with a default": (table("extra:int=0"), {}),
    "a required field that is filled": (table("extra:int"), {"fill": {"extra": 1}}),
    "a random field": (table("extra:uuid:unique=random"), {}),
    "a required field": (table("note:str(20)"), {"fill": {"note": "none"}}),
    "no required field": (table("stock:int?"), {}),
    "another default": (table("aside:str(20)=y"), {}),
    "no default": (table("aside:str(20)"), {}),
    "a wider text": (table("code:str(80)"), {}),
    "any text": (table("code:text"), {}),
    "a wider decimal": (table("price:decimal(12,2)"), {}),
    "a word": (table("status:enum(open, paid, sent)=open"), {}),
    "an index": (table(indexed=["stock"]), {}),
    "an index of several": (
        table(index=((IndexColumn("status"), IndexColumn("price", descending=True)),)),
        {},
    ),
    "a unique field": (table("code:str(40):unique"), {}),
    "unique fields": (table(unique=(("status", "code"),)), {}),
    "an optional reference": (table("extra:ref(category)?"), {}),
    "a reference to itself": (table("extra:ref(product)?"), {}),
    "a required reference that is filled": (
        table("extra:ref(category)"),
        {"fill": {"extra_id": 1}},
    ),
    "a search": (table("code:str(40):search", "note:str(20)?:search"), {}),
    "no field": (table(without="aside"), {}),
    "another name": (
        table("other:str(20)=x", without="aside"),
        {"renames": {"aside": "other"}},
    ),
}
NEEDS_NEW_CODE = (
    "a required field that is filled",
    "a required reference that is filled",
    "no default",
)
"""Whose value old code does not give: it reads and updates, and creates none."""
NARROWS = ("a wider text", "any text", "a wider decimal")
"""Whose way back writes the table anew, which is said."""


@pytest.fixture
def filled(copy: WorkspaceCopy) -> Revision:
    """A workspace with a table of many rows; the revision that made it."""
    creation = write_revision(None, OLD, parent=USERS)
    assert creation is not None
    (copy.versions / creation.file_name).write_text(creation.text)
    outcome = copy.run("migrate")
    assert outcome.code == 0, outcome.err
    execute(copy.url, *CATEGORIES, ROWS, "ANALYZE products")
    return creation


async def test_no_statement_fails_and_none_waits_over_a_second(
    copy: WorkspaceCopy, filled: Revision
) -> None:
    for name, (new, options) in CHANGES.items():
        revision = write_revision(OLD, new, parent=filled.id, **options)
        assert revision is not None
        file = copy.versions / revision.file_name
        file.write_text(revision.text)

        async with program(copy.url, inserts=name not in NEEDS_NEW_CODE) as done:
            up = await asyncio.to_thread(copy.run, "migrate")
            assert up.code == 0, f"{name}: {up.err}"
            assert min(done.values()) > 0, name
        if name in NARROWS:
            down = await asyncio.to_thread(copy.run, "downgrade", "-1", "--yes")
        else:
            async with program(copy.url, inserts=name not in NEEDS_NEW_CODE):
                down = await asyncio.to_thread(copy.run, "downgrade", "-1", "--yes")
        assert down.code == 0, f"{name}: {down.err}"
        file.unlink()


@asynccontextmanager
async def program(url: str, *, inserts: bool) -> AsyncIterator[Counter[str]]:
    """Read and write rows as a service of the old code does; counts what it did."""
    done = Counter(read=0, update=0, **({"insert": 0} if inserts else {}))
    is_over = asyncio.Event()

    async def work(connection: asyncpg.Connection) -> None:
        chance = random.Random(0)
        while not is_over.is_set():
            number = chance.randint(1, NUMBER)
            await connection.fetch(
                "SELECT id, code, stock, note FROM products WHERE id = $1", number
            )
            done["read"] += 1
            await connection.execute("UPDATE products SET stock = stock + 1 WHERE id = $1", number)
            done["update"] += 1
            if inserts:
                code = f"new {next(_codes)}"
                await connection.execute(
                    "INSERT INTO products (code, stock, note, price) VALUES ($1, 1, 'new', 1)", code
                )
                done["insert"] += 1

    async def read_slowly(connection: asyncpg.Connection) -> None:
        """Hold a lock for longer than a revision waits for its own."""
        while not is_over.is_set():
            async with connection.transaction():
                await connection.fetch("SELECT id FROM products WHERE id = 1")
                await asyncio.sleep(0.7)
            await asyncio.sleep(0.7)

    # A statement that waits for a lock for a second fails.
    settings = {"lock_timeout": "1s"}
    connections = [await asyncpg.connect(url, server_settings=settings) for _ in range(5)]
    async with asyncio.TaskGroup() as group:
        for each in connections[1:]:
            group.create_task(work(each))
        group.create_task(read_slowly(connections[0]))
        yield done
        is_over.set()
    for each in connections:
        await each.close()


_codes = count()
