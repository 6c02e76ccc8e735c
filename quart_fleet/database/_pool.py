"""The connections of one process: opened when they are wanted, lent in the order of asking.

asyncpg's own pool lets late comers in first, and starts a task for each connection that comes
back: a read by id took a tenth more computing time with it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Self

import asyncpg

from quart_fleet.database._semaphore import Turns

SWEEP = 150.0
"""Seconds between two looks for connections that nobody has needed."""

FAREWELL = 5.0
"""Seconds that a connection gets to end in good order."""


class ConnectionPool:
    """Lends inside `async with`, and keeps what comes back.

    What came back last is lent first. What nobody needs is therefore at the bottom of the pile,
    and closed when it has lain there from one sweep to the next.

    Args:
        connect: opens a connection.
        size: how many are lent at most.
        patience: seconds to wait for one that is lent.
        sweep: seconds from one sweep to the next.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[asyncpg.Connection]],
        size: int,
        *,
        patience: float,
        sweep: float = SWEEP,
    ) -> None:
        self._connect = connect
        self._size = size
        self._patience = patience
        self._sweep = sweep
        self._idle: list[asyncpg.Connection] = []
        self._untouched = 0
        self._open = False

    async def __aenter__(self) -> Self:
        self._open = True
        self._turns = Turns(self._size, self._patience)
        self._await_sweep()
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._open = False
        self._sweeper.cancel()
        idle, self._idle = self._idle, []
        # One that does not answer any more is aborted, which is an end too.
        await asyncio.gather(
            *(connection.close(timeout=FAREWELL) for connection in idle), return_exceptions=True
        )

    async def acquire(self) -> asyncpg.Connection:
        """Lend a connection; raises TimeoutError, or what opening one raises."""
        if not self._open:
            raise RuntimeError("the database is not open: use `async with database`")
        await self._turns.take()
        try:
            return self._find_idle() or await self._connect()
        except BaseException:
            self._turns.give_back()
            raise

    def release(self, connection: asyncpg.Connection) -> None:
        """Take a connection back; one that is still in a transaction is closed, which ends it.

        What was set in its session is still set. Who cancelled a statement sees to its end:
        `quart_fleet.database._transaction` does.
        """
        if not connection.is_closed():
            if self._open and not connection.is_in_transaction():
                self._idle.append(connection)
            else:
                connection.terminate()
        self._turns.give_back()

    async def replace(self, connection: asyncpg.Connection) -> asyncpg.Connection:
        """Lend another connection in place of one that the server has closed.

        Those that lie here are of the same age: none of them is lent again either.
        """
        connection.terminate()
        self._close_oldest(len(self._idle))
        return await self._connect()

    def _find_idle(self) -> asyncpg.Connection | None:
        while self._idle:
            connection = self._idle.pop()
            self._untouched = min(self._untouched, len(self._idle))
            if not connection.is_closed():
                return connection
        return None

    def _await_sweep(self) -> None:
        self._untouched = len(self._idle)
        self._sweeper = asyncio.get_running_loop().call_later(self._sweep, self._close_untouched)

    def _close_untouched(self) -> None:
        self._close_oldest(self._untouched)
        self._await_sweep()

    def _close_oldest(self, number: int) -> None:
        for connection in self._idle[:number]:
            connection.terminate()
        del self._idle[:number]
        self._untouched = 0
