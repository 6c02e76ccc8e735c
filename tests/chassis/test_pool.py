"""Which connections are lent, kept and closed, on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from quart_fleet.database._pool import ConnectionPool

PATIENCE = 60.0


class Connector:
    """Opens connections to one database and remembers them."""

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
    async with ConnectionPool(connector, 2, patience=PATIENCE) as opened:
        yield opened


async def lend_two(pool: ConnectionPool) -> None:
    """Lend two connections at once, and take them back."""
    lent = [await pool.acquire(), await pool.acquire()]
    for connection in lent:
        pool.release(connection)


async def test_what_comes_back_is_lent_again(pool: ConnectionPool, connector: Connector) -> None:
    first = await pool.acquire()
    pool.release(first)

    assert await pool.acquire() is first
    assert connector.opened == [first]
    pool.release(first)


async def test_what_the_server_closed_is_not_lent_again(pool: ConnectionPool) -> None:
    first = await pool.acquire()
    pool.release(first)
    first.terminate()

    second = await pool.acquire()

    assert await second.fetchval("SELECT 1") == 1
    pool.release(second)


async def test_what_is_still_in_a_transaction_is_not_lent_again(pool: ConnectionPool) -> None:
    left = await pool.acquire()
    await left.execute("BEGIN")
    pool.release(left)

    other = await pool.acquire()

    assert left.is_closed()
    assert not other.is_closed()
    pool.release(other)


async def test_the_others_of_its_age_are_closed_with_a_connection_that_is_replaced(
    pool: ConnectionPool, connector: Connector
) -> None:
    await lend_two(pool)

    new = await pool.replace(await pool.acquire())

    assert connector.still_open == [new]
    pool.release(new)


async def test_what_nobody_needs_is_closed(connector: Connector) -> None:
    async with ConnectionPool(connector, 2, patience=PATIENCE, sweep=0.01) as pool:
        await lend_two(pool)

        async with asyncio.timeout(PATIENCE):
            while connector.still_open:  # noqa: ASYNC110 - polled for, as the sweep tells nobody
                await asyncio.sleep(0.01)

        await lend_two(pool)
        assert len(connector.opened) == 4


async def test_what_is_needed_stays(connector: Connector) -> None:
    async with ConnectionPool(connector, 2, patience=PATIENCE, sweep=0.2) as pool:
        await lend_two(pool)

        async with asyncio.timeout(PATIENCE):
            while len(connector.still_open) > 1:
                needed = await pool.acquire()
                pool.release(needed)
                await asyncio.sleep(0.001)

        assert connector.still_open == [needed]


async def test_a_pool_closes_all_that_it_has(connector: Connector) -> None:
    async with ConnectionPool(connector, 3, patience=PATIENCE) as pool:
        await lend_two(pool)
        late = await pool.acquire()
    pool.release(late)

    assert len(connector.opened) == 2
    assert connector.still_open == []


async def test_who_stops_waiting_takes_no_turn(pool: ConnectionPool) -> None:
    lent = [await pool.acquire(), await pool.acquire()]
    impatient = asyncio.create_task(pool.acquire())
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)

    for connection in lent:
        pool.release(connection)

    await lend_two(pool)


async def test_waiting_ends_some_time(connector: Connector) -> None:
    async with ConnectionPool(connector, 1, patience=0.01) as pool:
        connection = await pool.acquire()

        with pytest.raises(TimeoutError):
            await pool.acquire()

        pool.release(connection)
        assert await pool.acquire() is connection
        pool.release(connection)


async def test_a_connection_that_cannot_be_opened_takes_no_turn(
    pool: ConnectionPool, connector: Connector
) -> None:
    url, connector.url = connector.url, "postgresql://nobody@127.0.0.1:1/nowhere"
    for _ in range(3):
        with pytest.raises(OSError):  # noqa: PT011 - of which kind is the system's affair
            await pool.acquire()

    connector.url = url

    await lend_two(pool)


async def test_nothing_is_lent_before_the_pool_is_open(connector: Connector) -> None:
    with pytest.raises(RuntimeError, match="not open"):
        await ConnectionPool(connector, 1, patience=PATIENCE).acquire()


def test_waiting_ends_too_in_a_loop_that_follows_another(connector: Connector) -> None:
    pool = ConnectionPool(connector, 1, patience=0.01)

    async def give_up_waiting() -> None:
        async with pool:
            connection = await pool.acquire()
            waiting = asyncio.create_task(pool.acquire())
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            pool.release(connection)

    async def wait_in_vain() -> None:
        async with pool:
            connection = await pool.acquire()
            waiting = asyncio.create_task(pool.acquire())
            ended, _ = await asyncio.wait([waiting], timeout=PATIENCE)
            pool.release(connection)
        assert ended
        assert isinstance(waiting.exception(), TimeoutError)

    asyncio.run(give_up_waiting())
    asyncio.run(wait_in_vain())
