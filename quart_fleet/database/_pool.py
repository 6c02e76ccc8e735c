"""The connections of one process: opened on demand, acquired in the order of asking.

asyncpg's own pool lets late callers in first, and starts a task for each connection that is
released: a read by id took a tenth more computing time with it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Self

import asyncpg

SWEEP_INTERVAL = 150.0
"""Seconds between two looks for idle connections that were not needed."""

CLOSE_TIMEOUT = 5.0
"""Seconds that a connection gets to end in good order."""


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
            self._set_timer(loop)
        try:
            await permit
        except asyncio.CancelledError:
            if not permit.cancelled() and permit.exception() is None:
                self.release()  # granted and cancelled in one step of the loop
            raise

    def release(self) -> None:
        """Pass the permit on to the longest wait."""
        while self._waiters:
            _, permit = self._waiters.popleft()
            if not permit.done():
                permit.set_result(None)
                return
        self._permits += 1

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        self._has_timer = bool(self._waiters)
        if self._has_timer:
            loop.call_at(self._waiters[0][0], self._end_long_waits, loop)

    def _end_long_waits(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        while self._waiters and self._waiters[0][0] <= now:
            _, permit = self._waiters.popleft()
            if not permit.done():
                permit.set_exception(TimeoutError())
        self._set_timer(loop)


class ConnectionPool:
    """Connections to acquire inside `async with`.

    The one that was released last is acquired first. A connection that is not needed stays
    therefore at the bottom of the stack, and is closed when it has lain there from one sweep
    to the next.

    Args:
        connect: opens a connection.
        size: how many are acquired at once, at most.
        timeout: seconds to wait for a free one.
        sweep_interval: seconds from one sweep to the next.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[asyncpg.Connection]],
        size: int,
        *,
        timeout: float,
        sweep_interval: float = SWEEP_INTERVAL,
    ) -> None:
        self._connect = connect
        self._size = size
        self._timeout = timeout
        self._sweep_interval = sweep_interval
        self._idle: list[asyncpg.Connection] = []
        self._untouched = 0
        self._is_open = False

    async def __aenter__(self) -> Self:
        self._is_open = True
        self._semaphore = Semaphore(self._size, self._timeout)
        self._schedule_sweep()
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._is_open = False
        self._sweeper.cancel()
        idle, self._idle = self._idle, []
        # asyncpg aborts a connection that does not answer within the timeout, and raises.
        await asyncio.gather(
            *(connection.close(timeout=CLOSE_TIMEOUT) for connection in idle),
            return_exceptions=True,
        )

    async def acquire(self) -> asyncpg.Connection:
        """Return a connection for one caller; raises TimeoutError, or what opening one raises."""
        if not self._is_open:
            raise RuntimeError("the database is not open: use `async with database`")
        await self._semaphore.acquire()
        try:
            while self._idle:
                connection = self._idle.pop()
                self._untouched = min(self._untouched, len(self._idle))
                if not connection.is_closed():
                    return connection
            return await self._connect()
        except BaseException:
            self._semaphore.release()
            raise

    def release(self, connection: asyncpg.Connection) -> None:
        """Take a connection back; one that is still in a transaction is closed, which ends it.

        What was set in its session stays set, and a cancelled statement may still run on the
        server: `Transaction.close` and `Database.connect` see to both.
        """
        if not connection.is_closed():
            if self._is_open and not connection.is_in_transaction():
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
        return await self._connect()

    def _schedule_sweep(self) -> None:
        self._untouched = len(self._idle)
        self._sweeper = asyncio.get_running_loop().call_later(self._sweep_interval, self._sweep)

    def _sweep(self) -> None:
        self._terminate_oldest(self._untouched)
        self._schedule_sweep()

    def _terminate_oldest(self, number: int) -> None:
        for connection in self._idle[:number]:
            connection.terminate()
        del self._idle[:number]
        self._untouched = 0
