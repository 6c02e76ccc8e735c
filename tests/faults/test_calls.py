"""Calls of a service behind a proxy that delays, resets, stalls and answers rubbish.

`make faults` makes 2,000 calls of each kind, 50 at a time; FAULTS says how many, SEED begins elsewhere.
"""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from random import Random

import asyncpg
import pytest
from pydantic import BaseModel

from quart_fleet.clients import CircuitBreaker, Operation, ServiceClient
from quart_fleet.database._engine import Database
from quart_fleet.errors import ServiceError
from tests.chassis.provider import calling
from tests.contract.gate import Gate
from tests.contract.service import RunningService, running
from tests.contract.wire import TIMEOUT
from tests.faults.faulty_proxy import FAULTS, FaultyProxy
from tests.faults.test_endings import ended, workers

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(3600)]

SHARE = int(os.environ.get("FAULTS", "10")) / 100
SEED = os.environ.get("SEED", "1")
CALLS = max(100, int(2000 * SHARE))
AT_A_TIME = 50
SECONDS = 1.0
"""The time of a call."""
LATE = 0.05
"""Seconds that a call may end behind its time, beside what the event loop is late."""


class User(BaseModel):
    id: int
    username: str


class NewUser(BaseModel):
    username: str
    email: str


LIST = Operation("GET", "/users/active", list[User])
CREATE = Operation("POST", "/users", User)


class Lag:
    """How late the event loop runs what is due, in seconds, at most; noted during a block."""

    def __init__(self) -> None:
        self.most = 0.0

    async def __aenter__(self) -> "Lag":
        self._noting = asyncio.create_task(self._note())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._noting.cancel()
        await asyncio.wait([self._noting])

    async def _note(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + 0.002
            await asyncio.sleep(0.002)
            self.most = max(self.most, loop.time() - due)


async def call_all(
    calls: int, call: Callable[[int], Awaitable[object]]
) -> tuple[Counter[str], float]:
    """Return how often each outcome came, and the seconds of the longest call."""
    loop, numbers, seen, longest = (
        asyncio.get_running_loop(),
        iter(range(calls)),
        Counter[str](),
        0.0,
    )

    async def work() -> None:
        nonlocal longest
        for number in numbers:
            begun = loop.time()
            try:
                await call(number)
                seen["answered"] += 1
            except ServiceError as error:
                seen[type(error).__name__] += 1
            longest = max(longest, loop.time() - begun)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_A_TIME):
            group.create_task(work())
    return seen, longest


def open_files() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


@asynccontextmanager
async def calling_through(proxy: FaultyProxy) -> AsyncIterator[ServiceClient]:
    """A client whose circuit stays closed, so that every call meets the fault; nothing of it stays."""
    tasks, files = asyncio.all_tasks(), open_files()
    async with (
        proxy.listening(),
        calling(f"http://127.0.0.1:{proxy.address}", CALL_TIMEOUT=SECONDS) as client,
    ):
        client.instances[0].breaker = CircuitBreaker(
            "user-service", lambda: 0.0, most_failures=10**9
        )
        yield client
        connector = client._clients.session.connector
        assert connector is not None
        assert not connector._acquired
    async with asyncio.timeout(10):
        while asyncio.all_tasks() - tasks or open_files() > files:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("fault", FAULTS)
async def test_no_call_is_late_and_none_is_sent_twice_that_is_not_safe(
    fault: str,
    workspace: Path,
    database_url: str,
    database: Database,
    tmp_path: Path,
) -> None:
    random, answered = Random(f"{SEED} {fault}"), set[str]()
    async with running(workspace, database_url, tmp_path / "log") as service:
        proxy = FaultyProxy(lambda: service.port, random, SECONDS, fault, 0.5)
        async with calling_through(proxy) as client, Lag() as lag:

            async def call(number: int) -> None:
                if number % 2:
                    await client.call(LIST)
                    return
                user = NewUser(username=f"{fault}{number}", email=f"{fault}{number}@example.com")
                answered.add((await client.call(CREATE, body=user)).username)

            seen, longest = await call_all(CALLS, call)

    connection = await asyncpg.connect(database_url)
    rows = await connection.fetch("SELECT username FROM users WHERE username LIKE $1", f"{fault}%")
    await connection.close()
    print(f"{fault}: {dict(seen)}, longest {longest:.3f} s, loop late by {lag.most:.3f} s")
    assert longest <= SECONDS + LATE + lag.most
    assert set(seen) == {"answered", "UnavailableError"}
    assert min(seen.values()) > CALLS / 10
    assert set(proxy.creations.values()) == {1}
    assert answered <= {row["username"] for row in rows}


