"""The database of one process: its pool of connections, and what is done when it falls silent.

asyncpg's own pool lets late callers in first, and starts a task for each connection that is
released: a read by id took a tenth more computing time with it.
"""

import asyncio
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from socket import gaierror
from time import monotonic
from typing import TYPE_CHECKING, Protocol, Self
from weakref import WeakKeyDictionary, WeakSet

import asyncpg
import orjson

from quart_fleet.bounds import BOUND
from quart_fleet.database._connector import CONNECT_TIMEOUT, Connector, Pooling
from quart_fleet.database._sessions import (
    LISTENERS,
    create_engine,
    create_joined_engine,
    joined,
    listeners_of,
)
from quart_fleet.database._statement import telling_of
from quart_fleet.database.explanations import (
    CONNECTION_ERRORS,
    UNPREPARED,
    is_server_unavailable,
)
from quart_fleet.database_url import accepts_standby, number_of_hosts, place_of
from quart_fleet.errors import ConfigurationError, DatabaseUnavailableError
from quart_fleet.logs import HIDDEN, names_secret
from quart_fleet.observation import Observers, Place
from quart_fleet.postgres import EmbeddedPostgresError
from quart_fleet.settings import DatabaseSettings

if TYPE_CHECKING:
    # Repositories do without: only a use of sessions pays for them, in start and memory.
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker


SWEEP_INTERVAL = 150.0
"""Seconds between two looks for idle connections that were not needed."""

CLOSE_TIMEOUT = 5.0
"""Seconds that a connection gets to end in good order."""
SUSPICION = 0.5
"""Seconds in which no connection is released, while some are in use, before the server is asked."""
SILENCE = 2.0
"""Seconds in which a server that is looked at has to answer, if only with a refusal."""
_PAUSE = 5.0
"""Seconds from one answer of a server that was looked at to the next look."""
RETRY = 1.0
"""The same once it is known to be silent: how soon its return is seen depends on this."""


class Semaphore:
    """A semaphore that serves in order and sets each wait the same timeout.

    The timeouts therefore end in the order of asking, so that one timer, set for the longest
    wait, does for all. With `asyncio.Semaphore` inside `asyncio.timeout`, where requests wait
    for one another, a read by id took about 5 us of computing time more.

    Args:
        permits: how many are held at once.
        timeout: seconds to wait for one.
    """

    def __init__(self, permits: int, timeout: float) -> None:
        self._permits = permits
        self._timeout = timeout
        self._waiters: deque[tuple[float, asyncio.Future[None]]] = deque()
        self._has_timer = False

    async def acquire(self) -> None:
        """Wait for a permit; raises TimeoutError."""
        if self._permits:
            self._permits -= 1
            return
        loop = asyncio.get_running_loop()
        permit: asyncio.Future[None] = loop.create_future()
        self._waiters.append((loop.time() + self._timeout, permit))
        if not self._has_timer:
            self._end_long_waits(loop)
        if bound := BOUND.get():
            bound.waits.add(permit)
        try:
            await permit
        except asyncio.CancelledError:
            if not permit.cancelled() and permit.exception() is None:
                self.release()  # granted and cancelled in one step of the loop
            raise
        finally:
            if bound:
                bound.waits.discard(permit)

    def refuse(self) -> None:
        """End every wait as if its timeout were over."""
        while self._waiters:
            _, permit = self._waiters.popleft()
            if not permit.done():
                permit.set_exception(TimeoutError())

    def release(self) -> None:
        """Pass the permit on to the longest wait."""
        while self._waiters:
            _, permit = self._waiters.popleft()
            if not permit.done():
                permit.set_result(None)
                return
        self._permits += 1

    @property
    def free(self) -> int:
        """How many permits are held by none."""
        return self._permits

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return sum(not permit.done() for _, permit in self._waiters)

    def _end_long_waits(self, loop: asyncio.AbstractEventLoop) -> None:
        """End the waits whose timeout is over, now and when that of the longest one left is."""
        now = loop.time()
        while self._waiters and self._waiters[0][0] <= now:
            _, permit = self._waiters.popleft()
            if not permit.done():
                permit.set_exception(TimeoutError())
        self._has_timer = bool(self._waiters)
        if self._has_timer:
            loop.call_at(self._waiters[0][0], self._end_long_waits, loop)


@dataclass(frozen=True, slots=True)
class ConnectionCounts:
    """How many connections of a pool are in which state."""

    idle: int
    lent: int
    """Those that are being opened for a caller too."""
    limit: int
    waiting: int
    """Callers that wait for one."""


