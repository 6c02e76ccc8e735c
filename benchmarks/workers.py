"""Two workers beside one, and many connections beside few.

The limit is asked too: what many connections cost it, the machine's caches cost every program.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

from benchmarks import report
from benchmarks.comparison import fill
from benchmarks.competitors import LIMIT, OURS
from benchmarks.load import CONNECTIONS, Measurement, measure
from benchmarks.processes import Server, cpu_of
from benchmarks.scenarios import GET
from benchmarks.workspace import Workspace, opened_workspace

MANY = 256
SECONDS = 3


@dataclass(frozen=True, slots=True)
class Share:
    """What two workers did."""

    cpu: float
    smaller: float
    """The part of the computing that the less busy one did."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """What one server did for few connections and for many, in turn."""

    few: list[Measurement] = field(default_factory=list)
    many: list[Measurement] = field(default_factory=list)

    def measure(self, server: Server) -> None:
        """Add one round."""
        self.few.append(measure(server, GET, SECONDS))
        self.many.append(measure(server, GET, SECONDS, MANY))

    def ratio(self, figure: Callable[[Measurement], float]) -> str:
        """Compare many with few, round by round, which other work on the machine moves least."""
        rounds = zip(self.few, self.many, strict=True)
        return f"{median(figure(many) / figure(few) for few, many in rounds):.2f}"

    @property
    def p99(self) -> str:
        """Return the p99 of both."""
        return " / ".join(
            f"{median(each.p99 for each in some):.0f} ms" for some in (self.few, self.many)
        )


def show(rounds: int) -> None:
    """Measure in turn, print and keep."""
    with opened_workspace() as workspace:
        fill(workspace)
        ours, limit, two = _measure(workspace, rounds)
    cpu_of_one = median(each.cpu for each in ours.few)
    cpu_of_two = median(each.cpu for each in two)
    rows = [
        ["CPU of a request, 2 workers to 1", f"{cpu_of_two / cpu_of_one:.2f}", "0.90 to 1.10"],
        [
            "the less busy worker's share",
            f"{median(each.smaller for each in two):.0%}",
            "40 % to 60 %",
        ],
        *_rows_of("ours", ours, "at least 0.90"),
        *_rows_of("the limit", limit, ""),
        ["errors", "0", "0"],
    ]
    print(report.table(["", "found", "goal"], rows))
    content = {row[0]: row[1] for row in rows}
    report.save("workers", report.surroundings() | {"rounds": rounds, "found": content})


def _rows_of(name: str, crowd: Crowd, goal: str) -> list[list[str]]:
    both = f"{MANY} connections to {CONNECTIONS}"
    return [
        [f"throughput, {both}, {name}", crowd.ratio(lambda each: each.throughput), goal],
        [f"CPU of a request, {both}, {name}", crowd.ratio(lambda each: each.cpu), ""],
        [f"p99 at {CONNECTIONS} / {MANY} connections, {name}", crowd.p99, ""],
    ]


def _measure(workspace: Workspace, rounds: int) -> tuple[Crowd, Crowd, list[Share]]:
    """Return rounds of one worker, of the limit, and of two workers."""
    ours, bare = Crowd(), Crowd()
    two: list[Share] = []
    with (
        OURS.running(workspace) as single,
        LIMIT.running(workspace) as limit,
        OURS.running(workspace, options=("--workers", "2")) as double,
    ):
        for server in (single, limit, double):
            measure(server, GET, 1, MANY)
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
            ours.measure(single)
            bare.measure(limit)
            two.append(_share(double))
    return ours, bare, two


def _share(server: Server) -> Share:
    before = {pid: cpu_of(pid) for pid in server.pids}
    measured = measure(server, GET, SECONDS)
    spent = sorted(cpu_of(pid) - before[pid] for pid in server.pids)[-2:]
    return Share(measured.cpu, spent[0] / sum(spent))
