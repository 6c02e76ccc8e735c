"""How the connections of one process are opened: by what address, and through what."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from enum import Enum, auto
from functools import partial
from secrets import token_hex
from socket import EAI_AGAIN, gaierror
from typing import Any, TypeVar

import asyncpg

from quart_fleet.database.explanations import CONNECTION_ERRORS, UNPREPARED
from quart_fleet.database_url import (
    connect_arguments,
    names_of_hosts,
    number_of_hosts,
    pools_transactions,
)
from quart_fleet.settings import DatabaseSettings

CONNECT_TIMEOUT = 10.0
"""Seconds to wait for a new connection (a URL's `connect_timeout` wins), and for a free one."""
HOST_TIMEOUT = 2.0
"""Seconds to wait for a connection to one of several hosts, before the next one is asked."""
LOOKUP_TIMEOUT = 0.4
"""Seconds to wait for a host's address. The lookup goes on, and the next caller may find it."""
_LOST = (
    "DATABASE_URL leads through a pooler whose connections share sessions, where prepared"
    " statements are lost: none is kept any more. Set DATABASE_POOLER=pgbouncer, and each process"
    " knows it from its start."
)
_STALE = (
    "A column has another type than a statement was prepared for, and the pooler's sessions keep"
    " it: this process keeps none prepared until it starts again."
)
STATEMENT_CACHE_SIZE = 100
"""Statements that a connection keeps prepared; asyncpg's default, and SQLAlchemy's."""
_ATTEMPTS = 3
"""How often a pooler is asked, since other clients may use it at the same moment."""
_SESSION_TIMEOUT = 2.0
"""Seconds after which a second connection of the pooler is given up."""

_log = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")
Connect = Callable[[], Awaitable[asyncpg.Connection]]


class Pooling(Enum):
    """What a pooler between this process and the server does with sessions."""

    NONE = auto()
    """Each connection has a session of its own, or nothing to the contrary was seen."""
    SHARED = auto()
    """Transactions of one connection run in several sessions; prepared statements follow them."""
    UNPREPARED = auto()
    """As SHARED, but prepared statements are left behind in the sessions."""


async def find_pooling(connect: Connect) -> Pooling:
    """Look whether sessions are shared; two different connections in one session are proof.

    Args:
        connect: opens a connection that keeps no statement prepared.
    """
    first = await connect()
    try:
        async with asyncio.timeout(_SESSION_TIMEOUT):
            second = await connect()
            try:
                for _ in range(_ATTEMPTS):
                    found = await _compare_sessions(first, second)
                    if found is not Pooling.NONE:
                        return found
            finally:
                second.terminate()
    except UNPREPARED:
        return Pooling.UNPREPARED
    except CONNECTION_ERRORS:
        pass  # the second connection waits for a session of its own, say, or is one too many
    finally:
        first.terminate()
    return Pooling.NONE


async def _compare_sessions(first: asyncpg.Connection, second: asyncpg.Connection) -> Pooling:
    probe = f"probe_{token_hex(8)}"
    async with first.transaction():
        process = await first.fetchval("SELECT pg_backend_pid()")
        await first.prepare("SELECT 1", name=probe)
    async with second.transaction():
        if process <= 0 or await second.fetchval("SELECT pg_backend_pid()") != process:
            return Pooling.NONE
        names = "SELECT EXISTS (SELECT FROM pg_prepared_statements WHERE name = $1)"
        if not await second.fetchval(names, probe):
            return Pooling.SHARED
        await second.execute(f"DEALLOCATE {probe}")
    return Pooling.UNPREPARED


class Connector:
    """Opens connections to one database; it learns from the first whether a pooler is between.

    Args:
        url: the address, as `normalise` returns it.
        config: whether a pooler is known of.
    """

    def __init__(self, url: str, config: DatabaseSettings) -> None:
        # asyncpg's timeout is that of each host: one that is silent keeps the next one waiting.
        several = number_of_hosts(url) > 1
        timeout = HOST_TIMEOUT if several else CONNECT_TIMEOUT
        self._arguments = {"timeout": timeout, **connect_arguments(url)}
        self._names = names_of_hosts(url)
        self._lookup: asyncio.Task[None] | None = None
        self._look: asyncio.Task[Pooling] | None = None
        self.pooling = Pooling.UNPREPARED if pools_transactions(url) else None
        if config.database_pooler is not None:
            follows = config.database_pooler == "pgbouncer-prepared"
            self.pooling = Pooling.SHARED if follows else Pooling.UNPREPARED
        """None before the first connection."""

    @property
    def statement_cache_size(self) -> int:
        """How many statements a connection keeps prepared."""
        return 0 if self.pooling is Pooling.UNPREPARED else STATEMENT_CACHE_SIZE

    async def connect(
        self, *, command_timeout: float | None = None, is_prepared: bool = True
    ) -> asyncpg.Connection:
        """Open a connection, which keeps statements prepared where that is possible and wanted."""
        if self._names:
            await self._look_up()
        connection = await self._open(command_timeout, is_prepared)
        if self.pooling is not None:
            return connection
        # The server process that answers is the one which opened the session. By its status,
        # which needs no prepared statement.
        is_same = f"SELECT 1 WHERE pg_backend_pid() = {connection.get_server_pid()}"
        try:
            is_direct = await connection.execute(is_same) == "SELECT 1"
        except BaseException:
            connection.terminate()
            raise
        if is_direct:
            self.pooling = self.pooling or Pooling.NONE
            return connection
        connection.terminate()
        # One look for all that wait: the connections of several would disturb each other.
        if self._look is None or self._look.done():
            unprepared = partial(asyncpg.connect, statement_cache_size=0, **self._arguments)
            self._look = _retrieved(find_pooling(unprepared))
        found = await asyncio.shield(self._look)
        if found is Pooling.UNPREPARED:
            self.prepare_nothing()
        self.pooling = self.pooling or found
        return await self._open(command_timeout, is_prepared)

    def prepare_nothing(self, error: Exception | None = None) -> bool:
        """Let no statement stay prepared from now on, and say once why; returns whether it is new.

        Args:
            error: what a statement met; None where the pooler was recognised before any did.
        """
        if self.pooling is Pooling.UNPREPARED:
            return False
        self.pooling = Pooling.UNPREPARED
        is_stale = isinstance(error, asyncpg.InvalidCachedStatementError)
        _log.warning(_STALE if is_stale else _LOST)
        return True

    def close(self) -> None:
        """End what is under way."""
        for task in (self._lookup, self._look):
            if task is not None:
                task.cancel()

    async def _open(self, command_timeout: float | None, is_prepared: bool) -> asyncpg.Connection:
        return await asyncpg.connect(
            command_timeout=command_timeout,
            statement_cache_size=self.statement_cache_size if is_prepared else 0,
            **self._arguments,
        )

    async def _look_up(self) -> None:
        """Wait for the address of one host at least; raises OSError, soon.

        A name server that does not answer holds a lookup for five seconds and more. asyncpg
        looks the name up again, for the certificate is checked by it.
        """
        if self._lookup is None or self._lookup.done():
            self._lookup = _retrieved(_find_address(self._names))
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT):
                await asyncio.shield(self._lookup)
        except TimeoutError:
            raise gaierror(EAI_AGAIN, "the name server does not answer") from None


def _retrieved(work: Coroutine[Any, Any, ResultT]) -> asyncio.Task[ResultT]:
    """Start a task whose exception is not reported where no caller waits for it any longer."""
    task = asyncio.create_task(work)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task


async def _find_address(names: list[str]) -> None:
    """Return when one of the names has an address; raises OSError for the last one otherwise."""
    loop = asyncio.get_running_loop()
    for name in names[:-1]:
        with suppress(OSError):
            await loop.getaddrinfo(name, None)
            return
    await loop.getaddrinfo(names[-1], None)