class ConnectionPool:
    """Connections to acquire inside `async with`.

    The one that was released last is acquired first. A connection that is not needed stays
    therefore at the bottom of the stack, and is closed when it has lain there from one sweep
    to the next.

    Where no connection was released for a while, the server is asked by one of its own. If it does
    not answer at all, every wait and every statement ends at once, and so does every later
    `acquire`, until it answers again. A server that refuses connections is not silent.

    Args:
        connect: opens a connection.
        size: how many are acquired at once, at most.
        timeout: seconds to wait for a free one.
        sweep_interval: seconds from one sweep to the next.
        lifetime: seconds after which a connection is closed, at the next sweep.
        patience: what the seconds for an answer are multiplied with, as by the number of hosts.
    """

    def __init__(  # noqa: PLR0913 - figures, each by its name
        self,
        connect: Callable[[], Awaitable[asyncpg.Connection]],
        size: int,
        *,
        timeout: float,
        sweep_interval: float = SWEEP_INTERVAL,
        lifetime: float = float("inf"),
        patience: float = 1,
    ) -> None:
        self._connect = connect
        self._size = size
        self._timeout = timeout
        self._sweep_interval = min(sweep_interval, lifetime / 2)
        self._lifetime = lifetime
        self._patience = patience
        self._idle: list[asyncpg.Connection] = []
        self._opened: WeakKeyDictionary[asyncpg.Connection, float] = WeakKeyDictionary()
        """When each connection was opened."""
        self._retired: WeakSet[asyncpg.Connection] = WeakSet()
        self._untouched = 0
        self._is_open = False
        self._opening: set[asyncio.Future[asyncpg.Connection]] = set()
        self.quiet: WeakSet[asyncpg.Connection] = WeakSet()
        """Those in use that may have nothing to say for long, as where one listens."""
        self._released = self._released_before = 0
        """How many were taken back, now and at the last look."""
        self._asking: asyncio.Task[None] | None = None
        self.is_silent = False
        """Whether the server does not answer: `acquire` raises TimeoutError at once."""

    async def __aenter__(self) -> Self:
        self._is_open = True
        self._loop = asyncio.get_running_loop()
        self._semaphore = Semaphore(self._size, self._timeout)
        self._sweep()
        self._look()
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._is_open = False
        self._sweeper.cancel()
        self._looking.cancel()
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])
        idle, self._idle = self._idle, []
        # asyncpg aborts a connection that does not answer within the timeout, and raises.
        timeout = 0.0 if self.is_silent else CLOSE_TIMEOUT
        await asyncio.gather(
            *(connection.close(timeout=timeout) for connection in idle),
            return_exceptions=True,
        )

    async def acquire(self) -> asyncpg.Connection:
        """Return a connection for one caller; raises TimeoutError, or what opening one raises."""
        if not self._is_open:
            raise RuntimeError("the database is not open: use `async with database`")
        if self.is_silent:
            raise TimeoutError
        await self._semaphore.acquire()
        try:
            while self._idle:
                connection = self._idle.pop()
                self._untouched = min(self._untouched, len(self._idle))
                if not connection.is_closed():
                    return connection
            return await self._open()
        except BaseException:
            self._semaphore.release()
            raise

    def release(self, connection: asyncpg.Connection) -> None:
        """Take a connection back; one that is still in a transaction is closed, which ends it.

        What was set in its session stays set, and a cancelled statement may still run on the
        server: `Transaction.close` and `Database.connect` see to both.
        """
        self._released += 1
        if not connection.is_closed():
            if (
                self._is_open
                and not connection.is_in_transaction()
                and not (self._retired and connection in self._retired)
            ):
                self._idle.append(connection)
            else:
                connection.terminate()
        self._semaphore.release()

    async def replace(self, connection: asyncpg.Connection) -> asyncpg.Connection:
        """Return a new connection in place of one that the server has closed.

        The idle ones are of the same age: they are closed too.
        """
        connection.terminate()
        self._terminate_oldest(len(self._idle))
        return await self._open()

    def count(self) -> ConnectionCounts:
        """Return how many there are in which state."""
        idle = sum(not each.is_closed() for each in self._idle)
        if not self._is_open:
            return ConnectionCounts(idle, 0, self._size, 0)
        semaphore = self._semaphore
        return ConnectionCounts(idle, self._size - semaphore.free, self._size, semaphore.waiting)

    def retire(self) -> None:
        """Close every connection that is open now: one that is in use, when it is released."""
        self._terminate_oldest(len(self._idle))
        self._retired |= WeakSet(self._opened)
        self._opened = WeakKeyDictionary()

    async def _open(self) -> asyncpg.Connection:
        if self.is_silent:
            raise TimeoutError
        opened, opening = self._opened, asyncio.ensure_future(self._connect())
        self._opening.add(opening)
        if bound := BOUND.get():
            bound.waits.add(opening)
        try:
            connection = await opening
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self.is_silent or (task is not None and task.cancelling()):
                raise
            raise TimeoutError from None
        finally:
            self._opening.discard(opening)
            if bound:
                bound.waits.discard(opening)
        if opened is not self._opened:  # all were retired in the meantime
            connection.terminate()
            return await self._open()
        opened[connection] = self._loop.time()
        return connection

    def _sweep(self) -> None:
        """Close what was not touched since the last sweep or is old, now and after every interval."""
        self._terminate_oldest(self._untouched)
        now = self._loop.time()
        old = {each for each, since in self._opened.items() if now - since > self._lifetime}
        for connection in old:
            del self._opened[connection]
            self._retired.add(connection)
        if old:
            for connection in old.intersection(self._idle):
                connection.terminate()
            self._idle = [connection for connection in self._idle if connection not in old]
        self._untouched = len(self._idle)
        self._sweeper = self._loop.call_later(self._sweep_interval, self._sweep)

    def _terminate_oldest(self, number: int) -> None:
        for connection in self._idle[:number]:
            connection.terminate()
        del self._idle[:number]
        self._untouched = 0

    def _look(self) -> None:
        """Ask the server where connections are in use, and none was released since the last look."""
        self._looking = self._loop.call_later(SUSPICION, self._look)
        is_still = self._released == self._released_before
        self._released_before = self._released
        if is_still and (self._asking is None or self._asking.done()):
            used = {each for each in self._opened if not each.is_closed()}
            if self._opening or used - {*self._idle} - {*self.quiet}:
                self._asking = asyncio.create_task(self._ask())

    async def _ask(self) -> None:
        """Find out whether the server is silent, and wait until it is not."""
        released, seconds = self._released, SILENCE * self._patience
        silence = await self._find_silence(seconds)
        if silence is None or released != self._released:
            await asyncio.sleep(_PAUSE)  # a long statement is no reason to ask all the time
            return
        _log.warning("PostgreSQL does not answer: requests are 503 until it does (%r)", silence)
        self.is_silent = True
        self._terminate_oldest(len(self._idle))
        self._semaphore.refuse()
        for opening in self._opening:
            opening.cancel()
        for connection in [*self._opened]:
            connection.terminate()
        while await self._find_silence(RETRY * self._patience):  # noqa: ASYNC110 - asks a server
            await asyncio.sleep(0.1)
        self.is_silent = False
        _log.warning("PostgreSQL answers again")

    async def _find_silence(self, seconds: float) -> Exception | None:
        """Return why a new connection gets no answer; None where it gets one, be it a refusal."""
        try:
            async with asyncio.timeout(seconds):
                connection = await self._connect()
        except (ConnectionRefusedError, FileNotFoundError, gaierror):
            return None
        except OSError as error:  # TimeoutError is one
            return error
        except CONNECTION_ERRORS:
            return None
        connection.terminate()
        return None


