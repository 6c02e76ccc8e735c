"""What it costs to begin: computing time until something is there, and memory while idle."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

from benchmarks import report
from benchmarks.competitors import OURS
from benchmarks.environment import PYTHON
from benchmarks.errors import BenchmarkError
from benchmarks.processes import LOG
from benchmarks.workspace import Workspace, opened_workspace

REVISIONS = 200
SERVICES = 100
_MANY_SERVICES = f"""
from scaffold.cli import main
for number in range({SERVICES}):
    name = chr(97 + number // 26) + chr(97 + number % 26)
    main([name + "item-service", str(9000 + number)], "scaffold", standalone_mode=False)
"""
_REVISION = '''"""revision {number}"""

from alembic import op

revision = "{revision}"
down_revision = {before!r}


def upgrade() -> None:
    op.execute("CREATE TABLE filler_{number} (id bigint PRIMARY KEY)")


def downgrade() -> None:
    op.execute("DROP TABLE filler_{number}")
'''
_FIRST = "3ef43f3fe70a"
"""The revision that a fresh workspace ends with."""


@dataclass(frozen=True, slots=True)
class Start:
    """One thing that begins, and what of it is measured."""

    title: str
    unit: str
    goal: float
    values: list[float]

    @property
    def row(self) -> list[str]:
        """Return its line of the table."""
        middle, least, most = median(self.values), min(self.values), max(self.values)
        return [
            self.title,
            f"{middle:.2f} {self.unit}",
            f"{least:.2f} to {most:.2f}",
            f"{self.goal:g} {self.unit}",
        ]


def measure(times: int) -> list[Start]:
    """Begin everything so many times; what leaves something behind begins once."""
    with opened_workspace() as workspace:
        return [
            _start("app.py until health, CPU", "s", 0.6, times, lambda: _until_health(workspace)[0]),
            _start("resident memory of an idle worker", "MiB", 75, times, lambda: _idle(workspace)),
            _start(
                "scaffold --help, CPU", "s", 0.15, times,
                lambda: _cpu(workspace, sys.executable, "-m", "scaffold", "--help"),
            ),
            _start("db_manager status, CPU", "s", 0.6, times, lambda: _manager(workspace, "status")),
            *_generations(workspace),
            _migrations(workspace),
        ]  # fmt: skip


def show(times: int) -> None:
    """Measure, print and keep."""
    found = measure(times)
    print(report.table(["", "median", "least to most", "goal"], [each.row for each in found]))
    content = {each.title: {"unit": each.unit, "values": each.values} for each in found}
    report.save("start", report.surroundings() | {"found": content})


def _start(title: str, unit: str, goal: float, times: int, once: Callable[[], float]) -> Start:
    print(title, file=sys.stderr)
    return Start(title, unit, goal, [round(once(), 3) for _ in range(times)])


def _generations(workspace: Workspace) -> list[Start]:
    one = (sys.executable, "-m", "scaffold", "product-service", "8082")
    many = (sys.executable, "-c", _MANY_SERVICES)
    return [
        _start("a service generated, CPU", "s", 0.3, 1, lambda: _cpu(workspace, *one)),
        _start(f"{SERVICES} services generated, CPU", "s", 15, 1, lambda: _cpu(workspace, *many)),
    ]


def _migrations(workspace: Workspace) -> Start:
    """Migrate an empty database in a workspace with many revisions and no generated ones."""
    versions = workspace.root / "db_manager" / "migrations" / "versions"
    for path in versions.glob("*.py"):
        if not path.name.startswith(_FIRST):
            path.unlink()
    names = [_FIRST, *(f"{number:012x}" for number in range(1, REVISIONS))]
    for number, (before, revision) in enumerate(pairwise(names)):
        text = _REVISION.format(number=number, revision=revision, before=before)
        (versions / f"{revision}_filler.py").write_text(text)
    empty = workspace.create_empty_database("many_revisions")
    title = f"{REVISIONS} revisions migrated, wall"
    return _start(title, "s", 5, 1, lambda: _wall(empty, "-m", "db_manager", "migrate"))


def _until_health(workspace: Workspace) -> tuple[float, float]:
    """Return the computing time and the memory at the first answer."""
    with OURS.running(workspace) as server:
        return server.cpu(), server.memory()


def _idle(workspace: Workspace) -> float:
    with OURS.running(workspace) as server:
        time.sleep(0.5)
        return server.memory()


def _manager(workspace: Workspace, command: str) -> float:
    return _cpu(workspace, str(PYTHON), "-m", "db_manager", command)


def _cpu(workspace: Workspace, *command: str) -> float:
    """Return the seconds that a command and what it starts compute."""
    process = _begin(workspace, command)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise BenchmarkError(f"{' '.join(command[1:3])} failed: see {LOG}.")
    return usage.ru_utime + usage.ru_stime


def _wall(workspace: Workspace, *command: str) -> float:
    started = time.perf_counter()
    _cpu(workspace, str(PYTHON), *command)
    return time.perf_counter() - started


def _begin(workspace: Workspace, command: Sequence[str | Path]) -> subprocess.Popen[bytes]:
    with LOG.open("ab") as log:
        return subprocess.Popen(  # noqa: S603 - our own words
            command,
            cwd=workspace.root,
            env=workspace.environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
