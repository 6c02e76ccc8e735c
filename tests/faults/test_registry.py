"""A service that registers itself: as `python app.py` does it, with workers, to its end."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from quart_fleet.database._engine import Database
from tests.chassis.consul import Consul, ids_of, imitated, until
from tests.contract.service import RunningService, running
from tests.contract.wire import TIMEOUT, Answer, exchange, spell
from tests.faults.test_endings import ended, workers

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(600)]

HEALTH, READY = (spell("GET", f"/api/v1/health{path}") for path in ("", "/ready"))


@pytest.fixture
async def consul() -> AsyncIterator[Consul]:
    async with imitated() as started:
        yield started


@asynccontextmanager
async def registered(
    consul: Consul, workspace: Path, database_url: str, tmp_path: Path, *options: str
) -> AsyncIterator[RunningService]:
    """A service, as soon as the registry knows it."""
    settings = {"SERVICE_REGISTRY_URL": consul.url}
    async with running(workspace, database_url, tmp_path / "log", settings, options) as service:
        await until(lambda: len(consul.services) == 1)
        yield service


@pytest.mark.parametrize(
    ("number", "server", "count"),
    [
        (signal.SIGTERM, "uvicorn", 1),
        (signal.SIGTERM, "hypercorn", 1),
        (signal.SIGTERM, "uvicorn", 2),
        (signal.SIGURG, "uvicorn", 1),
        (signal.SIGURG, "uvicorn", 2),
    ],
)
async def test_callers_hear_of_the_end_before_it_begins(
    *,
    number: signal.Signals,
    server: str,
    count: int,
    consul: Consul,
    workspace: Path,
    database_url: str,
    database: Database,
    tmp_path: Path,
) -> None:
    options = ("--server", server, "--workers", str(count))
    async with registered(consul, workspace, database_url, tmp_path, *options) as service:
        assert await ids_of(consul, "user-service") == [f"user-service-127.0.0.1-{service.port}"]
        seen = list[Answer]()

        async def ask() -> None:
            seen.append(await exchange(service.port, READY))

        consul.before_leaving = ask
        processes = [service.pid, *workers(service)] if number == signal.SIGURG else [service.pid]
        for process in processes:  # as a preStop hook, which sends it to the whole container
            os.kill(process, number)
        await until(lambda: not consul.services)
        if number == signal.SIGURG:
            assert (await exchange(service.port, HEALTH)).status == 200
            assert consul.services == {}
        else:
            await ended(service)
            assert [each.status for each in seen] == [200]
        await until(lambda: bool(service.find_in_log("is out of the registry")))
        assert not service.find_in_log("Traceback")


async def test_workers_that_are_replaced_stay_in_the_registry(
    consul: Consul, workspace: Path, database_url: str, database: Database, tmp_path: Path
) -> None:
    async with registered(consul, workspace, database_url, tmp_path, "--workers", "2") as service:
        before = set(workers(service))
        os.kill(service.pid, signal.SIGHUP)
        async with asyncio.timeout(TIMEOUT):
            while len(after := workers(service)) != 2 or before & set(after):  # noqa: ASYNC110
                await asyncio.sleep(0.05)

        assert [each for each in consul.asked if "register" in each] == [
            "PUT /v1/agent/service/register"
        ]
    assert consul.services == {}


async def test_a_registry_that_stalls_delays_neither_start_nor_end(
    consul: Consul, workspace: Path, database_url: str, database: Database, tmp_path: Path
) -> None:
    consul.fault = "stalls"
    settings = {"SERVICE_REGISTRY_URL": consul.url, "GRACEFUL_TIMEOUT": "3"}
    async with running(workspace, database_url, tmp_path / "log", settings) as service:
        await until(lambda: bool(consul.asked))
        os.kill(service.pid, signal.SIGTERM)
        await ended(service)

    assert not service.find_in_log("Traceback")