STATEMENT_TIMEOUT = 60.0
"""Seconds after which a statement is given up, and a server that hangs is called unavailable."""
SHORT_CLOSE_TIMEOUT = 0.5
"""Seconds that a connection gets to end in good order after its request has ended."""
PING_TIMEOUT = 2.0
"""Seconds that a probe of readiness takes at most."""
_OF_QUERIES = ("buffile.c", "dsm_impl.c")
"""Where PostgreSQL says in its own source that a query alone has no space."""
FULL_DISK_MEMORY = 10.0
"""Seconds that a full disk is remembered: readiness writes nothing that would tell of it. One statement
takes no process out of service that is asked three times, and without requests it comes back."""

_IS_WRITABLE = "SELECT 1 WHERE current_setting('transaction_read_only') = 'off'"
"""Has one row or none, which its status tells."""

_log = logging.getLogger(__name__)


def time_to_close() -> float:
    """Return the seconds that a connection gets to end what is open: few where no client waits."""
    bound = BOUND.get()
    return CLOSE_TIMEOUT if bound is None or bound.ended_by is None else SHORT_CLOSE_TIMEOUT


class DatabaseServer(Protocol):
    """A server that runs while it is entered, such as the workspace's embedded one."""

    async def __aenter__(self) -> str:
        """Start or join the server and return its libpq URL."""
        ...

    async def __aexit__(self, *exception: object) -> None:
        """Leave the server; it may stop."""
        ...


