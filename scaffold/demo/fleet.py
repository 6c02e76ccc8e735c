"""The four services: generated, started at once as processes, healthy, and stopped again."""

import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from quart_fleet.conventions import PREFIX
from scaffold.demo.workspace import Installation
from scaffold.errors import ScaffoldError
from scaffold.supervisor.processes import tail

USUAL_PORTS = {
    "user-service": 8081,
    "product-service": 8082,
    "order-service": 8083,
    "notification-service": 8084,
}
ORDERS = """
[order-service.order]
code = "str(20):lookup:fixed"
buyer = "ref(user-service.user)"
status = "enum(open, paid, cancelled)=open"
lines = "items(line):length(1)"
_actions = { pay = "status: open -> paid", cancel = "status: open, paid -> cancelled" }

[order-service.order.line]
product = "ref(product-service.product)"
quantity = "int:positive"
"""
"""What is said in fleet.toml of the service that asks two others; these have their presets."""
SERVE = ("app.py", "--server", "hypercorn")
"""The tests ask services under uvicorn, the default; the demo shows that it need not be."""

_START_TIMEOUT = 60.0
"""Seconds until all services must be healthy."""
_HEALTH_INTERVAL = 0.05
_EXIT_INTERVAL = 0.5


@dataclass(frozen=True, slots=True)
class Service:
    """One of the fleet."""

    name: str
    port: int
    metrics: int | None = None
    """The port at which it tells what it has counted; None where it counts nothing."""

    @property
    def folder(self) -> str:
        """Where it is in the workspace."""
        return f"services/{self.name.replace('-', '_')}"

    @property
    def variable(self) -> str:
        """The variable by which other services get its address."""
        return f"{self.name.replace('-', '_').upper()}_URL"

    @property
    def url(self) -> str:
        """Where its API begins."""
        return f"http://localhost:{self.port}{PREFIX}/"


@dataclass(frozen=True, slots=True)
class RunningService:
    """A service as a process."""

    service: Service
    process: subprocess.Popen[bytes]
    log: Path


def generate(services: Iterable[Service], installation: Installation) -> None:
    """Generate one after the other: each migration follows the one before.

    Raises ScaffoldError.
    """
    for service in services:
        command = [service.name, str(service.port)]
        if f"[{service.name}." in ORDERS:
            with (installation.sandbox.workspace / "fleet.toml").open(
                "a", encoding="utf-8"
            ) as fleet:
                fleet.write(f"\n[{service.name}]\nport = {service.port}\n{ORDERS}")
            command = ["apply"]
        installation.run(f"scaffold-{service.name}", "-m", "scaffold", *command)


@contextmanager
def started(
    services: Iterable[Service], installation: Installation
) -> Iterator[Sequence[RunningService]]:
    """Start all at once, wait for their health, and stop them at the end; raises ScaffoldError."""
    sandbox, processes = installation.sandbox, installation.sandbox.processes
    running: list[RunningService] = []
    try:
        for service in services:
            own = {"METRICS_PORT": str(service.metrics or "")}
            log = sandbox.log(service.name)
            place = installation.with_variables(own).place(service.folder)
            with processes.guard.deferred():
                process = processes.start([installation.python, *SERVE], place, log)
                running.append(RunningService(service, process, log))
        _await_health(running)
        yield running
    finally:
        processes.end([each.process for each in running])


def await_exits(running: Iterable[RunningService], publish: Callable[[str], None]) -> None:
    """Return when no service runs any more; `publish` gets a line for each that has ended."""
    left = list(running)
    while left:
        for each in [each for each in left if each.process.poll() is not None]:
            left.remove(each)
            publish(
                f"{each.service.name} ended with exit code {each.process.returncode}: "
                f"its log is {each.log}"
            )
        time.sleep(_EXIT_INTERVAL)


def _await_health(running: Sequence[RunningService]) -> None:
    waiting = list(running)
    deadline = time.monotonic() + _START_TIMEOUT
    while waiting:
        for each in running:
            code = each.process.poll()
            if code is not None:
                raise ScaffoldError(
                    f"{each.service.name} ended with exit code {code}:\n{tail(each.log)}"
                )
        waiting = [each for each in waiting if not _is_healthy(each.service)]
        if waiting and time.monotonic() > deadline:
            raise ScaffoldError(
                f"{waiting[0].service.name} is not healthy after {_START_TIMEOUT:.0f} s:\n"
                f"{tail(waiting[0].log)}"
            )
        time.sleep(_HEALTH_INTERVAL)


def _is_healthy(service: Service) -> bool:
    connection = HTTPConnection("127.0.0.1", service.port, timeout=2)
    try:
        connection.request("GET", f"{PREFIX}/health")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
