"""What many clients may take together, and what one process leaves to those that behave.

Everyday tests have small limits; those marked `faults` have the counts that services have met.
"""

import asyncio
import os
import re
import resource
import signal
import socket
import struct
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

import asyncpg
import pytest

from quart_fleet.database._engine import Database
from quart_fleet.server._connections import MOST_QUEUED
from tests.audit import without_requests
from tests.contract.service import RunningService, running
from tests.contract.wire import TIMEOUT, Answer, exchange, spell
from tests.faults.test_endings import tree
from tests.workspace import python_path, run

SERVERS = ["uvicorn", "hypercorn"]
SHARE = int(os.environ.get("FAULTS", "10")) / 100
"""How much of the counts is tried: `make faults` tries all."""
HEALTH, READY, USERS = "/api/v1/health", "/api/v1/health/ready", "/api/v1/users"
QUICK = 10.0
"""Seconds that a client waits at most which is refused, or served beside the others, on a machine
that does other work too."""
UNAVAILABLE = b'{"message":"Service Unavailable","success":false}\n'
JSON = {"Content-Type": "application/json"}
faults = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(3600)]


@asynccontextmanager
async def serving(
    server: str, workspace: Path, database_url: str, log: Path, **settings: object
) -> AsyncIterator[RunningService]:
    """A service with these settings, that never logs a traceback."""
    given = {name: str(value) for name, value in settings.items()}
    async with running(workspace, database_url, log, given, ("--server", server)) as service:
        yield service
    assert "Traceback" not in log.read_text(), log.read_text()


async def quickly(port: int, request: bytes) -> Answer:
    """Ask as one who does not wait long."""
    async with asyncio.timeout(QUICK):
        return await exchange(port, request)


@asynccontextmanager
async def connected(port: int, count: int, sent: bytes) -> AsyncIterator[list[socket.socket]]:
    """Clients that have sent the same, and read nothing; each takes little at a time."""
    loop = asyncio.get_running_loop()
    with contextmanager(_sockets)(count) as clients:
        for client in clients:
            await loop.sock_connect(client, ("127.0.0.1", port))
            await loop.sock_sendall(client, sent)
        yield clients


def _sockets(count: int) -> Iterator[list[socket.socket]]:
    clients = [socket.socket() for _ in range(count)]
    try:
        for client in clients:
            client.setblocking(False)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        yield clients
    finally:
        for client in clients:
            client.close()


def memory_of(service: RunningService, field: str = "VmRSS") -> int:
    """Return the bytes of memory that the process has, or by VmHWM the most that it had."""
    status = Path(f"/proc/{service.pid}/status").read_text()
    return int(re.findall(rf"{field}:\s+(\d+) kB", status)[0]) * 1024


@asynccontextmanager
async def locked(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Hold the table, so that every request that needs it waits."""
    connection = await asyncpg.connect(database_url)
    async with connection.transaction():
        await connection.execute("LOCK TABLE users")
        yield connection
    await connection.close()


async def fill(database_url: str, count: int) -> None:
    """Have this many users."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "INSERT INTO users (username, email, is_active, created_at, updated_at)"
        " SELECT n, n, true, now(), now() FROM generate_series(1, $1::int) n",
        count,
    )
    await connection.close()


