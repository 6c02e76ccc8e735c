"""A process that ends loses no request, however many come, and however it is told to end.

`make faults` runs ten rounds of each; FAULTS says how many, SEED begins elsewhere.
"""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import asyncpg
import pytest

from quart_fleet.database._engine import Database
from tests.audit import without_requests
from tests.contract.service import RunningService, running
from tests.contract.wire import TIMEOUT

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(3600)]

ROUNDS = max(1, int(os.environ.get("FAULTS", "10")) // 10)
SEED = int(os.environ.get("SEED", "1"))
CLIENTS = 32
WARM = 0.5
"""Seconds of traffic before anything happens."""
LONG = 3 * TIMEOUT
"""Seconds for the traffic of a round: two processes may have to start beside it."""
MOST_SLOW = 3
"""Clients that may be refused a second later, since they asked as the listener was being closed."""
SERVERS = ["uvicorn", "hypercorn"]


class Lost(Exception):  # noqa: N818 - counted
    """A request was sent, and its connection ended without an answer."""


@dataclass(slots=True)
class Traffic:
    """Clients that follow HTTP: they keep a connection until it is closed or they are told so.

    One that is refused goes to the next port, as a balancer does; without one it stops.
    """

    ports: list[int]
    name: str
    seen: Counter[object] = field(default_factory=Counter)
    created: list[str] = field(default_factory=list)
    slow: list[float] = field(default_factory=list)
    """Seconds of connecting, where it took longer than one."""
    _number: int = 0

    async def run(self, number: int) -> None:
        """Ask again and again, until no process listens any more."""
        ports = self.ports[number % len(self.ports) :] + self.ports[: number % len(self.ports)]
        stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while True:
            if stream is None or stream[0].at_eof():
                if stream:
                    stream[1].close()
                stream = await self._connect(ports)
                if stream is None:
                    return
            self._number += 1
            username = f"{self.name}-{self._number}"
            try:
                status, is_kept = await self._post(*stream, username)
            except (Lost, OSError):
                self.seen["lost"] += 1
                status, is_kept = 0, False
            self.seen[status] += 1
            if status == 201:
                self.created.append(username)
            if not is_kept:
                stream[1].close()
                stream = None

    async def _connect(
        self, ports: list[int]
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        while ports:
            begun = asyncio.get_running_loop().time()
            try:
                return await asyncio.open_connection("127.0.0.1", ports[0])
            except ConnectionRefusedError:
                ports.pop(0)
            finally:
                if (took := asyncio.get_running_loop().time() - begun) > 1:
                    self.slow.append(took)
        return None

    async def _post(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, username: str
    ) -> tuple[int, bool]:
        body = f'{{"username":"{username}","email":"{username}@example.com"}}'
        writer.write(
            f"POST /api/v1/users HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            raise Lost from error
        lines = head.lower().split(b"\r\n")
        [length] = [
            int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length")
        ]
        try:
            await reader.readexactly(length)
        except asyncio.IncompleteReadError as error:
            raise Lost from error
        return int(head.split(b" ")[1]), b"connection: close" not in lines


@asynccontextmanager
async def asking(traffic: Traffic) -> AsyncIterator[None]:
    """Ask by all clients during a block, and after it until all were refused everywhere."""
    async with asyncio.timeout(LONG), asyncio.TaskGroup() as group:
        for number in range(CLIENTS):
            group.create_task(traffic.run(number))
        await asyncio.sleep(WARM)
        yield


async def check(traffic: Traffic, database_url: str) -> None:
    """Nothing was lost, and each creation is there once."""
    connection = await asyncpg.connect(database_url)
    rows = await connection.fetch(
        "SELECT username FROM users WHERE username LIKE $1", f"{traffic.name}-%"
    )
    await connection.close()
    assert set(traffic.seen) <= {201}, traffic.seen
    assert len(traffic.created) > CLIENTS
    assert sorted(row["username"] for row in rows) == sorted(traffic.created)
    assert len(traffic.slow) <= MOST_SLOW, traffic.slow
    assert max(traffic.slow, default=0) < 2


def end(service: RunningService, number: int = signal.SIGTERM) -> None:
    """Send a signal."""
    os.kill(service.pid, number)


def tree(pid: int) -> list[int]:
    """Return the process and its children, as a container's `kill -1` reaches them; none that has gone."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [pid, *(each for child in children for each in tree(int(child)))]


async def ended(service: RunningService) -> None:
    """Wait until a process is gone."""
    async with asyncio.timeout(TIMEOUT):
        while Path(f"/proc/{service.pid}").exists():  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("round_", range(ROUNDS))
@pytest.mark.parametrize("is_told", [False, True], ids=["SIGTERM", "SIGURG first"])
@pytest.mark.parametrize("kind", ["one process", "two workers", "two processes"])
@pytest.mark.parametrize("server", SERVERS)
async def test_a_process_ends_without_a_loss(
    *,
    server: str,
    kind: str,
    is_told: bool,
    round_: int,
    workspace: Path,
    database_url: str,
    database: Database,
    tmp_path: Path,
) -> None:
    random = Random(f"{SEED} {server} {kind} {is_told} {round_}")
    options = ["--server", server, *(["--workers", "2"] if kind == "two workers" else [])]
    async with AsyncExitStack() as stack:
        services = [
            await stack.enter_async_context(
                running(workspace, database_url, tmp_path / f"log{number}", {}, options)
            )
            for number in range(2 if kind == "two processes" else 1)
        ]
        traffic = Traffic([service.port for service in services], f"end{random.getrandbits(32)}")
        async with asking(traffic):
            for service in services:
                await asyncio.sleep(random.uniform(0, 0.3))
                if is_told:
                    for pid in tree(service.pid):
                        os.kill(pid, signal.SIGURG)
                    await asyncio.sleep(random.uniform(0.1, 0.5))
                end(service)
                await ended(service)

    await check(traffic, database_url)
    for number in range(len(services)):
        assert len(without_requests(tmp_path / f"log{number}")) == 1


@pytest.mark.parametrize("round_", range(ROUNDS))
@pytest.mark.parametrize("server", SERVERS)
async def test_workers_are_replaced_without_a_loss(
    *,
    server: str,
    round_: int,
    workspace: Path,
    database_url: str,
    database: Database,
    tmp_path: Path,
) -> None:
    random = Random(f"{SEED} {server} {round_}")
    options = ["--server", server, "--workers", "2"]
    async with running(workspace, database_url, tmp_path / "log", {}, options) as service:
        before = set(workers(service))
        traffic = Traffic([service.port], f"hup{random.getrandbits(32)}")
        async with asking(traffic):
            await asyncio.sleep(random.uniform(0, 0.3))
            end(service, signal.SIGHUP)
            while len(after := workers(service)) != 2 or before & set(after):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            end(service)

    await check(traffic, database_url)


def workers(service: RunningService) -> list[int]:
    """Return the processes that serve: all children but the one that watches over semaphores."""
    found = []
    for pid in tree(service.pid)[1:]:
        with suppress(FileNotFoundError, ProcessLookupError):  # it has gone
            if b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found
