"""A server under valgrind's callgrind, and how many instructions it executes for a request."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median

from benchmarks import wire
from benchmarks.competitors import Competitor
from benchmarks.errors import BenchmarkError
from benchmarks.processes import Server
from benchmarks.scenarios import Scenario
from benchmarks.workspace import Workspace

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
    """A server and the folder of its instruction counts."""

    server: Server
    folder: Path

    def count(self, scenario: Scenario) -> int:
        """Return the instructions of one request, on a connection that is kept alive."""
        requests = scenario.requests("counted")
        counts = []
        with wire.Connection(self.server.port) as connection:
            _ask(connection, islice(requests, WARM_UP))
            self._dump()
            for _ in range(WINDOWS):
                _ask(connection, islice(requests, REQUESTS))
                counts.append(self._dump() / REQUESTS)
        return round(median(counts))

    def _dump(self) -> int:
        """Return what was executed since the last time."""
        _control(self.server, "-d")
        dumps = sorted(self.folder.glob("out.*"), key=lambda path: int(path.suffix[1:]))
        found = _SUMMARY.search(dumps[-1].read_text())
        if found is None:
            raise BenchmarkError("callgrind did not say how much it counted.")
        return int(found[1])


@contextmanager
def counting(competitor: Competitor, workspace: Workspace, **settings: str) -> Iterator[Counter]:
    """Run a competitor under callgrind, which counts from its first answer on."""
    with tempfile.TemporaryDirectory(prefix="callgrind-") as folder:
        prefix = (
            "valgrind",
            "--tool=callgrind",
            "--instr-atstart=no",
            f"--callgrind-out-file={folder}/out",
            f"--log-file={folder}/log",
        )
        settings["PYTHONHASHSEED"] = "0"
        with competitor.running(workspace, frozenset(), prefix, (), **settings) as server:
            _control(server, "-i", "on")
            yield Counter(server, Path(folder))


def _ask(connection: wire.Connection, requests: Iterable[bytes]) -> None:
    for request in requests:
        answer = connection.ask(request)
        if answer.status >= 400:
            line = request.partition(b"\r\n")[0].decode()
            raise BenchmarkError(f"{line} was answered {answer.status}.")


def _control(server: Server, *options: str) -> None:
    command = ["callgrind_control", *options, str(server.process.pid)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    if done.returncode != 0:
        raise BenchmarkError(f"callgrind_control failed: {done.stderr.strip()}")
