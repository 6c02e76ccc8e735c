"""A listener that a supervisor hands over, and what it is told, as systemd does both."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import aiohttp
import pytest

from quart_fleet.server import _supervised
from tests.chassis.serving import TIMEOUT, exchange, spell
from tests.ports import reserve_port

HANDING = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.execve(sys.executable, sys.argv[2:], {**os.environ, "LISTEN_PID": str(os.getpid())})
"""


class Supervisor:
    """Owns a listener and hears what the processes say that it starts."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.port = self.listener.getsockname()[1]
        self._options = options
        self._address = folder / "notify"
        self._heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._heard.bind(str(self._address))
        self._heard.settimeout(TIMEOUT)

    def start(self, count: int = 1) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.chassis.supervised", *self._options]
        environment = {
            **os.environ, "LISTEN_FDS": str(count), "NOTIFY_SOCKET": str(self._address),
            "GRACEFUL_TIMEOUT": "47",
        }  # fmt: skip
        given = self.listener.fileno()
        return subprocess.Popen(
            [sys.executable, "-ISc", HANDING, str(given), *command],
            env=environment, pass_fds=[given],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def hear(self) -> str:
        return self._heard.recv(100).decode()

    def close(self) -> None:
        self.listener.close()
        self._heard.close()


@contextmanager
def supervisor(folder: Path, *options: str) -> Iterator[Supervisor]:
    found = Supervisor(folder, *options)
    try:
        yield found
    finally:
        found.close()


def end(process: subprocess.Popen[str]) -> str:
    process.terminate()
    return wait_for(process)


def wait_for(process: subprocess.Popen[str]) -> str:
    said, _ = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, said
    return said


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        pytest.param((), id="uvicorn"),
        pytest.param(("--server", "hypercorn"), id="hypercorn", marks=pytest.mark.slow),
        pytest.param(("--workers", "2"), id="workers", marks=pytest.mark.slow),
    ],
)
async def test_one_takes_over_from_another_and_no_request_is_lost(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    seen = set[int]()
    is_over = False

    async def ask(url: str) -> int:
        count = 0
        while not is_over:
            async with aiohttp.ClientSession() as session, session.get(url) as answer:
                seen.add((await answer.json())["pid"])
                count += 1
        return count

    with supervisor(tmp_path, *options) as supervising, ExitStack() as stack:
        old = stack.enter_context(supervising.start())
        stack.callback(old.kill)
        assert await asyncio.to_thread(supervising.hear) == "READY=1"
        url = f"http://127.0.0.1:{supervising.port}/api/v1/pid"
        asking = [asyncio.create_task(ask(url)) for _ in range(8)]
        for _ in range(3):
            new = stack.enter_context(supervising.start())
            stack.callback(new.kill)
            assert await asyncio.to_thread(supervising.hear) == "READY=1"
            old.terminate()
            # Of its requests, and for the end of its database.
            microseconds = (47 + 20) * 1_000_000
            stopping = await asyncio.to_thread(supervising.hear)
            assert stopping == f"STOPPING=1\nEXTEND_TIMEOUT_USEC={microseconds}"
            assert await asyncio.to_thread(supervising.hear) == "X_CLOSED=1"
            async with aiohttp.ClientSession() as session, session.get(url) as answer:
                assert old.pid not in (await answer.json()).values()
            await asyncio.to_thread(wait_for, old)
            old = new
        is_over = True
        counts = await asyncio.gather(*asking)
        end(old)

    assert min(counts) > 3
    assert len(seen) >= 4


@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one", "workers"])
@pytest.mark.slow
async def test_the_metrics_are_told_by_the_one_that_takes_over(
    options: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = reserve_port()
    monkeypatch.setenv("METRICS_PORT", str(port))

    async def ask(name: str) -> bytes:
        """Ask until something listens that tells of this version."""
        async with asyncio.timeout(TIMEOUT):
            while True:
                try:
                    answer = await exchange(port, spell("GET", "/metrics"))
                except OSError:
                    answer = b""
                if f'version="{name}"'.encode() in answer:
                    return answer
                await asyncio.sleep(0.05)

    with supervisor(tmp_path, *options) as supervising, ExitStack() as stack:
        monkeypatch.setenv("SERVICE_VERSION", "old")
        old = stack.enter_context(supervising.start())
        stack.callback(old.kill)
        assert await asyncio.to_thread(supervising.hear) == "READY=1"
        first = await ask("old")
        monkeypatch.setenv("SERVICE_VERSION", "new")
        new = stack.enter_context(supervising.start())
        stack.callback(new.kill)
        assert await asyncio.to_thread(supervising.hear) == "READY=1"
        await asyncio.to_thread(end, old)
        second = await ask("new")
        await asyncio.to_thread(end, new)

    assert b"http_requests_in_progress 0.0" in first
    assert b"http_requests_in_progress 0.0" in second


@pytest.mark.slow
def test_the_listener_of_another_process_is_left_alone(tmp_path: Path) -> None:
    """As where a shell that was started with it runs the service: sd_listen_fds(3)."""
    with supervisor(tmp_path) as supervising:
        listener = supervising.listener.fileno()
        run = subprocess.run(
            [sys.executable, "-m", "tests.chassis.supervised", "--routes"],
            env={**os.environ, "LISTEN_FDS": "1", "LISTEN_PID": "1"},
            pass_fds=[listener], capture_output=True, text=True, check=True,
        )  # fmt: skip

    assert '"/api/v1/pid"' in run.stdout


@pytest.mark.slow
@pytest.mark.parametrize("count", [0, 2])
def test_what_is_not_one_listener_is_refused(count: int, tmp_path: Path) -> None:
    with supervisor(tmp_path) as supervising, supervising.start(count) as process:
        said, _ = process.communicate(timeout=TIMEOUT)

    assert process.returncode == 1
    assert f"LISTEN_FDS={count}: hand over one socket that listens (for systemd:" in said


@pytest.mark.slow
def test_a_socket_that_does_not_listen_is_refused(tmp_path: Path) -> None:
    with supervisor(tmp_path) as supervising:
        supervising.listener.close()
        supervising.listener = socket.socket()
        with supervising.start() as process:
            said, _ = process.communicate(timeout=TIMEOUT)

    assert process.returncode == 1
    assert "LISTEN_FDS=1: hand over one socket that listens" in said


@pytest.mark.slow
def test_a_supervisor_that_has_gone_is_no_trouble(tmp_path: Path) -> None:
    with supervisor(tmp_path) as supervising:
        (tmp_path / "notify").unlink()
        with supervising.start() as process:
            while b"HTTP/1.1 200" not in _ask(supervising.port):
                pass
            process.send_signal(signal.SIGTERM)
            said, _ = process.communicate(timeout=TIMEOUT)

    assert process.returncode == 0
    assert "Traceback" not in said


def _ask(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as client:
        client.sendall(b"GET /api/v1/pid HTTP/1.0\r\n\r\n")
        return client.recv(1000)


def handed_over(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    monkeypatch.setattr(_supervised, "_FIRST", os.dup(listener.fileno()))
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "1")
    handed = _supervised.find_listener()
    assert handed is not None
    return handed


def test_as_little_is_held_for_clients_of_a_listener_that_is_handed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        handed_over(listener, monkeypatch) as handed,
        socket.create_connection(handed.getsockname()),
        handed.accept()[0] as served,
    ):
        held = served.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)
    assert held == 128 * 1024


def test_a_unix_socket_that_is_handed_over_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        with handed_over(listener, monkeypatch) as handed:
            assert handed.getsockname() == listener.getsockname()
