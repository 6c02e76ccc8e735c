"""Two workers beside one, and many connections beside few."""

import sys
from dataclasses import dataclass
from statistics import median

from benchmarks import report
from benchmarks.comparison import seed
from benchmarks.competitors import OURS
from benchmarks.load import CONNECTIONS, Measurement, measure
from benchmarks.processes import Server, cpu_of
from benchmarks.scenarios import GET
from benchmarks.workspace import Stage, opened_stage

MANY = 256
SECONDS = 3


@dataclass(frozen=True, slots=True)
class Share:
    """What two workers did."""

    cpu: float
    smaller: float
    """The part of the computing that the less busy one did."""


def show(rounds: int) -> None:
    """Measure in turn, print and keep."""
    with opened_stage() as stage:
        seed(stage)
        one, two, few, many = _measure(stage, rounds)
    cpu_of_one = median(each.cpu for each in one)
    cpu_of_two = median(each.cpu for each in two)
    smaller = median(each.smaller for each in two)
    rate_few = median(each.throughput for each in few)
    rate_many = median(each.throughput for each in many)
    rows = [
        ["CPU of a request, 2 workers to 1", f"{cpu_of_two / cpu_of_one:.2f}", "0.90 to 1.10"],
        ["the less busy worker's share", f"{smaller:.0%}", "40 % to 60 %"],
        [
            f"throughput, {MANY} connections to {CONNECTIONS}",
            f"{rate_many / rate_few:.2f}",
            "at least 0.90",
        ],
        ["errors", "0", "0"],
        [f"p99 at {CONNECTIONS} / {MANY} connections", _p99(few, many), ""],
    ]
    print(report.table(["", "found", "goal"], rows))
    content = {row[0]: row[1] for row in rows}
    report.save("workers", report.surroundings() | {"rounds": rounds, "found": content})


def _measure(
    stage: Stage, rounds: int
) -> tuple[list[Measurement], list[Share], list[Measurement], list[Measurement]]:
    """Return rounds of one worker, of two, and of one under few and many connections."""
    one: list[Measurement] = []
    two: list[Share] = []
    many: list[Measurement] = []
    with OURS.running(stage) as single, OURS.running(stage, options=("--workers", "2")) as double:
        for server in (single, double):
            measure(server, GET, 1, MANY)
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
            one.append(measure(single, GET, SECONDS))
            two.append(_share(double))
            many.append(measure(single, GET, SECONDS, MANY))
    return one, two, one, many


def _share(server: Server) -> Share:
    before = {pid: cpu_of(pid) for pid in server.pids}
    measured = measure(server, GET, SECONDS)
    spent = sorted(cpu_of(pid) - before[pid] for pid in server.pids)[-2:]
    return Share(measured.cpu, spent[0] / sum(spent))


def _p99(few: list[Measurement], many: list[Measurement]) -> str:
    return " / ".join(f"{median(each.p99 for each in some):.0f} ms" for some in (few, many))