@pytest.mark.slow
@pytest.mark.parametrize("server", SERVERS)
async def test_idle_and_slow_clients_make_room(
    server: str, workspace: Path, database_url: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with serving(server, workspace, database_url, log, MAX_CONNECTIONS=20) as service:
        async with (
            connected(service.port, 15, b"GET / HTTP/1.1\r\nX"),
            connected(service.port, 25, b""),
        ):
            answers = [await quickly(service.port, spell("GET", HEALTH)) for _ in range(5)]

        assert {answer.status for answer in answers} == {200}
        assert log.read_text().count("clients are connected, the limit") == 1


@pytest.mark.slow
@pytest.mark.parametrize("server", SERVERS)
async def test_too_many_requests_at_a_time_are_answered_503_at_once(
    server: str, workspace: Path, database_url: str, database: Database, tmp_path: Path
) -> None:
    most = {"MAX_RUNNING_REQUESTS": 3}
    async with serving(server, workspace, database_url, tmp_path / "log", **most) as service:
        async with locked(database_url):
            asking = [
                asyncio.ensure_future(exchange(service.port, spell("GET", USERS))) for _ in range(3)
            ]
            await asyncio.sleep(0.5)
            refused = await quickly(service.port, spell("GET", USERS))
            health = await quickly(service.port, spell("GET", HEALTH))
        answers = await asyncio.gather(*asking)

    assert (refused.status, refused.body) == (503, UNAVAILABLE)
    assert refused.find("Retry-After") == "1"
    assert health.status == 200
    assert [answer.status for answer in answers] == [200] * 3


@pytest.mark.slow
@pytest.mark.parametrize("server", SERVERS)
async def test_bodies_that_are_too_much_together_are_answered_503(
    server: str, workspace: Path, database_url: str, database: Database, tmp_path: Path
) -> None:
    most = {"MAX_BODY_MEMORY": 1024 * 1024}
    body = b" " * 400_000 + b'{"username":"big","email":"big@example.com"}'
    unfinished = spell("POST", USERS, JSON, body)[:-1]
    async with serving(server, workspace, database_url, tmp_path / "log", **most) as service:
        async with connected(service.port, 2, unfinished):
            await asyncio.sleep(0.5)
            refused = await quickly(service.port, spell("POST", USERS, JSON, body))
            small = await quickly(
                service.port,
                spell("POST", USERS, JSON, b'{"username":"small","email":"small@example.com"}'),
            )
        await asyncio.sleep(0.2)
        afterwards = await quickly(service.port, spell("POST", USERS, JSON, body))

    assert (refused.status, refused.find("Retry-After")) == (503, "1")
    assert (small.status, afterwards.status) == (201, 201)


@pytest.mark.slow
@pytest.mark.parametrize("server", SERVERS)
async def test_what_is_cut_at_the_end_of_the_grace_is_answered_503(
    server: str, workspace: Path, database_url: str, database: Database, tmp_path: Path
) -> None:
    grace = {"GRACEFUL_TIMEOUT": 2}
    kept = spell("GET", READY).replace(b"Connection: close\r\n", b"")
    async with (
        serving(server, workspace, database_url, tmp_path / "log", **grace) as service,
        locked(database_url) as lock,
        asyncio.timeout(TIMEOUT),
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(kept)
        before = await reader.readuntil(b"}\n")
        asking = asyncio.ensure_future(exchange(service.port, spell("GET", USERS)))
        await asyncio.sleep(0.5)
        os.kill(service.pid, signal.SIGTERM)
        await asyncio.sleep(0.5)
        writer.write(kept)
        after = Answer.read(await reader.read())
        cut = await asking
        while Path(f"/proc/{service.pid}").exists():  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.05)
        left = await lock.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND wait_event_type = 'Lock'"
        )
        writer.close()

    assert b" 200 " in before.partition(b"\r\n")[0]
    assert (after.status, after.find("Connection")) == (503, "close")
    assert (cut.status, cut.body) == (503, UNAVAILABLE)
    assert left == 0


@pytest.mark.slow
@pytest.mark.parametrize("signals", ["INT INT", "TERM TERM", "TERM INT"])
@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("server", SERVERS)
async def test_a_second_signal_ends_what_still_runs_at_once(
    *,
    server: str,
    workers: str,
    signals: str,
    workspace: Path,
    database_url: str,
    database: Database,
    tmp_path: Path,
) -> None:
    given, options = {"GRACEFUL_TIMEOUT": "3600"}, ("--server", server, "--workers", workers)
    async with (
        running(workspace, database_url, tmp_path / "log", given, options) as service,
        locked(database_url),
        asyncio.timeout(TIMEOUT),
    ):
        asking = [
            asyncio.ensure_future(exchange(service.port, spell("GET", USERS))) for _ in range(3)
        ]
        await waiting(database_url, 3)
        for name in signals.split():
            os.kill(service.pid, getattr(signal, f"SIG{name}"))
            await asyncio.sleep(0.5)
        cut = await asyncio.gather(*asking)
        await gone(service)
        await waiting(database_url, 0)

    assert {(answer.status, answer.body) for answer in cut} == {(503, UNAVAILABLE)}
    assert "Traceback" not in (tmp_path / "log").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("server", SERVERS)
async def test_two_signals_of_two_kinds_are_one_end(
    *,
    server: str,
    workers: str,
    workspace: Path,
    database_url: str,
    database: Database,
    tmp_path: Path,
) -> None:
    """A terminal's Ctrl-C and its supervisor's SIGTERM; what kills a group sends workers two."""
    options = ("--server", server, "--workers", workers)
    async with (
        running(workspace, database_url, tmp_path / "log", {}, options) as service,
        asyncio.timeout(TIMEOUT),
    ):
        async with locked(database_url):
            asking = asyncio.ensure_future(exchange(service.port, spell("GET", USERS)))
            await waiting(database_url, 1)
            if workers == "1":
                os.kill(service.pid, signal.SIGINT)
            else:
                for pid in tree(service.pid)[1:]:
                    os.kill(pid, signal.SIGTERM)
            await asyncio.sleep(0.2)
            os.kill(service.pid, signal.SIGTERM)
            await asyncio.sleep(1)
        answer = await asking
        await gone(service)

    assert answer.status == 200


