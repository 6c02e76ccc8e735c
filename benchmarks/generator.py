"""What the generator and its checks take of a large description: time, the processors' time, memory."""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import report
from benchmarks.environment import ROOT
from benchmarks.errors import BenchmarkError
from benchmarks.processes import LOG
from quart_fleet.conventions import without_foreign_variables

_FIELDS = (
    *("str(120):unique", "decimal(10,2):min(0)", "int:min(0)=0", "date?:index", "text?"),
    *("enum(open, paid, shipped)=open", "bool=false", "datetime=now", "email?", "uuid?"),
)
"""Of each resource."""
_PORT = 10_000
_CHECKS = {
    "its lint": ("ruff", "check", "."),
    "its format": ("ruff", "format", "--check", "."),
    "its contracts": ("scaffold", "contracts"),
    "its types": ("mypy", "services", "shared", "db_manager/migrations"),
}


@dataclass(frozen=True, slots=True)
class Duration:
    """What one command took."""

    title: str
    seconds: float
    computing: float
    """Seconds of processors, its children's too: what other work on the machine hardly moves."""
    mebibytes: float
    """Of the largest process."""
    goal: float | None = None
    """Seconds."""

    @property
    def row(self) -> list[str]:
        """Return its line of the table."""
        goal = f"{self.goal:g} s" if self.goal else ""
        return [
            self.title,
            f"{self.seconds:.2f} s",
            f"{self.computing:.2f} s",
            f"{self.mebibytes:.0f} MiB",
            goal,
        ]


def show() -> None:
    """Measure, print and keep."""
    found = measure()
    print(report.table(["", "wall", "processors", "memory", "goal"], [each.row for each in found]))
    content = {
        each.title: {"s": each.seconds, "cpu s": each.computing, "MiB": each.mebibytes}
        for each in found
    }
    report.save("generator", report.surroundings() | {"found": content})


def measure() -> list[Duration]:
    """Describe a large service, then a large fleet, and have both generated and checked."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        root, apply = Path(name, "fleet"), ("scaffold", "apply")
        _run("a workspace", Path(name), "scaffold", "init", str(root))
        (root / "fleet.toml").write_text(_describe(services=1, resources=10))
        found = [
            _run("a service of ten resources of ten fields", root, *apply, goal=2),
            _run("applied again", root, *apply, goal=0.5),
        ]
        (root / "fleet.toml").write_text(_describe(services=100, resources=3))
        found += [
            _run("100 services of 300 resources", root, *apply, "--yes", goal=60),
            _run("applied again, 100 services", root, *apply, goal=0.5),
        ]
        return found + [_run(title, root, *command) for title, command in _CHECKS.items()]


def _describe(services: int, resources: int) -> str:
    """Return a fleet.toml; no two fleets have a resource of one name."""
    fields = "".join(f'field_{number} = "{spec}"\n' for number, spec in enumerate(_FIELDS))
    lines = []
    for number in range(services):
        lines.append(f"[of{services}-{number}-service]\nport = {_PORT + number}\n")
        tables = (f"of{services}_{number}_thing{index}x" for index in range(resources))
        lines += [f"[of{services}-{number}-service.{name}]\n{fields}" for name in tables]
    return "\n".join(lines)


def _run(title: str, folder: Path, *command: str, goal: float | None = None) -> Duration:
    """Run a module of Python to its end."""
    print(title, file=sys.stderr)
    path = os.pathsep.join(map(str, (folder, folder / "services", ROOT)))
    own = without_foreign_variables(os.environ) | {"PYTHONPATH": path}
    began = time.perf_counter()
    with LOG.open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - our own words
            [sys.executable, "-m", *command],
            cwd=folder,
            env=own,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise BenchmarkError(f"{' '.join(command[:2])} failed: see {LOG}.")
    seconds = round(time.perf_counter() - began, 3)
    # Of macOS in bytes, of Linux in KiB.
    unit = 1 << (20 if sys.platform == "darwin" else 10)
    computing = round(usage.ru_utime + usage.ru_stime, 3)
    return Duration(title, seconds, computing, round(usage.ru_maxrss / unit, 1), goal)
