"""Metrics of real processes: one and several, killed, replaced, on a read-only root."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from quart_fleet.asgi._application import MOST_AT_ONCE
from tests.audit import COPIES
from tests.contract.service import RunningService, running
from tests.contract.test_workers import listens
from tests.contract.wire import TIMEOUT, exchange, spell
from tests.faults.test_endings import workers
from tests.ports import reserve_port
from tests.workspace import python_path

pytestmark = [pytest.mark.slow, pytest.mark.faults]

SERVERS = ["uvicorn", "hypercorn"]
HEALTH = "/api/v1/health"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def scrape(port: int) -> Samples:
    """Return every sample by its name and its labels; both formats are well formed."""
    answer = await exchange(port, spell("GET", "/metrics"))
    assert answer.status == 200
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    second = await exchange(port, spell("GET", "/metrics", accept))
    assert [*read_openmetrics(second.body.decode())]  # type: ignore[no-untyped-call]
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


def find(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


def answered(samples: Samples, route: str = HEALTH) -> float:
    return sum(
        value
        for (name, labels), value in samples.items()
        if name == "http_requests_total" and ("route", route) in labels
    )


async def until(port: int, route: str, count: float) -> Samples:
    """Scrape until so many are counted: an answer is there a moment before its count."""
    async with asyncio.timeout(TIMEOUT):
        while answered(samples := await scrape(port), route) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return samples


@pytest.mark.parametrize("number", ["1", "2"])
@pytest.mark.parametrize("server", SERVERS)
async def test_a_scrape_tells_what_was_done(
    server: str, number: str, workspace: Path, database_url: str, tmp_path: Path
) -> None:
    port, folder = reserve_port(), tmp_path / "temporary"
    folder.mkdir()
    settings = {"METRICS_PORT": str(port), "TMPDIR": str(folder), "SERVICE_VERSION": "7.1"}
    options = ["--server", server, "--workers", number]
    async with running(workspace, database_url, tmp_path / "log", settings, options) as service:
        before = answered(await until(port, HEALTH, 1))
        for _ in range(20):
            await exchange(service.port, spell("GET", HEALTH))
            await exchange(service.port, spell("GET", "/api/v1/users/1"))
        await exchange(service.port, b"GET / HTTP/1.1\r\nHost: a\r\n" + b"a: b\r\n" * 200 + b"\r\n")
        own = await exchange(service.port, spell("GET", "/metrics"))
        samples = await until(port, "/api/v1/users/<id:record_id>", 20)
        async with asyncio.timeout(TIMEOUT):  # gauges are sampled once a second, and workers start
            while (
                find(samples, "db_pool_limit") != 5 * int(number)
                or find(samples, "http_requests_in_progress") != 0
            ):
                await asyncio.sleep(0.1)
                samples = await scrape(port)
        made = [*folder.iterdir()]
    left = [*folder.iterdir()]

    assert own.status == 404
    assert answered(samples) == before + 20
    assert find(samples, "http_request_duration_seconds_count", method="GET", route=HEALTH) == (
        before + 20
    )
    assert find(samples, "http_refused_total", status="431") == 1
    assert find(samples, "db_statement_duration_seconds_count", statement="SELECT users") == 20
    assert find(samples, "db_pool_connections", state="lent") == 0
    assert (find(samples, "db_pool_connections", state="idle") or 0) >= 1
    assert (find(samples, "event_loop_lag_seconds_count") or 0) >= int(number)
    assert (find(samples, "process_cpu_seconds_total") or 0) > 0.1
    assert (find(samples, "process_resident_memory_bytes") or 0) > 3e7 * int(number)
    assert (find(samples, "process_open_fds") or 0) > 5
    build = [dict(labels) for (name, labels) in samples if name == "service_build_info"]
    assert [(each["service"], each["version"]) for each in build] == [("user-service", "7.1")]
    assert len(made) == (number == "2")
    assert left == []
    assert "Traceback" not in (tmp_path / "log").read_text()


async def load(service: RunningService, ended: asyncio.Event, counts: dict[str, int]) -> None:
    """Ask one thing after another, each on a connection of its own."""
    while not ended.is_set():
        counts["sent"] += 1
        try:
            answer = await exchange(service.port, spell("GET", HEALTH))
        except (OSError, ValueError, IndexError):
            continue
        counts["answered"] += answer.status == 200


@pytest.mark.parametrize("server", SERVERS)
async def test_nothing_counted_is_lost_where_workers_are_killed(
    server: str, workspace: Path, database_url: str, tmp_path: Path
) -> None:
    """An answer may be on its way while its worker is killed, before it has counted it."""
    port, folder, clients, kills = reserve_port(), tmp_path / "temporary", 4, 4
    folder.mkdir()
    settings = {"METRICS_PORT": str(port), "TMPDIR": str(folder)}
    options = ["--server", server, "--workers", "2"]
    async with running(workspace, database_url, tmp_path / "log", settings, options) as service:
        begun = answered(await until(port, HEALTH, 1))
        ended, counts = asyncio.Event(), {"sent": 0, "answered": 0}
        loads = [asyncio.create_task(load(service, ended, counts)) for _ in range(clients)]
        seen, last = set[int](), begun
        for number in range(kills):
            async with asyncio.timeout(TIMEOUT):
                while not (new := set(workers(service)) - seen) or len(workers(service)) < 2:
                    await asyncio.sleep(0.05)
                    now = answered(await scrape(port))
                    assert now >= last  # a counter never goes back
                    last = now
            enough = counts["answered"] + 50
            async with asyncio.timeout(TIMEOUT):
                while counts["answered"] < enough:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            victim = min(new)
            seen.add(victim)
            if number % 2:
                os.kill(service.pid, signal.SIGHUP)
                await asyncio.sleep(0.1)
            os.kill(victim, signal.SIGKILL)
        async with asyncio.timeout(TIMEOUT):
            while len(workers(service)) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        ended.set()
        await asyncio.gather(*loads)
        async with asyncio.timeout(TIMEOUT):  # gauges are sampled once a second
            while find(samples := await scrape(port), "http_requests_in_progress") != 0:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        (files,) = folder.iterdir()
        left = {path.stem.rpartition("_")[2] for path in files.glob("*.db")}
        running_now = {str(pid) for pid in workers(service)}

    total = answered(samples) - begun
    untold = (clients + MOST_AT_ONCE) * kills
    assert counts["answered"] - untold <= total <= counts["sent"] + clients
    assert left <= running_now


def refused(workspace: Path, *options: str, **settings: str) -> list[str]:
    """Start the service, which must not go on; return what it said."""
    environment = {
        "PATH": os.environ["PATH"],
        COPIES: os.environ[COPIES],
        "PYTHONPATH": python_path(workspace),
        "DEBUG": "True",
        "SERVICE_PORT": str(reserve_port()),
        **settings,
    }
    ended = subprocess.run(
        [sys.executable, "app.py", *options], cwd=workspace / "services" / "user_service", env=environment,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (1, "")
    return ended.stderr.splitlines()


def test_a_port_that_is_taken_or_twice_the_same_is_refused(workspace: Path, tmp_path: Path) -> None:
    taken = reserve_port()
    same = refused(workspace, SERVICE_PORT=str(taken), METRICS_PORT=str(taken))
    with socket.create_server(("127.0.0.1", taken)):
        in_use = refused(workspace, METRICS_PORT=str(taken))

    assert same[0] == "METRICS_PORT: choose another port than SERVICE_PORT"
    assert in_use == [
        f"Port {taken} is in use.",
        "Stop the program that listens there, or choose another port: "
        "METRICS_PORT=<port> python app.py",
    ]


def test_a_folder_that_cannot_be_written_is_refused(workspace: Path, tmp_path: Path) -> None:
    nowhere = str(tmp_path / "nowhere")
    words = refused(workspace, "--workers", "2", METRICS_PORT=str(reserve_port()), TMPDIR=nowhere)

    assert words[-2:] == [
        f"METRICS_PORT: no files of several workers can be kept in {nowhere}: "
        "No such file or directory.",
        "Set TMPDIR to a folder that can be written, such as a tmpfs.",
    ]


async def test_it_is_told_while_the_process_drains(
    workspace: Path, database_url: str, tmp_path: Path
) -> None:
    port = reserve_port()
    settings = {"METRICS_PORT": str(port)}
    async with running(workspace, database_url, tmp_path / "log", settings) as service:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        whole = spell("POST", "/api/v1/users", {"Content-Type": "application/json"}, b"[]")
        writer.write(whole[:-1])
        async with asyncio.timeout(TIMEOUT):
            while find(await scrape(port), "http_requests_in_progress") != 1:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        os.kill(service.pid, signal.SIGTERM)
        async with asyncio.timeout(TIMEOUT):
            while await listens(service):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        samples = await scrape(port)
        writer.write(whole[-1:])
        answer = await reader.read()
        writer.close()

    assert find(samples, "http_requests_in_progress") == 1
    assert answer.startswith(b"HTTP/1.1 400")


async def test_workers_of_another_server_go_on_where_one_has_the_port(
    workspace: Path, database_url: str, tmp_path: Path
) -> None:
    port, own = reserve_port(), reserve_port()
    environment = {
        "PATH": os.environ["PATH"],
        COPIES: os.environ[COPIES],
        "PYTHONPATH": python_path(workspace),
        "DATABASE_URL": database_url,
        "SECRET_KEY": "of the tests",
        "METRICS_PORT": str(port),
    }
    command = [sys.executable, "-m", "uvicorn", "user_service.app:app", "--workers", "2"]
    with (tmp_path / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command, "--port", str(own), cwd=workspace, env=environment, stdout=log, stderr=log
        )
    try:
        async with asyncio.timeout(TIMEOUT):
            while (said := (tmp_path / "log").read_text()).count("startup complete") < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        answers = [await exchange(own, spell("GET", HEALTH)) for _ in range(5)]
        samples = await scrape(port)
    finally:
        process.terminate()
        await process.wait()

    told = [line for line in said.splitlines() if "No metrics of process" in line]
    assert [each.status for each in answers] == [200] * 5
    assert find(samples, "db_pool_limit") is not None
    assert len(told) == 1
    assert (
        f"METRICS_PORT: Port {port} is in use. Those of several processes are told together by "
        "`python app.py --workers`"
    ) in told[0]
    assert "Traceback" not in said


has_mounts = pytest.mark.skipif(
    subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode != 0,
    reason="no mounts of its own can be made here",
)

_READ_ONLY = """
mount --make-rprivate / &&
for each in $(awk '{print $2}' /proc/mounts); do mount -o remount,bind,ro "$each" 2>/dev/null; done
mount -t tmpfs -o size=8m tmpfs "$TMPDIR" || exit 9
touch "$PWD/written" 2>/dev/null && exit 9
exec "$@"
"""


@has_mounts
async def test_nothing_but_the_temporary_folder_is_written(
    workspace: Path, database_url: str, tmp_path: Path
) -> None:
    port, own, folder = reserve_port(), reserve_port(), tmp_path / "temporary"
    folder.mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": python_path(workspace),
        "PYTHONDONTWRITEBYTECODE": "1",
        "DATABASE_URL": database_url,
        "SECRET_KEY": "of the tests",
        "SERVICE_PORT": str(own),
        "METRICS_PORT": str(port),
        "TMPDIR": str(folder),
    }
    app = workspace / "services" / "user_service" / "app.py"
    command = ["unshare", "-m", "sh", "-c", _READ_ONLY, "sh", sys.executable, str(app)]
    with (tmp_path / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command, "--workers", "2", cwd=workspace, env=environment, stdout=log, stderr=log
        )
    try:
        async with asyncio.timeout(TIMEOUT):
            while True:
                assert process.returncode is None, (tmp_path / "log").read_text()
                try:
                    await exchange(own, spell("GET", HEALTH))
                    break
                except OSError:
                    await asyncio.sleep(0.05)
        samples = await until(port, HEALTH, 1)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()

    assert answered(samples) == 1
    assert process.returncode == 0
    assert "Traceback" not in (tmp_path / "log").read_text()


_WORKER = """
import asyncio, json, logging, os, sys
from pathlib import Path

