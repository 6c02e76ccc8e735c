"""The pool: which connections it hands out, keeps and closes, on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from quart_fleet.database._engine import ConnectionPool

TIMEOUT = 60.0
"""Seconds that a test waits at most."""


class Connector:
    """Opens connections to one database and records them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.opened: list[asyncpg.Connection] = []

    async def __call__(self) -> asyncpg.Connection:
        self.opened.append(await asyncpg.connect(self.url))
        return self.opened[-1]

    @property
    def still_open(self) -> list[asyncpg.Connection]:
        return [connection for connection in self.opened if not connection.is_closed()]


@pytest.fixture
def connector(database_url: str) -> Connector:
    return Connector(database_url)


@pytest.fixture
async def pool(connector: Connector) -> AsyncIterator[ConnectionPool]:
    async with ConnectionPool(connector, 2, timeout=TIMEOUT) as opened:
        yield opened


async def use_two(pool: ConnectionPool) -> None:
    """Acquire two connections at once, and release them."""
    acquired = [await pool.acquire(), await pool.acquire()]
    for connection in acquired:
        pool.release(connection)


async def test_a_released_connection_is_acquired_again(
    pool: ConnectionPool, connector: Connector
) -> None:
    first = await pool.acquire()
    pool.release(first)

    assert await pool.acquire() is first
    assert connector.opened == [first]
    pool.release(first)


async def test_a_connection_that_the_server_closed_is_not_acquired_again(
    pool: ConnectionPool,
) -> None:
    first = await pool.acquire()
    pool.release(first)
    first.terminate()

    second = await pool.acquire()

    assert await second.fetchval("SELECT 1") == 1
    pool.release(second)


async def test_a_connection_released_inside_a_transaction_is_closed(pool: ConnectionPool) -> None:
    left = await pool.acquire()
    await left.execute("BEGIN")
    pool.release(left)

    other = await pool.acquire()

    assert left.is_closed()
    assert not other.is_closed()
    pool.release(other)


async def test_replacing_a_connection_closes_the_idle_ones_of_its_age(
    pool: ConnectionPool, connector: Connector
) -> None:
    await use_two(pool)

    new = await pool.replace(await pool.acquire())

    assert connector.still_open == [new]
    pool.release(new)


async def test_an_idle_connection_is_closed_by_the_second_sweep(connector: Connector) -> None:
    async with ConnectionPool(connector, 2, timeout=TIMEOUT, sweep_interval=0.01) as pool:
        await use_two(pool)

        async with asyncio.timeout(TIMEOUT):
            while connector.still_open:  # noqa: ASYNC110 - polled for, as the sweep sends no signal
                await asyncio.sleep(0.01)

        await use_two(pool)
        assert len(connector.opened) == 4


async def test_a_connection_in_use_survives_the_sweeps(connector: Connector) -> None:
    async with ConnectionPool(connector, 2, timeout=TIMEOUT, sweep_interval=0.2) as pool:
        await use_two(pool)

        async with asyncio.timeout(TIMEOUT):
            while len(connector.still_open) > 1:
                used = await pool.acquire()
                pool.release(used)
                await asyncio.sleep(0.001)

        assert connector.still_open == [used]


async def test_a_pool_closes_all_of_its_connections_at_its_end(connector: Connector) -> None:
    async with ConnectionPool(connector, 3, timeout=TIMEOUT) as pool:
        await use_two(pool)
        late = await pool.acquire()
    pool.release(late)

    assert len(connector.opened) == 2
    assert connector.still_open == []


async def test_a_cancelled_wait_uses_up_no_permit(pool: ConnectionPool) -> None:
    acquired = [await pool.acquire(), await pool.acquire()]
    waiting = asyncio.create_task(pool.acquire())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    for connection in acquired:
        pool.release(connection)

    await use_two(pool)


async def test_waiting_for_a_connection_times_out(connector: Connector) -> None:
    async with ConnectionPool(connector, 1, timeout=0.01) as pool:
        connection = await pool.acquire()

        with pytest.raises(TimeoutError):
            await pool.acquire()

        pool.release(connection)
        assert await pool.acquire() is connection
        pool.release(connection)


async def test_a_connection_that_cannot_be_opened_uses_up_no_permit(
    pool: ConnectionPool, connector: Connector
) -> None:
    url, connector.url = connector.url, "postgresql://app@127.0.0.1:1/app"
    for _ in range(3):
        with pytest.raises(OSError):  # noqa: PT011 - its kind differs between systems
            await pool.acquire()

    connector.url = url

    await use_two(pool)


async def test_a_pool_that_is_not_open_refuses_to_acquire(connector: Connector) -> None:
    with pytest.raises(RuntimeError, match="not open"):
        await ConnectionPool(connector, 1, timeout=TIMEOUT).acquire()


def test_waiting_times_out_in_a_second_event_loop_too(connector: Connector) -> None:
    pool = ConnectionPool(connector, 1, timeout=0.01)

    async def cancel_a_wait() -> None:
        async with pool:
            connection = await pool.acquire()
            waiting = asyncio.create_task(pool.acquire())
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            pool.release(connection)

    async def wait_without_success() -> None:
        async with pool:
            connection = await pool.acquire()
            waiting = asyncio.create_task(pool.acquire())
            ended, _ = await asyncio.wait([waiting], timeout=TIMEOUT)
            pool.release(connection)
        assert ended
        assert isinstance(waiting.exception(), TimeoutError)

    asyncio.run(cancel_a_wait())
    asyncio.run(wait_without_success())
