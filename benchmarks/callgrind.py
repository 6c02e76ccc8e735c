"""A server under valgrind's callgrind, and how many instructions it executes for a request."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import wire
from benchmarks.competitors import Competitor
from benchmarks.errors import BenchmarkError
from benchmarks.processes import Server
from benchmarks.scenarios import Scenario, new_user
from benchmarks.workspace import Stage

WINDOWS = 9
REQUESTS = 50
"""In each window; the median window leaves out the rare full run of the garbage collector."""
WARM_UP = 100
"""Before counting: connections are opened, statements prepared, bytecode specialised."""
_SUMMARY = re.compile(r"^(?:summary|totals): (\d+)", re.MULTILINE)


def installed() -> bool:
    """Return whether this machine can count."""
    return all(map(shutil.which, ("valgrind", "callgrind_control")))


@dataclass(frozen=True, slots=True)
class Counter:
    """A server whose instructions are being counted."""

    server: Server
    folder: Path

    def count(self, scenario: Scenario) -> int:
        """Return the instructions of one request, on a connection that is kept alive."""
        with wire.Connection(self.server.port) as connection:
            _ask(connection, scenario, "warm", WARM_UP)
            self._dump()
            counts = [self._window(connection, scenario, number) for number in range(WINDOWS)]
            return round(median(counts))

    def _window(self, connection: wire.Connection, scenario: Scenario, number: int) -> float:
        _ask(connection, scenario, f"counted{number}x", REQUESTS)
        return self._dump() / REQUESTS

    def _dump(self) -> int:
        """Return what was executed since the last time."""
        _control(self.server, "-d")
        dumps = sorted(self.folder.glob("out.*"), key=lambda path: int(path.suffix[1:]))
        found = _SUMMARY.search(dumps[-1].read_text())
        if found is None:
            raise BenchmarkError("callgrind did not say how much it counted.")
        return int(found[1])


@contextmanager
def counting(competitor: Competitor, stage: Stage) -> Iterator[Counter]:
    """Run a competitor under callgrind, which counts from its first answer on."""
    with tempfile.TemporaryDirectory(prefix="callgrind-") as folder:
        prefix = (
            "valgrind",
            "--tool=callgrind",
            "--instr-atstart=no",
            f"--callgrind-out-file={folder}/out",
            f"--log-file={folder}/log",
        )
        with competitor.running(stage, prefix=prefix, PYTHONHASHSEED="0") as server:
            _control(server, "-i", "on")
            yield Counter(server, Path(folder))


def _ask(connection: wire.Connection, scenario: Scenario, name: str, times: int) -> None:
    for number in range(times):
        body = new_user(f"{name}{number:04}") if scenario.creates else None
        answer = connection.ask(wire.spell(scenario.method, scenario.path, body))
        if answer.status >= 400:
            raise BenchmarkError(f"{scenario.title} was answered {answer.status}.")


def _control(server: Server, *options: str) -> None:
    command = ["callgrind_control", *options, str(server.process.pid)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    if done.returncode != 0:
        raise BenchmarkError(f"callgrind_control failed: {done.stderr.strip()}")
