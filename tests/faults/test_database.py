"""A service whose database is in trouble: how soon it says so, and how soon it is over."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from quart_fleet.web._health import INTERVAL
from scaffold.api.table import GRACE
from tests.contract.service import RunningService, running
from tests.contract.wire import TIMEOUT, Answer, exchange, spell
from tests.faults.server import HarmedServer
from tests.faults.way import FaultyWay
from tests.workspace import python_path

pytestmark = [pytest.mark.faults, pytest.mark.slow]

USERS, READY = "/api/v1/users", "/api/v1/health/ready"
JSON = {"Content-Type": "application/json"}
POOL = 5
CLIENTS = 20
NOTICED = 5.0
"""Seconds until the first request notices that the server is silent: 0.5 to 1 until it is asked,
and 2 for its answer; the rest is for a machine that is busy."""
AT_ONCE = 0.5
OVER = 2.0
"""Seconds from the end of an outage to the first answer."""
SERVERS = ["uvicorn", "hypercorn"]
ROUNDS = max(1, int(os.environ.get("FAULTS", "10")) // 10)


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HarmedServer]:
    server = HarmedServer(tmp_path_factory.mktemp("harmed") / ".postgres")
    server.start()
    yield server
    server.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=SERVERS)
async def service(
    workspace: Path,
    postgres: HarmedServer,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> AsyncIterator[RunningService]:
    """Under each server, with requests that end after three seconds."""
    await migrate(workspace, postgres.url)
    log = tmp_path_factory.mktemp("harmed") / "log"
    settings = {"DB_POOL_SIZE": str(POOL), "REQUEST_TIMEOUT": "8"}
    options = ("--server", str(request.param))
    async with running(workspace, postgres.url, log, settings, options) as service:
        yield service
    assert "Traceback" not in log.read_text(), log.read_text()


async def migrate(workspace: Path, url: str) -> None:
    migrating = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "db_manager", "migrate"),
        cwd=workspace,
        env={**os.environ, "PYTHONPATH": python_path(workspace), "DATABASE_URL": url},
    )
    assert await migrating.wait() == 0


async def ask(port: int, method: str = "GET", path: str = USERS, body: bytes | None = None,
              ) -> tuple[Answer, float]:  # fmt: skip
    """Return the answer, and when it came."""
    answer = await exchange(port, spell(method, path, JSON if body else None, body))
    return answer, time.monotonic()


async def hang_up_later(port: int, request: bytes) -> asyncio.StreamWriter:
    """Send a request; the caller leaves by closing what is returned."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    await writer.drain()
    return writer


def person(name: str) -> bytes:
    return b'{"username":"%s","email":"%s@example.com"}' % (name.encode(), name.encode())