async def waiting(database_url: str, count: int) -> None:
    """Wait until so many statements wait for the lock."""
    connection = await asyncpg.connect(database_url)
    while count != await connection.fetchval(  # noqa: ASYNC110 - no event tells of it
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND wait_event_type = 'Lock'"
    ):
        await asyncio.sleep(0.05)
    await connection.close()


async def gone(service: RunningService) -> None:
    """Wait until the process has ended."""
    while Path(f"/proc/{service.pid}").exists():  # noqa: ASYNC110 - no event tells of it
        await asyncio.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("server", SERVERS)
async def test_a_client_that_takes_nothing_of_its_answer_is_ended(
    server: str, workspace: Path, database_url: str, database: Database, tmp_path: Path
) -> None:
    await fill(database_url, 20_000)
    limit = {"SEND_TIMEOUT": 1}
    async with (
        serving(server, workspace, database_url, tmp_path / "log", **limit) as service,
        connected(service.port, 2, spell("GET", USERS)),
        asyncio.timeout(TIMEOUT),
    ):
        while count_connections(service):  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.1)
    assert "took no byte" in (tmp_path / "log").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("is_draining", [False, True], ids=["serving", "draining"])
@pytest.mark.parametrize("server", SERVERS)
async def test_a_client_that_is_slow_gets_all_of_its_answer(
    *,
    is_draining: bool,
    server: str,
    workspace: Path,
    database_url: str,
    database: Database,
    tmp_path: Path,
) -> None:
    """It takes some all the time, while the system asks the process for more once in seconds."""
    await fill(database_url, 10_000)
    limit, loop, received = {"SEND_TIMEOUT": 1}, asyncio.get_running_loop(), b""
    async with (
        serving(server, workspace, database_url, tmp_path / "log", **limit) as service,
        connected(service.port, 1, spell("GET", USERS)) as (client,),
        asyncio.timeout(TIMEOUT),
    ):
        for number in range(80):
            received += await loop.sock_recv(client, 2048)
            if is_draining and number == 0:
                os.kill(service.pid, signal.SIGTERM)
            await asyncio.sleep(0.1)
        while part := await loop.sock_recv(client, 65536):
            received += part

    assert received.endswith(b"0\r\n\r\n")
    assert received.count(b'"username"') == 10_000


