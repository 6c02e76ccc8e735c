"""The whole fleet up on this machine: until it is ready, until an edit answers, its memory, and what
its supervisor costs a service that is asked as much as it can answer."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import report, wire
from benchmarks.environment import ROOT
from benchmarks.errors import BenchmarkError
from benchmarks.load import Measurement, measure
from benchmarks.machine import Cores, load_average, pin
from benchmarks.observed import ratio, read_through
from benchmarks.processes import (
    TIMEOUT,
    Server,
    await_answer,
    children,
    free_port,
    memory_of,
    spawn,
    stop,
)
from benchmarks.scenarios import GET, insertion
from benchmarks.workspace import run
from quart_fleet.conventions import without_foreign_variables
from scaffold.demo.fleet import ORDERS

FEW, MANY = 4, 20
SECONDS = 3
_READY = "/api/v1/health/ready"
_EVENTS = "/_fleet/events"
"""Where the page reads what happens."""
_ROUTE = """

@bp.get("/reloaded-{number}")
async def reloaded_{number}() -> Answer[None]:
    \"\"\"Answer once this code runs.\"\"\"
    return APIResponse.success(None)
"""


@dataclass(frozen=True, slots=True)
class Fleet:
    """A workspace, and the ports of its services."""

    root: Path
    ports: tuple[int, ...]

    @property
    def environment(self) -> dict[str, str]:
        """What its processes see: the embedded server is their database."""
        own = without_foreign_variables(os.environ)
        own.pop("PYTHONDONTWRITEBYTECODE", None)
        imports = self.root, self.root / "services", ROOT
        return own | {"PYTHONPATH": os.pathsep.join(map(str, imports))}

    def run(self, *arguments: str) -> str:
        """Run Python here and return its output."""
        return run(sys.executable, *arguments, folder=self.root, environment=self.environment)

    @property
    def log(self) -> Path:
        """What is said while it is up."""
        return self.root / "up.log"

    @contextmanager
    def up(self, *options: str) -> Iterator[Server]:
        """Have it up for a block, which begins at once; the server is its supervisor."""
        command = [sys.executable, "-m", "scaffold", "up", *options]
        with self.log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - our own words
                command,
                cwd=self.root,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            yield Server(process, self.ports[0])
        finally:
            stop(process)

    def await_ready(self, supervisor: Server) -> None:
        """Wait until every service is ready; raises BenchmarkError."""
        for port in self.ports:
            _await(supervisor, port, _READY)


def show(times: int, rounds: int) -> None:
    """Measure, print and keep."""
    load_before = load_average()
    found: dict[str, list[float]] = {}
    rows: list[list[str]] = []

    def note(title: str, values: Sequence[float], goal: str, unit: str) -> None:
        found[title] = [round(each, 3) for each in values]
        spread = f"{min(values):.2f} to {max(values):.2f}"
        rows.append([title, f"{median(values):.2f} {unit}", spread, goal])

    with ExitStack() as stack:
        few = stack.enter_context(_made(FEW))
        many = stack.enter_context(_made(MANY))
        for fleet, goal in ((few, "5 s"), (many, "20 s")):
            count = f"{len(fleet.ports)} services"
            ready = [_until_ready(fleet) for _ in range(times)]
            note(f"{count} ready", [each.wall for each in ready], goal, "s")
            note(f"{count} ready, CPU of all", [each.cpu for each in ready], "", "s")
        note("an edit answers, of 4 services", _until_reloaded(few, times), "1.5 s", "s")
        for title, options in (("processes", ()), ("services together", ("--together",))):
            if options and "--together" not in few.run("-m", "scaffold", "up", "--help"):
                continue
            note(f"{MANY} {title}, resident", [_memory(many, options)], "", "MiB")
        note("the supervisor of 20, resident", [_supervisor_memory(many)], "", "MiB")
        measured = _cost(few, rounds)
    for title, (some, alone) in measured.items():
        for name, figure in _FIGURES.items():
            compared = ratio(some, alone, figure)
            rows.append([f"{title}, {name} to a service alone", compared.partition(" ")[0]])
            rows[-1] += [compared.partition(" ")[2], "at least 0.98" * (name == "requests/s")]
            found[f"{title}, {name}"] = [figure(each) for each in some]
            found[f"{title}, {name} of the service alone"] = [figure(each) for each in alone]
    print(f"{report.machine_line()}; load average {load_before} to {load_average()}\n")
    print(report.table(["", "median", "least to most", "goal"], rows))
    report.save("up", report.surroundings() | {"rounds": rounds, "found": found})


_FIGURES: dict[str, Callable[[Measurement], float]] = {
    "requests/s": lambda each: each.throughput,
    "CPU": lambda each: each.cpu,
}


@dataclass(frozen=True, slots=True)
class Served(Server):
    """One of the processes that a supervisor has started."""

    pid: int

    @property
    def pids(self) -> list[int]:
        """Only its own."""
        return [self.pid]


@dataclass(frozen=True, slots=True)
class Ready:
    """What it took, in seconds."""

    wall: float
    cpu: float


@contextmanager
def _made(count: int) -> Iterator[Fleet]:
    """Generate so many services, migrate, and have everything compiled and read once."""
    folder = Path(tempfile.mkdtemp(prefix="bench-up-"))
    folder.chmod(0o755)
    root = folder / "fleet"
    ports = tuple(free_port() for _ in range(count))
    fleet = Fleet(root, ports)
    try:
        plain = dict(os.environ)
        run(sys.executable, "-m", "scaffold", "init", root, folder=ROOT, environment=plain)
        fleet.run("-m", "scaffold", "user-service", str(ports[0]))
        fleet.run("-m", "scaffold", "product-service", str(ports[1]))
        entries = [f"\n[order-service]\nport = {ports[2]}\n{ORDERS}"]
        for number, port in enumerate(ports[3:]):
            name = f"{chr(97 + number)}item"
            entries.append(
                f'\n[{name}-service]\nport = {port}\n[{name}-service.{name}]\nname = "str"'
            )
        with (root / "fleet.toml").open("a") as file:
            file.write("\n".join(entries) + "\n")
        fleet.run("-m", "scaffold", "apply")
        fleet.run("-m", "scaffold", "env")
        fleet.run("-m", "db_manager", "migrate")
        with fleet.up() as supervisor:
            fleet.await_ready(supervisor)
        yield fleet
    finally:
        with suppress(BenchmarkError):
            fleet.run("-m", "db_manager", "postgres", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def _until_ready(fleet: Fleet) -> Ready:
    """Start all and return when the last of them is ready."""
    print(f"starting {len(fleet.ports)} services", file=sys.stderr)
    started = time.perf_counter()
    with fleet.up() as supervisor:
        fleet.await_ready(supervisor)
        return Ready(time.perf_counter() - started, supervisor.cpu())


def _until_reloaded(fleet: Fleet, times: int) -> list[float]:
    """Return the seconds from the saving of each edit to the first answer of its code."""
    file = fleet.root / "services/user_service/infrastructure/web/controllers.py"
    before, found = file.read_text(), list[float]()
    with fleet.up() as supervisor:
        fleet.await_ready(supervisor)
        try:
            for number in range(times):
                time.sleep(2 + number / 10)  # no edit is at one moment of the watching
                file.write_text(before + _ROUTE.format(number=number))
                saved = time.perf_counter()
                _await(supervisor, fleet.ports[0], f"/api/v1/reloaded-{number}")
                found.append(time.perf_counter() - saved)
        finally:
            file.write_text(before)
    return found


def _memory(fleet: Fleet, options: Sequence[str]) -> float:
    """Return the MiB of what serves, the supervisor aside."""
    with fleet.up(*options) as supervisor:
        fleet.await_ready(supervisor)
        time.sleep(1)
        found = serving(supervisor.process.pid)
        return sum(memory_of(pid, "VmRSS") for pid in found)


def _supervisor_memory(fleet: Fleet) -> float:
    with fleet.up() as supervisor:
        fleet.await_ready(supervisor)
        return memory_of(supervisor.process.pid, "VmRSS")


def serving(pid: int) -> list[int]:
    """Return the processes that a supervisor has started and that serve."""
    found = []
    for child in children(pid):
        words = Path(f"/proc/{child}/cmdline").read_text().split("\0")
        if any(each.endswith("app.py") or each == "quart_fleet.server" for each in words):
            found.append(child)
    return found


def _cost(fleet: Fleet, rounds: int) -> dict[str, tuple[list[Measurement], list[Measurement]]]:
    """Ask a service that is up with its fleet, and the same alone, in turn, round by round."""
    cores = Cores.divide()
    port = free_port()
    fleet.run("-m", "db_manager", "shell", "-qc", "TRUNCATE users RESTART IDENTITY CASCADE")
    fleet.run("-m", "db_manager", "shell", "-qc", insertion(100_000))
    fleet.run("-m", "db_manager", "shell", "-qc", "VACUUM ANALYZE users")
    found: dict[str, tuple[list[Measurement], list[Measurement]]] = {}
    # Its own lines, as many and as long, go to a file.
    settings = {"LOG_FORMAT": "json", "SERVICE_PORT": str(port)}
    folder = fleet.root / "services" / "user_service"
    with fleet.up("--no-reload") as supervisor:
        fleet.await_ready(supervisor)
        page = re.search(r"http://\S+?:(\d+)\S*  the page", fleet.log.read_text())
        process = spawn(
            [sys.executable, "app.py"], folder, fleet.environment | settings, cores.server
        )
        try:
            single = Server(process, port)
            await_answer(single)
            [served] = [
                pid
                for pid in serving(supervisor.process.pid)
                if Path(f"/proc/{pid}/cwd").resolve() == folder.resolve()
            ]
            pin(served, cores.server)
            pin(supervisor.process.pid, cores.load)
            servers = Served(supervisor.process, fleet.ports[0], served), single
            for each in servers:
                measure(each, GET, 1)
            found["up"] = _measure_in_turn(servers, rounds)
            if page is not None:
                with opened_page(int(page[1])):
                    found["up, with the page open"] = _measure_in_turn(servers, rounds)
        finally:
            stop(process)
    return found


def _measure_in_turn(
    servers: tuple[Server, Server], rounds: int
) -> tuple[list[Measurement], list[Measurement]]:
    found: tuple[list[Measurement], list[Measurement]] = ([], [])
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
        for each in (0, 1) if number % 2 else (1, 0):
            found[each].append(measure(servers[each], GET, SECONDS, seed=number + 1))
    return found


def _await(supervisor: Server, port: int, path: str) -> None:
    """Ask until the answer is a 200; raises BenchmarkError where that takes too long."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        if supervisor.process.poll() is not None:
            raise BenchmarkError("`up` has ended.")
        with suppress(OSError):
            if wire.ask(port, "GET", path).status == 200:
                return
        time.sleep(0.01)
    raise BenchmarkError(f"{path} was not answered within {TIMEOUT:.0f} s.")


@contextmanager
def opened_page(port: int) -> Iterator[None]:
    """Read, during a block, all that the page is told."""
    follower = socket.create_connection(("127.0.0.1", port), TIMEOUT)
    with read_through(follower, wire.encode("GET", _EVENTS)):
        yield