@contextmanager
def small_disk(folder: Path, owner: int) -> Iterator[None]:
    """Mount a disk of 4 MB with a folder for PostgreSQL; skips where this is not allowed."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size=4m,uid={owner},mode=755", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        for path in (folder, *folder.parents[:-2]):
            path.chmod(path.stat().st_mode | 0o055)
        (folder / "space").mkdir(mode=0o700)
        os.chown(folder / "space", owner, -1)
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@asynccontextmanager
async def observed(postgres: HarmedServer) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres.url)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def locked(postgres: HarmedServer) -> AsyncIterator[asyncpg.Connection]:
    """The users locked against every read and write; what is asked meanwhile sees who waits."""
    async with (
        observed(postgres) as holder,
        observed(postgres) as observer,
        holder.transaction(),
    ):
        await holder.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        yield observer


async def waiting(observer: asyncpg.Connection) -> int:
    """Return how many statements wait for a lock."""
    return int(
        await observer.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        )
    )


async def until(observer: asyncpg.Connection, number: int) -> float:
    """Return the seconds until as many statements wait."""
    start = time.monotonic()
    async with asyncio.timeout(TIMEOUT):
        while await waiting(observer) != number:  # noqa: ASYNC110  # there is no signal
            await asyncio.sleep(0.01)
    return time.monotonic() - start


async def works_again(port: int) -> float:
    """Return the seconds until the service is ready and answers."""
    start = time.monotonic()
    async with asyncio.timeout(TIMEOUT):
        while True:
            answers = [await ask(port, path=path) for path in (READY, USERS)]
            if {answer.status for answer, _ in answers} == {200}:
                return time.monotonic() - start
            await asyncio.sleep(0.02)


async def test_a_silent_server_is_noticed_once_for_all(
    service: RunningService, postgres: HarmedServer
) -> None:
    await works_again(service.port)
    postgres.pause()
    try:
        start = time.monotonic()
        answers = await asyncio.gather(
            *(ask(service.port) for _ in range(CLIENTS)),
            *(ask(service.port, "POST", USERS, GRACE) for _ in range(CLIENTS)),
        )
        first = min(moment for _, moment in answers)
        last = max(moment for _, moment in answers)
        await asyncio.sleep(INTERVAL)  # until readiness is asked anew
        asked = time.monotonic()
        later = await asyncio.gather(
            ask(service.port),
            ask(service.port, path=READY),
            ask(service.port, "POST", USERS, GRACE),
        )
    finally:
        postgres.resume()
    over = await works_again(service.port)

    assert {answer.status for answer, _ in [*answers, *later]} == {503}
    assert {answer.find("Retry-After") for answer, _ in [*answers, *later]} == {"1"}
    assert first - start < NOTICED
    assert last - first < AT_ONCE
    assert max(moment for _, moment in later) - asked < AT_ONCE
    assert over < OVER
    print(
        f"noticed after {first - start:.2f} s, all {last - first:.2f} s later, over in {over:.2f}"
    )


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_a_server_that_ends_is_503_at_once_and_its_return_is_seen(
    end: str, service: RunningService, postgres: HarmedServer
) -> None:
    await works_again(service.port)
    await asyncio.to_thread(getattr(postgres, end))
    asked = time.monotonic()
    answers = await asyncio.gather(*(ask(service.port) for _ in range(CLIENTS)))
    await asyncio.sleep(INTERVAL)  # until readiness is asked anew
    ready, _ = await ask(service.port, path=READY)
    if end == "kill":
        await asyncio.to_thread(postgres.stop)
    await asyncio.to_thread(postgres.start)
    over = await works_again(service.port)

    assert {answer.status for answer in [ready, *(answer for answer, _ in answers)]} == {503}
    assert max(moment for _, moment in answers) - asked < AT_ONCE
    assert over < OVER


async def test_a_request_ends_at_its_bound_and_its_statement_with_it(
    service: RunningService, postgres: HarmedServer
) -> None:
    """Of those that wait for the lock, and of those that wait for a connection."""
    async with locked(postgres) as observer:
        start = time.monotonic()
        answers = await asyncio.gather(*(ask(service.port) for _ in range(CLIENTS)))
        assert await until(observer, 0) < 1

    assert {answer.status for answer, _ in answers} == {503}
    assert max(moment for _, moment in answers) - start < 8 + 1
    await works_again(service.port)


async def test_a_read_ends_with_its_client(service: RunningService, postgres: HarmedServer) -> None:
    await works_again(service.port)
    async with locked(postgres) as observer:
        for request in (spell("GET", USERS), spell("PUT", f"{USERS}/1", JSON, b'{"age":1}')):
            clients = [await hang_up_later(service.port, request) for _ in range(POOL)]
            await until(observer, POOL)
            for client in clients:
                client.transport.abort()
            gone = await until(observer, 0)
            ready, _ = await ask(service.port, path=READY)

            assert gone < 1.0
            assert ready.status == 200


async def test_a_write_that_has_begun_is_finished_and_one_that_waits_is_dropped(
    service: RunningService, postgres: HarmedServer
) -> None:
    name = f"finished{service.port}"
    await works_again(service.port)
    async with locked(postgres) as observer:
        begun = [
            await hang_up_later(service.port, spell("POST", USERS, JSON, person(f"{name}{n}")))
            for n in range(POOL)
        ]
        await until(observer, POOL)
        late = [
            await hang_up_later(service.port, spell("POST", USERS, JSON, person(f"late{name}{n}")))
            for n in range(CLIENTS)
        ]
        await asyncio.sleep(1)  # until all of them wait for a connection
        for client in (*begun, *late):
            client.transport.abort()
        await asyncio.sleep(1)
        assert await waiting(observer) == POOL
    await works_again(service.port)

    async with observed(postgres) as connection:
        count = "SELECT count(*) FROM users WHERE username LIKE $1"
        assert await connection.fetchval(count, f"{name}%") == POOL
        assert await connection.fetchval(count, f"late{name}%") == 0


async def test_a_server_without_a_free_connection_is_503_until_it_has_one(
    workspace: Path, service: RunningService, postgres: HarmedServer, tmp_path: Path
) -> None:
    hogs = []
    with suppress(asyncpg.TooManyConnectionsError):
        while True:
            hogs.append(await asyncpg.connect(postgres.url))
    async with running(workspace, postgres.url, tmp_path / "log") as late:
        answer, _ = await ask(late.port)
        ready, _ = await ask(late.port, path=READY)
        for hog in hogs:
            await hog.close()
        over = await works_again(late.port)

    assert (answer.status, ready.status) == (503, 503)
    assert over < OVER


async def test_a_full_disk_is_503_until_there_is_space(
    service: RunningService, postgres: HarmedServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    disk = tmp_path_factory.mktemp("disk")
    with small_disk(disk, postgres.owner):
        # PostgreSQL itself cannot always make space on a full disk: dropping a table may end it.
        (disk / "ballast").write_bytes(bytes(1 << 20))
        await works_again(service.port)
        async with observed(postgres) as connection:
            await connection.execute(f"CREATE TABLESPACE small LOCATION '{disk}/space'")
            await connection.execute("ALTER TABLE users SET TABLESPACE small")
            await connection.execute("CREATE TABLE filler (text text) TABLESPACE small")
            with suppress(asyncpg.DiskFullError):
                while True:
                    await connection.execute(
                        "INSERT INTO filler SELECT repeat('x', 1000) FROM generate_series(1, 100)"
                    )
            number = 0
            async with asyncio.timeout(TIMEOUT):
                while True:  # the table has some pages yet
                    number += 1
                    body = person(f"full{service.port}n{number}")
                    refused, _ = await ask(service.port, "POST", USERS, body)
                    if refused.status != 201:
                        break
            read, _ = await ask(service.port, path=f"{USERS}/page")
            await asyncio.sleep(INTERVAL)  # for which an answer of readiness is kept
            ready, _ = await ask(service.port, path=READY)
            (disk / "ballast").unlink()
            answer, _ = await ask(service.port, "POST", USERS, person(f"space{service.port}"))
            await connection.execute("DROP TABLE filler")
            await connection.execute("ALTER TABLE users SET TABLESPACE pg_default")
            await connection.execute("DROP TABLESPACE small")
        await works_again(service.port)

    assert ready.status == 503
    assert (refused.status, refused.find("Retry-After")) == (503, "1")
    assert (read.status, answer.status) == (200, 201)
    assert service.log.read_text().count("DiskFullError") <= 2


async def test_a_start_waits_for_no_silent_server(
    workspace: Path, postgres: HarmedServer, tmp_path: Path
) -> None:
    start = time.monotonic()
    async with running(workspace, postgres.url, tmp_path / "log"):
        usual = time.monotonic() - start
    postgres.pause()
    try:
        start = time.monotonic()
        async with running(workspace, postgres.url, tmp_path / "silent") as service:
            silent = time.monotonic() - start
            answer, _ = await ask(service.port)
            postgres.resume()
            over = await works_again(service.port)
    finally:
        postgres.resume()

    assert silent - usual < 4.0  # 1.5 s of waiting, and what a busy machine adds
    assert answer.status == 503
    assert over < OVER


@pytest.mark.parametrize("server", SERVERS)
async def test_no_fault_of_the_way_outlasts_it(
    server: str, workspace: Path, postgres: HarmedServer, tmp_path: Path
) -> None:
    """Delays cost time alone; a stall or a cut is 503, and nothing of it is left afterwards."""
    await migrate(workspace, postgres.url)
    way = FaultyWay(postgres.url)
    await way.open()
    settings, log = {"DB_POOL_SIZE": str(POOL), "REQUEST_TIMEOUT": "6"}, tmp_path / "log"
    try:
        async with running(workspace, way.url, log, settings, ("--server", server)) as service:
            for number in range(ROUNDS):
                for fault in ("delay", "stall", "cut"):
                    await works_again(service.port)
                    way.harm(fault)
                    name = f"{fault}{number}x{service.port}"
                    answers = await asyncio.gather(
                        *(ask(service.port) for _ in range(CLIENTS)),
                        *(ask(service.port, "POST", USERS, person(f"{name}n{n}"))
                          for n in range(CLIENTS)),
                    )  # fmt: skip
                    way.mend()
                    over = await works_again(service.port)

                    expected = {200, 201} if fault == "delay" else {503}
                    assert {answer.status for answer, _ in answers} == expected
                    assert over < OVER
            others = way.connections
        assert others <= POOL
        assert "Traceback" not in log.read_text(), log.read_text()
    finally:
        await way.close()