class Database:
    """Opened once for each process, by `async with`; connections and sessions come from here.

    Args:
        config: where the database is; without a URL, `server` is entered while this is open.
        server: stands in when no URL is configured.
    """

    def __init__(self, config: DatabaseSettings, server: DatabaseServer | None = None) -> None:
        self.url = config.database_url
        self.observers = Observers()
        """Those that hear of each statement."""
        self._config = config
        self._server = server
        self._resources = AsyncExitStack()
        self._pool = ConnectionPool(
            self._open_connection,
            config.db_pool_size,
            timeout=CONNECT_TIMEOUT,
            lifetime=config.db_connection_lifetime,
            patience=number_of_hosts(self.url) if self.url else 1,
        )
        self._engine: AsyncEngine | None = None
        self._joined_engine: AsyncEngine | None = None
        self._full_until = 0.0

    @property
    def is_configured(self) -> bool:
        """Whether its address was given; otherwise it is the workspace's own server."""
        return self._config.database_url is not None

    @cached_property
    def place(self) -> Place:
        """Its name, and its server's host and port."""
        return place_of(self.url or "postgresql://")

    async def __aenter__(self) -> Self:
        if self._config.database_url is None and self._server is not None:
            try:
                self.url = await self._resources.enter_async_context(self._server)
            except EmbeddedPostgresError as error:
                raise ConfigurationError(str(error)) from error
        self._connector = Connector(self.url or "postgresql://", self._config)
        self._resources.callback(self._connector.close)
        await self._resources.enter_async_context(self._pool)
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._resources.aclose()

    async def acquire(self) -> asyncpg.Connection:
        """Return a connection of the pool, for `release` to take back.

        Raises DatabaseUnavailableError when the server cannot be reached or all are in use.
        """
        try:
            return await self._pool.acquire()
        except CONNECTION_ERRORS as error:
            raise DatabaseUnavailableError from error

    def release(self, connection: asyncpg.Connection) -> None:
        """Take a connection back; a transaction that is left open is rolled back."""
        self._pool.release(connection)

    async def replace(self, connection: asyncpg.Connection) -> asyncpg.Connection:
        """Return another connection in place of one that the server has closed.

        Raises DatabaseUnavailableError.
        """
        try:
            return await self._pool.replace(connection)
        except CONNECTION_ERRORS as error:
            raise DatabaseUnavailableError from error

    def count_connections(self) -> ConnectionCounts:
        """Return the state of the open pool, without the engine of `sessions()`, which has another."""
        return self._pool.count()

    def give_up(self, connection: asyncpg.Connection, error: BaseException) -> None:
        """Close a connection whose server only reads now, or whose statements a pooler mistakes.

        The next one may lead to the new primary server. A pooler loses statements, or gives one
        that was prepared before a migration to all that prepare it anew.
        """
        self.note_full_disk(error)
        if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
            connection.terminate()
            if number_of_hosts(self.url or "postgresql://") > 1:
                self._pool.retire()  # the others lead to the same server
        elif isinstance(error, UNPREPARED) or (
            isinstance(error, asyncpg.InvalidCachedStatementError)
            and self._connector.pooling is not Pooling.NONE
        ):
            connection.terminate()
            if self._connector.prepare_nothing(error):
                self._pool.retire()

    def note_full_disk(self, error: BaseException | None) -> None:
        """Remember for a while that the server had no space, where this says so."""
        # Parts of a query that are too large for the memory or the disk meant for them are no rows.
        source = getattr(error, "server_source_filename", None)
        if isinstance(error, asyncpg.DiskFullError) and source not in _OF_QUERIES:
            self._full_until = monotonic() + FULL_DISK_MEMORY

    def keep(self, task: "asyncio.Task[None]") -> None:
        """Let a task go on in the background, until the database is closed."""
        self._resources.callback(task.cancel)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[asyncpg.Connection]:
        """Acquire a connection for the length of a block, outside any unit of work.

        What it leaves in the session (SET, advisory locks, LISTEN) is cleared afterwards; a
        statement in the midst of which the block is left is over then, on the server too.
        JSON is read as Python's values and given as text. Raises DatabaseUnavailableError.
        """
        connection = await self.acquire()
        self._pool.quiet.add(connection)
        if bound := BOUND.get():
            bound.has_written = True  # it may: nothing tells what it is used for
        try:
            with telling_of(connection, self):
                yield connection
            await connection.reset(timeout=CONNECT_TIMEOUT)
        except BaseException as error:
            is_away = (
                isinstance(error, (asyncpg.PostgresError, asyncpg.InterfaceError))
                and is_server_unavailable(error, connection)
            )  # fmt: skip
            self.give_up(connection, error)
            # Closed in good order: cut, its server would go on with the statement.
            with suppress(*CONNECTION_ERRORS):
                async with asyncio.timeout(time_to_close()):
                    await connection.close()
            if is_away:
                raise DatabaseUnavailableError from error
            raise
        finally:
            self._pool.quiet.discard(connection)
            self.release(connection)

    async def ping(self) -> None:
        """Ask the server whether it can be written; raises DatabaseUnavailableError, soon.

        One that only reads, as after a failover, is enough where the URL asks for a standby. One
        that had no space for a statement of this process cannot be written for a while.
        """
        if monotonic() < self._full_until:
            raise DatabaseUnavailableError from asyncpg.DiskFullError("a statement had no space")
        try:
            async with asyncio.timeout(PING_TIMEOUT):
                connection = await self.acquire()
                try:
                    if await connection.execute(_IS_WRITABLE) == "SELECT 0" and not accepts_standby(
                        self.url or "postgresql://"
                    ):
                        raise asyncpg.ReadOnlySQLTransactionError("the server only reads")
                except BaseException:
                    connection.terminate()  # closing in good order takes longer than a probe may
                    raise
                finally:
                    self.release(connection)
        except CONNECTION_ERRORS as error:
            raise DatabaseUnavailableError from error

    def sessions(self) -> "async_sessionmaker[AsyncSession]":
        """Return a maker of ordinary ORM sessions, on connections of their own.

        Where the server cannot be reached they raise DatabaseUnavailableError, in place of the
        driver's errors. `Transaction.session` opens one inside a unit of work.
        """
        from sqlalchemy import event  # noqa: PLC0415
        from sqlalchemy.ext.asyncio import async_sessionmaker  # noqa: PLC0415

        if self._engine is None:
            self._engine = create_engine(self._connector, self._config, self._open_for_session)
            for name, listener in (*listeners_of(self), *LISTENERS.items()):
                event.listen(self._engine.sync_engine, name, listener)
            self._resources.push_async_callback(self._engine.dispose)
        return async_sessionmaker(self._engine, expire_on_commit=False)

    @asynccontextmanager
    async def joined_session(self, connection: asyncpg.Connection) -> "AsyncIterator[AsyncSession]":
        """Open an ORM session on a connection that is in a transaction, inside a savepoint."""
        from sqlalchemy import event  # noqa: PLC0415
        from sqlalchemy.ext.asyncio import AsyncSession  # noqa: PLC0415

        if self._joined_engine is None:
            self._joined_engine = create_joined_engine(self._config)
            for name, listener in listeners_of(self):
                event.listen(self._joined_engine.sync_engine, name, listener)
        token = joined.set(connection)
        try:
            async with (
                self._joined_engine.connect() as inside,
                inside.begin(),
                AsyncSession(
                    inside, expire_on_commit=False, join_transaction_mode="create_savepoint"
                ) as session,
            ):
                yield session
        finally:
            joined.reset(token)

    async def _open_for_session(self, *, is_prepared: bool) -> asyncpg.Connection:
        try:
            if self._pool.is_silent:
                raise TimeoutError
            return await self._connector.connect(
                command_timeout=STATEMENT_TIMEOUT, is_prepared=is_prepared
            )
        except CONNECTION_ERRORS as error:
            raise DatabaseUnavailableError from error

    async def _open_connection(self) -> asyncpg.Connection:
        connection = await self._connector.connect(command_timeout=STATEMENT_TIMEOUT)
        try:
            # JSON is read here alone, so that sessions and statements can share a connection.
            # asyncpg before 0.31 asks the server for each of the two types. jsonb writes a great
            # fraction (1e+22) as a whole number, of which orjson makes a fraction again.
            await connection.set_type_codec(
                "json",
                schema="pg_catalog",
                format="binary",
                encoder=str.encode,
                decoder=lambda data: json.loads(data.decode()),
            )
            await connection.set_type_codec(
                "jsonb",  # begins with the version of its form
                schema="pg_catalog",
                format="binary",
                encoder=lambda text: b"\x01" + text.encode(),
                decoder=lambda data: orjson.loads(data[1:]),
            )
        except BaseException:
            connection.terminate()
            raise
        if self._config.db_echo:
            _log.setLevel(min(_log.getEffectiveLevel(), logging.INFO))
            connection.add_query_logger(
                lambda done: _log.info(
                    "%s %s", done.query, HIDDEN if names_secret(done.query) else done.args
                )
            )
        return connection