def count_connections(service: RunningService) -> int:
    """Return how many clients the process holds (proc_pid_net(5), by the local port)."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    established = "01"
    port = f":{service.port:04X}"
    return sum(each[1].endswith(port) and each[3] == established for each in fields)


@pytest.mark.slow
@pytest.mark.parametrize("server", SERVERS)
async def test_requests_sent_together_wait_in_their_order_and_are_not_too_many(
    server: str, workspace: Path, database_url: str, database: Database, tmp_path: Path
) -> None:
    """uvicorn reads ahead of the answers: what is beyond its bound is not carried out."""
    kept = spell("GET", HEALTH).replace(b"Connection: close\r\n", b"")
    async with serving(server, workspace, database_url, tmp_path / "log") as service:
        async with locked(database_url), asyncio.timeout(TIMEOUT):
            reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
            first = spell("GET", USERS).replace(b"Connection: close\r\n", b"")
            writer.write(first + kept * 99 + spell("GET", HEALTH))
            await asyncio.sleep(0.5)
        answers = await reader.read()
        writer.close()

    served, refused = (answers.count(b"HTTP/1.1 %d " % status) for status in (200, 503))
    assert (served, refused) == ((1 + MOST_QUEUED, 1) if server == "uvicorn" else (101, 0))


@pytest.mark.slow
@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("kind", ["heads", "bodies that are not asked for"])
async def test_what_many_hold_together_is_bounded_and_others_are_served(
    *,
    kind: str,
    server: str,
    workspace: Path,
    database_url: str,
    database: Database,
    tmp_path: Path,
) -> None:
    most = {"MAX_BODY_MEMORY": 1024 * 1024}
    sent = b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 60_000
    if kind != "heads":
        sent = spell("POST", f"{USERS}/1/deactivate", JSON, b" " * 100_000)
    async with serving(server, workspace, database_url, tmp_path / "log", **most) as service:
        async with locked(database_url), connected(service.port, 40, sent) as clients:
            await asyncio.sleep(0.5)
            answer = await quickly(service.port, spell("GET", HEALTH))
            refused = 0
            for client in clients:
                try:
                    refused += client.recv(12) == b"HTTP/1.1 503"
                except BlockingIOError:
                    continue
        await asyncio.sleep(1)
        after = await quickly(service.port, spell("POST", USERS, JSON, b" " * 400_000))

    assert answer.status == 200
    assert refused >= 20
    assert after.status == 400
    assert "bytes of requests are held" in (tmp_path / "log").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("server", SERVERS)
async def test_clients_that_connect_and_leave_disturb_nobody(
    server: str, workspace: Path, database_url: str, database: Database, tmp_path: Path
) -> None:
    """Some say nothing, some reset their connection in the midst of a head, a body or an answer."""
    await fill(database_url, 300)
    unfinished = spell("POST", USERS, JSON, b"{}")[:-1]
    async with serving(server, workspace, database_url, tmp_path / "log") as service:
        for sent in (b"", b"GET / HT", unfinished, spell("GET", USERS), spell("GET", HEALTH) * 3):
            for number in range(400):
                with socket.create_connection(("127.0.0.1", service.port)) as client:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    client.sendall(sent)
                    if number % 20 == 0:
                        await asyncio.sleep(0.02)  # until an answer has begun
        answers = [await exchange(service.port, spell("GET", path)) for path in (HEALTH, USERS)]
        async with asyncio.timeout(TIMEOUT):
            while count_connections(service):  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(0.1)

    assert [answer.status for answer in answers] == [200, 200]
    assert len(without_requests(tmp_path / "log")) <= 2


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.usefixtures("database")
class TestCounts:
    """With the numbers of clients that have ended services."""

    pytestmark = faults

    async def test_clients_that_send_a_byte_now_and_then_lock_nobody_out(
        self, server: str, workspace: Path, database_url: str, tmp_path: Path
    ) -> None:
        clients, files = int(1000 * SHARE), int(500 * SHARE) + 100
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        async with AsyncExitStack() as stack:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
            try:
                service = await stack.enter_async_context(
                    serving(server, workspace, database_url, tmp_path / "log")
                )
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
            async with connected(service.port, clients, b"GET / HTTP/1.1\r\n") as dribbling:
                for _ in range(20):
                    for client in dribbling:
                        try:
                            client.send(b"X")
                        except OSError:
                            continue
                    answer = await quickly(service.port, spell("GET", HEALTH))
                    assert answer.status == 200
        assert len(without_requests(tmp_path / "log")) <= 3

    async def test_heads_of_many_megabytes_take_no_memory(
        self, server: str, workspace: Path, database_url: str, tmp_path: Path
    ) -> None:
        async with serving(server, workspace, database_url, tmp_path / "log") as service:
            before = memory_of(service)
            loop = asyncio.get_running_loop()
            head = b"GET / HTTP/1.1\r\nHost: x\r\n"
            for sent in (head + b"X-A: 1\r\n" * 1_000_000, head + b"X-A: " + b"a" * 40_000_000):
                with socket.socket() as client:
                    client.setblocking(False)
                    await loop.sock_connect(client, ("127.0.0.1", service.port))
                    sending = asyncio.ensure_future(loop.sock_sendall(client, sent))
                    await quickly(service.port, spell("GET", HEALTH))
                    await asyncio.wait([sending], timeout=10)
                    sending.cancel()
                    await asyncio.gather(sending, return_exceptions=True)
            assert memory_of(service) - before < 8 * 1024 * 1024

    async def test_unfinished_bodies_take_little_memory(
        self, server: str, workspace: Path, database_url: str, tmp_path: Path
    ) -> None:
        clients = max(60, int(300 * SHARE))
        unfinished = spell("POST", USERS, JSON, b" " * 1_000_000)[:-1]
        async with serving(server, workspace, database_url, tmp_path / "log") as service:
            before = memory_of(service)
            async with AsyncExitStack() as stack:
                for _ in range(clients):
                    await stack.enter_async_context(connected(service.port, 1, unfinished))
                grown = memory_of(service) - before
                answer = await quickly(service.port, spell("GET", HEALTH))
                grown = max(grown, memory_of(service) - before)
        print(f"{server}: {clients} unfinished bodies: {grown / 2**20:.0f} MiB")
        assert answer.status == 200
        assert grown < 64 * 1024 * 1024

    async def test_answers_that_nobody_takes_hold_little_memory_and_not_for_ever(
        self, server: str, workspace: Path, database_url: str, tmp_path: Path
    ) -> None:
        await fill(database_url, max(20_000, int(100_000 * SHARE)))
        clients = max(20, int(150 * SHARE))
        limit = {"SEND_TIMEOUT": 5}
        async with serving(server, workspace, database_url, tmp_path / "log", **limit) as service:
            before = memory_of(service)
            async with connected(service.port, clients, spell("GET", USERS)):
                await asyncio.sleep(4)
                grown = memory_of(service) - before
                async with asyncio.timeout(TIMEOUT):
                    while count_connections(service):  # noqa: ASYNC110
                        await asyncio.sleep(0.2)
                answer = await quickly(service.port, spell("GET", HEALTH))
        print(f"{server}: {clients} answers that no client takes: {grown / 2**20:.0f} MiB")
        assert answer.status == 200
        assert grown < 64 * 1024 * 1024

    async def test_all_attacks_together_stay_within_the_limit_of_the_manifests(
        self, server: str, workspace: Path, database_url: str, tmp_path: Path
    ) -> None:
        """Each in its full count: one process, as the manifests run it."""
        await fill(database_url, max(20_000, int(100_000 * SHARE)))
        limit = min(limits_of_memory(workspace))
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        try:
            async with (
                serving(server, workspace, database_url, tmp_path / "log") as service,
                AsyncExitStack() as stack,
            ):
                for count, sent in ATTACKS.values():
                    flooding = flood(service.port, max(1, int(count * SHARE)), sent)
                    await stack.enter_async_context(flooding)
                await asyncio.sleep(LASTING)
                answer = await exchange(service.port, spell("GET", HEALTH))
                peak = memory_of(service, "VmHWM")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        print(f"{server}: all attacks together: {peak / 2**20:.0f} of {limit / 2**20:.0f} MiB")
        assert answer.status == 200
        assert peak < limit


LASTING = 8.0
"""Seconds that all attacks go on together."""
_KEPT = spell("GET", USERS).replace(b"Connection: close\r\n", b"")
ATTACKS = {
    "idle": (2000, b""),
    "a byte now and then": (1000, b"GET / HTTP/1.1\r\n"),
    "a head without an end": (1, b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 40_000_000),
    "headers without an end": (1, b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: 1\r\n" * 1_000_000),
    "unfinished heads": (2000, b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 60_000),
    "unfinished bodies": (300, spell("POST", USERS, JSON, b" " * 1_000_000)[:-1]),
    "bodies that are not read": (300, spell("POST", f"{USERS}/1/deactivate", JSON, b" " * 900_000)),
    "bodies in tiny chunks": (
        10,
        spell("POST", USERS, {**JSON, "Transfer-Encoding": "chunked"}) + b"1\r\n \r\n" * 500_000,
    ),
    "answers that are not read": (150, _KEPT),
    "requests sent ahead": (50, _KEPT + spell("GET", "/", {"Connection": "keep-alive"}) * 5000),
    "waiting for the database": (512, spell("GET", f"{USERS}/1")),
}
"""How many clients send what."""


@asynccontextmanager
async def flood(port: int, count: int, sent: bytes) -> AsyncIterator[None]:
    """Clients that send as much of the same as is taken, and read nothing."""
    loop = asyncio.get_running_loop()
    with contextmanager(_sockets)(count) as clients:

        async def send(client: socket.socket) -> None:
            with suppress(OSError):  # some are refused, which is what is tried
                await loop.sock_connect(client, ("127.0.0.1", port))
                await loop.sock_sendall(client, sent)

        sending = [asyncio.ensure_future(send(client)) for client in clients]
        try:
            yield
        finally:
            for each in sending:
                each.cancel()
            await asyncio.gather(*sending, return_exceptions=True)


def limits_of_memory(workspace: Path) -> list[int]:
    """Return the bytes that a service's container may take, by its manifests and by Compose."""
    run(
        [sys.executable, "-m", "scaffold", "deploy", "k8s", "--force"],
        workspace,
        {**os.environ, "PYTHONPATH": python_path(workspace)},
    )
    deployed = (workspace / "deploy/k8s/base/services/user-service.yaml").read_text()
    composed = (workspace / "services/user_service/compose.yaml").read_text()
    _, _, container = deployed.partition("\n        - name: service\n")
    mebibytes = re.findall(r"limits:(?:\n +#.*)*\n +memory: (\d+)Mi", container)
    mebibytes += re.findall(r"mem_limit: (\d+)m", composed)
    assert len(mebibytes) == 2, mebibytes
    return [int(each) * 1024 * 1024 for each in mebibytes]
