"""What the database is busy with: its size, its connections, its largest tables."""

import asyncio
import json
import sys
from dataclasses import asdict, dataclass

from sqlalchemy import text

from db_manager.connection import load_config, open_target

_DATABASE = text("""
    SELECT pg_database_size(current_database()) AS size,
           CAST(current_setting('max_connections') AS int) AS connection_limit,
           count(*) AS connections,
           count(*) FILTER (WHERE state <> 'idle') AS in_use,
           count(*) FILTER (WHERE wait_event_type = 'Lock') AS waiting,
           coalesce(extract(epoch FROM max(now() - xact_start)), 0) AS oldest_transaction
      FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid()
""")
_TABLES = text("""
    SELECT relname AS name, pg_total_relation_size(relid) AS size, n_live_tup AS rows
      FROM pg_stat_user_tables ORDER BY 2 DESC, 1 LIMIT 10
""")


@dataclass(frozen=True, slots=True)
class TableSize:
    """A table."""

    name: str
    size: int
    """Bytes, with indexes."""
    rows: int
    """As PostgreSQL's statistics have them, which is about right."""


@dataclass(frozen=True, slots=True)
class Activity:
    """The database as it is at a moment."""

    size: int
    """Bytes."""
    connections: int
    """All of this database, but the one that asks."""
    in_use: int
    """Of these, at work or in a transaction."""
    waiting: int
    """Of these, for a lock of another one."""
    connection_limit: int
    """Of the server."""
    oldest_transaction: float
    """Seconds that a transaction has been open for, at most."""
    tables: tuple[TableSize, ...]
    """The largest ones."""

    def to_json(self) -> str:
        """Write every field in a line."""
        return json.dumps({"version": 1, **asdict(self)})


async def tell_activity(interval: float | None, wait: float) -> None:
    """Print what the database is busy with; again at an interval in seconds until the input ends.

    Raises ManagerError.
    """
    ended = asyncio.Event()
    if interval is not None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        reading = asyncio.create_task(reader.read())
        reading.add_done_callback(lambda _: ended.set())
    async with open_target(load_config(), wait) as target, target.connect() as connection:
        while not ended.is_set():
            found = (await connection.execute(_DATABASE)).one()
            tables = (await connection.execute(_TABLES)).all()
            await connection.rollback()
            told = Activity(
                found.size, found.connections, found.in_use, found.waiting,
                found.connection_limit, round(float(found.oldest_transaction), 3),
                tuple(TableSize(*each) for each in tables),
            )  # fmt: skip
            print(told.to_json(), flush=True)
            if interval is None:
                return
            try:
                async with asyncio.timeout(interval):
                    await ended.wait()
            except TimeoutError:
                continue
