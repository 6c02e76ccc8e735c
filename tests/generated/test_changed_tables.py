"""Revisions between two descriptions, applied to a real table: up, down, and up again."""

import random
from collections.abc import AsyncIterator
from dataclasses import replace

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from scaffold.conversions import convert
from scaffold.fields import Resource
from scaffold.language.description import IndexColumn, Value
from scaffold.language.grammar import parse_field
from scaffold.revisions import Revision, write_revision
from scaffold.samples import samples_of
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
}
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
    return f"{name}:{kind}{optional}{unique}" + f"={default}" * (chance.random() < 0.3)


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
    return {each.name: samples_of(each)[0] for each in new.description.fields}


def written(
    old: Resource | None, new: Resource | None, renames: dict[str, str] | None = None
) -> Revision | None:
    """Write a revision in which all that needs a value has one."""
    fill = filled(old, new) if old and new else {}
    return write_revision(old, new, parent="3ef43f3fe70a", fill=fill, renames=renames)


def created(connection: Connection, resource: Resource) -> list[tuple[str, str]]:
    """Return what a database has of a description whose table it was without."""
    creation = written(None, resource)
    assert creation is not None
    apply(connection, creation)
    found = catalogue(connection)
    apply(connection, creation, "downgrade")
    return found


def modelled(connection: Connection, resource: Resource) -> list[tuple[str, str]]:
    """Return what a database has of the resource's model."""
    metadata = metadata_of(resource)
    with connection.begin():
        metadata.create_all(connection)
    found = catalogue(connection)
    with connection.begin():
        metadata.drop_all(connection)
    return found


@pytest.mark.parametrize(
    "seed", [*range(8), *(pytest.param(each, marks=pytest.mark.slow) for each in range(8, 100))]
)
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
