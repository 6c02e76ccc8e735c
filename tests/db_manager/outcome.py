"""What a command did, and what a database holds."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import asyncpg

ResultT = TypeVar("ResultT")

USERS = "3ef43f3fe70a"
"""The revision that ships with the framework."""

_SCHEMA = """
    SELECT 'column', concat_ws(' ', table_name, ordinal_position, column_name, data_type,
           character_maximum_length, is_nullable, column_default, identity_generation)
    FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL
    SELECT 'constraint', conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid <> 0
    UNION ALL
    SELECT 'index', indexdef FROM pg_indexes WHERE schemaname = 'public'
    ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """An exit code and what was printed."""

    code: int
    out: str
    err: str


def execute(url: str, *statements: str) -> None:
    """Run statements, each in a transaction of its own."""

    async def run(connection: asyncpg.Connection) -> None:
        for statement in statements:
            await connection.execute(statement)

    asyncio.run(_with_connection(url, run))


def fetch(url: str, query: str) -> list[tuple[object, ...]]:
    """Return the rows of a query."""

    async def run(connection: asyncpg.Connection) -> list[tuple[object, ...]]:
        return [tuple(row) for row in await connection.fetch(query)]

    return asyncio.run(_with_connection(url, run))


async def _with_connection(
    url: str, use: Callable[[asyncpg.Connection], Awaitable[ResultT]]
) -> ResultT:
    connection = await asyncpg.connect(url)
    try:
        return await use(connection)
    finally:
        await connection.close()


def schema(url: str) -> list[tuple[object, ...]]:
    """Return the columns, constraints and indexes, in words."""
    return fetch(url, _SCHEMA)


def revisions(url: str) -> list[tuple[object, ...]]:
    """Return what the database says it is at."""
    return fetch(url, "SELECT version_num FROM alembic_version")


def tables(url: str) -> set[str]:
    """Return the names of tables and views, with their schemas."""
    rows = fetch(
        url,
        "SELECT table_schema || '.' || table_name FROM information_schema.tables "
        "WHERE table_schema NOT IN ('pg_catalog', 'information_schema')",
    )
    return {str(name) for (name,) in rows}