def state_of(client: ServiceClient) -> str:
    return client.instances[0].breaker.state


async def test_the_circuit_opens_and_closes_as_it_says(
    workspace: Path, database_url: str, database: Database, tmp_path: Path
) -> None:
    async with running(workspace, database_url, tmp_path / "log") as service:
        proxy = FaultyProxy(lambda: service.port, Random(SEED), SECONDS, "rubbish", 1)
        async with (
            proxy.listening(),
            calling(f"http://127.0.0.1:{proxy.address}", CALL_TIMEOUT=30) as client,
        ):

            async def call(_: int) -> object:
                return await client.call(LIST)

            clock = asyncio.get_running_loop().time
            seen, _ = await call_all(CALLS, call)
            opened = clock()
            assert seen == {"UnavailableError": CALLS}
            assert proxy.requests <= AT_A_TIME * LIST.attempts
            assert state_of(client) == "open"

            proxy.fault = ""
            while state_of(client) != "closed":
                before = proxy.requests
                await call_all(AT_A_TIME, call)
                assert state_of(client) == "closed" or proxy.requests - before <= 1
                await asyncio.sleep(0.02)
            closed = clock()
            seen, _ = await call_all(CALLS, call)

    assert closed - opened < 5 + TIMEOUT / 10
    assert seen == {"answered": CALLS}


async def test_a_service_that_is_down_is_answered_for_in_time() -> None:
    async with calling("http://127.0.0.1:1", CALL_TIMEOUT=SECONDS) as client, Lag() as lag:
        seen, longest = await call_all(CALLS, lambda _: client.call(LIST))

    assert seen == {"UnavailableError": CALLS}
    assert longest <= SECONDS + LATE + lag.most


class Balancer(Gate):
    """Leads each new connection to the process that is current, as a Service of Kubernetes does."""

    def __init__(self, current: RunningService) -> None:
        super().__init__("")
        self.current = current

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._port}"

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.current.port)


@pytest.mark.parametrize("server", ["uvicorn", "hypercorn"])
@pytest.mark.parametrize("way", ["workers", "processes"])
async def test_a_service_that_is_rolled_over_loses_no_call(
    *, way: str, server: str, workspace: Path, database_url: str, database: Database, tmp_path: Path
) -> None:
    """Worker by worker at SIGHUP; or a new process, no new connection for the old one, SIGURG by
    its preStop hook, and SIGTERM."""
    random = Random(f"{SEED} {way} {server}")
    seen, numbers, is_over = Counter[str](), count(), False
    options = ["--server", server, *(["--workers", "2"] if way == "workers" else [])]

    async def work() -> None:
        while not is_over:
            name = f"roll{next(numbers)}"
            user = NewUser(username=name, email=f"{name}@example.com")
            try:
                await client.call(CREATE, body=user)
                seen["answered"] += 1
            except ServiceError as error:
                seen[f"{error}: {error.__cause__}"] += 1

    async with AsyncExitStack() as stack:

        async def start(number: int) -> RunningService:
            log = tmp_path / f"log{number}"
            return await stack.enter_async_context(
                running(workspace, database_url, log, {}, options)
            )

        balancer = Balancer(await start(0))
        await balancer.open()
        stack.push_async_callback(balancer.close)
        client = await stack.enter_async_context(calling(balancer.url))
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_A_TIME if SHARE >= 1 else 10):
                group.create_task(work())
            for number in range(1, max(2, int(10 * SHARE))):
                await asyncio.sleep(random.uniform(0.1, 0.5))
                older = balancer.current
                if way == "workers":
                    before = set(workers(older))
                    os.kill(older.pid, signal.SIGHUP)
                    while len(after := workers(older)) != 2 or before & set(after):  # noqa: ASYNC110
                        await asyncio.sleep(0.05)
                else:
                    balancer.current = await start(number)
                    os.kill(older.pid, signal.SIGURG)
                    await asyncio.sleep(random.uniform(0.1, 0.5))
                    os.kill(older.pid, signal.SIGTERM)
                    await ended(older)
            is_over = True

    print(dict(seen))
    assert set(seen) == {"answered"}
    assert seen["answered"] > AT_A_TIME