folder = Path(os.environ["TMPDIR"], "quart-fleet-metrics-a")
folder.mkdir()
os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
if sys.argv[1] == "full":
    (folder / "filler").write_bytes(b"a" * 3_500_000)

from quart_fleet.asgi._application import LeanApplication
from quart_fleet.telemetry import _scrapes
from tests.observing import ended_statement, observed_request

logging.basicConfig(format="%(message)s")


async def serve():
    app = LeanApplication("a", static_folder=None)
    app.config.update(HOST="127.0.0.1", METRICS_PORT=1)
    with _scrapes.measuring(app):
        for number in range(3_000):
            for observer in app.observers.all:
                observer.ended_statements.append(ended_statement(f"SELECT 1 FROM t{number}"))
                known = {"rule": f"/{number}", "status": 200, "is_whole": True}
                observer.end_requests([observed_request(**known)])
    counts = {}
    for family in _scrapes.WorkerFiles(folder).collect():
        for sample in family.samples:
            counts[sample.name] = counts.get(sample.name, 0) + sample.value
    names = ("http_requests_total", "http_request_duration_seconds_count", "db_statement_duration_seconds_count")
    print(json.dumps([counts.get(name) for name in names]))


asyncio.run(serve())
"""


@has_mounts
@pytest.mark.parametrize(
    ("room", "counts", "words"),
    [
        ("some", [3000, 3000, 3000], ["is counted as `other`"]),
        ("full", [None] * 3, ["Nothing of process"]),
    ],
)
def test_a_worker_goes_on_where_its_files_have_no_more_room(
    room: str, counts: list[int | None], words: list[str], tmp_path: Path
) -> None:
    """What is written into a file that has no room would end it by SIGBUS."""
    mount = 'mount --make-rprivate / && mount -t tmpfs -o size=4m tmpfs "$TMPDIR" && exec "$@"'
    ended = subprocess.run(
        ["unshare", "-m", "sh", "-c", mount, "sh", sys.executable, "-c", _WORKER, room],
        env={"PATH": os.environ["PATH"], COPIES: os.environ[COPIES], "TMPDIR": str(tmp_path)},
        capture_output=True, text=True, check=False, timeout=TIMEOUT,
    )  # fmt: skip

    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == counts
    for said, expected in zip(ended.stderr.splitlines(), words, strict=True):
        assert expected in said


@has_mounts
@pytest.mark.parametrize("server", SERVERS)
def test_a_folder_that_is_full_is_refused(server: str, workspace: Path, tmp_path: Path) -> None:
    """Else the system would kill a worker whose file has no room for what is written."""
    environment = {
        "PATH": os.environ["PATH"],
        COPIES: os.environ[COPIES],
        "PYTHONPATH": python_path(workspace),
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "SECRET_KEY": "of the tests",
        "SERVICE_PORT": str(reserve_port()),
        "METRICS_PORT": str(reserve_port()),
        "TMPDIR": str(tmp_path),
    }
    app = workspace / "services" / "user_service" / "app.py"
    full = 'mount --make-rprivate / && mount -t tmpfs -o size=1m tmpfs "$TMPDIR" && exec "$@"'
    options = ["--workers", "2", "--server", server]
    ended = subprocess.run(
        ["unshare", "-m", "sh", "-c", full, "sh", sys.executable, app, *options],
        env=environment, capture_output=True, text=True, check=False, timeout=TIMEOUT,
    )  # fmt: skip

    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].endswith("Set TMPDIR to a larger folder.")
    assert "Traceback" not in ended.stderr
