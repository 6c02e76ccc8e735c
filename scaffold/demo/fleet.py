"""The four services: generated, started at once as processes, healthy, and stopped again."""

import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from scaffold.demo.errors import DemoError
from scaffold.demo.processes import tail
from scaffold.demo.sandbox import Installation

PREFIX = "/api/v1"
USUAL_PORTS = {
    "user-service": 8081,
    "product-service": 8082,
    "order-service": 8083,
    "notification-service": 8084,
}
SERVE = ("app.py", "--server", "hypercorn")
"""The tests ask services under uvicorn, the default; the demo shows that it need not be."""
STARTING = 60.0
"""Seconds that the services get until all are healthy."""


@dataclass(frozen=True, slots=True)
class Service:
    """One of the fleet."""

    name: str
    port: int

    @property
    def folder(self) -> str:
        """Where it is in the workspace."""
        return f"services/{self.name.replace('-', '_')}"

    @property
    def resource(self) -> str:
        """What it keeps: `user`."""
        return self.name.removesuffix("-service")

    @property
    def url(self) -> str:
        """Where its API begins."""
        return f"http://localhost:{self.port}{PREFIX}/"


@dataclass(frozen=True, slots=True)
class _Running:
    service: Service
    process: subprocess.Popen[bytes]
    log: Path


def generate(services: Iterable[Service], installation: Installation) -> None:
    """Generate one after the other: each migration follows the one before. Raises DemoError."""
    for service in services:
        log = f"scaffold-{service.name}"
        installation.run(log, "-m", "scaffold", service.name, str(service.port))


@contextmanager
def started(services: Iterable[Service], installation: Installation) -> Iterator[None]:
    """Start all at once, and stop them at the end; raises DemoError."""
    sandbox, processes = installation.sandbox, installation.sandbox.processes
    running: list[_Running] = []
    try:
        for service in services:
            log, place = sandbox.log(service.name), installation.place(service.folder)
            with processes.guard.held():
                process = processes.start([installation.python, *SERVE], place, log)
                running.append(_Running(service, process, log))
        _await_health(running)
        yield
    finally:
        processes.end([each.process for each in running])


def _await_health(running: Sequence[_Running]) -> None:
    waiting = list(running)
    deadline = time.monotonic() + STARTING
    while waiting:
        for each in running:
            _refuse_dead(each)
        waiting = [each for each in waiting if not _is_healthy(each.service)]
        if waiting and time.monotonic() > deadline:
            raise DemoError(
                f"{waiting[0].service.name} is not healthy after {STARTING:.0f} s:\n"
                f"{tail(waiting[0].log)}"
            )
        time.sleep(0.05)


def _refuse_dead(each: _Running) -> None:
    code = each.process.poll()
    if code is not None:
        raise DemoError(f"{each.service.name} ended with exit code {code}:\n{tail(each.log)}")


def _is_healthy(service: Service) -> bool:
    connection = HTTPConnection("127.0.0.1", service.port, timeout=2)
    try:
        connection.request("GET", f"{PREFIX}/health")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
