"""The parent of workers: what it does at signals, and where a worker cannot start or ends."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.audit import without_requests
from tests.contract.service import RunningService, running
from tests.contract.wire import TIMEOUT, exchange, spell
from tests.faults.test_endings import workers
from tests.ports import reserve_port
from tests.workspace import python_path

pytestmark = [pytest.mark.slow, pytest.mark.faults]

SERVERS = ["uvicorn", "hypercorn"]
HEALTH = "/api/v1/health"


async def settled(service: RunningService, before: set[int], new: int) -> list[int]:
    """Wait until two workers serve, of which so many are new."""
    async with asyncio.timeout(TIMEOUT):
        while len(now := workers(service)) != 2 or len(set(now) - before) != new:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return now


def ticks(pid: int) -> int:
    """Return the processor time of a process (proc_pid_stat(5))."""
    return sum(map(int, Path(f"/proc/{pid}/stat").read_text().split()[13:15]))


@pytest.mark.parametrize("server", SERVERS)
async def test_a_worker_that_is_killed_is_started_again(
    server: str, workspace: Path, database_url: str, tmp_path: Path
) -> None:
    options = ["--server", server, "--workers", "2"]
    async with running(workspace, database_url, tmp_path / "log", {}, options) as service:
        before = await settled(service, set(), 2)
        os.kill(before[0], signal.SIGKILL)
        await settled(service, set(before), 1)
        answer = await exchange(service.port, spell("GET", HEALTH))

    assert answer.status == 200
    assert "ended by itself" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("server", SERVERS)
async def test_a_parent_that_has_replaced_its_workers_sleeps(
    server: str, workspace: Path, database_url: str, tmp_path: Path
) -> None:
    options = ["--server", server, "--workers", "2"]
    async with running(workspace, database_url, tmp_path / "log", {}, options) as service:
        before = await settled(service, set(), 2)
        os.kill(service.pid, signal.SIGHUP)
        await settled(service, set(before), 2)
        begun = ticks(service.pid)
        await asyncio.sleep(2)

        assert ticks(service.pid) - begun < 20


@pytest.mark.parametrize("server", SERVERS)
async def test_a_hangup_ends_a_process_in_good_order(
    server: str, workspace: Path, database_url: str, tmp_path: Path
) -> None:
    options = ["--server", server]
    async with running(workspace, database_url, tmp_path / "log", {}, options) as service:
        os.kill(service.pid, signal.SIGHUP)
        async with asyncio.timeout(TIMEOUT):
            while Path(f"/proc/{service.pid}").exists():  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(0.05)

    assert len(without_requests(tmp_path / "log")) == 1


@pytest.mark.parametrize("server", SERVERS)
def test_workers_that_cannot_start_say_why_once(server: str, workspace: Path) -> None:
    environment = {
        "PATH": "/nowhere",
        "PYTHONPATH": python_path(workspace),
        "DEBUG": "True",
        "EMBEDDED_POSTGRES_BIN": "/nowhere",
        "SERVICE_PORT": str(reserve_port()),
    }
    ended = subprocess.run(
        [sys.executable, "app.py", "--server", server, "--workers", "2"],
        cwd=workspace / "services" / "user_service", env=environment, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False, timeout=TIMEOUT,
    )  # fmt: skip

    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr, ended.stderr
    assert ended.stderr.count("EMBEDDED_POSTGRES_BIN") == 1, ended.stderr
