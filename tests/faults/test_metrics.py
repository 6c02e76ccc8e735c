"""Metrics of real processes: one and several, killed, replaced, on a read-only root."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from tests.contract.service import RunningService, running
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
        await asyncio.sleep(0.5)
        samples = await scrape(port)
        (files,) = folder.iterdir()
        left = {path.stem.rpartition("_")[2] for path in files.glob("*.db")}
        running_now = {str(pid) for pid in workers(service)}
        in_progress = find(samples, "http_requests_in_progress")

    total = answered(samples) - begun
    assert counts["answered"] - clients * kills <= total <= counts["sent"] + clients
    assert left <= running_now
    assert in_progress == 0


def refused(workspace: Path, *options: str, **settings: str) -> list[str]:
    """Start the service, which must not go on; return what it said."""
    environment = {
        "PATH": os.environ["PATH"],
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
