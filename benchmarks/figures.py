"""Medians, ranges and ratios of what was measured."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Self

from benchmarks import competitors
from benchmarks.comparison import Comparison
from benchmarks.load import CONNECTIONS, Measurement, generator
from benchmarks.machine import describe
from benchmarks.scenarios import ROWS


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle of some values, and their ends."""

    median: float
    min: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Summarise values; one is enough."""
        middle, low, high = (round(each, 3) for each in (median(values), min(values), max(values)))
        return cls(middle, low, high)


@dataclass(frozen=True, slots=True)
class Figure:
    """One competitor under one kind of request."""

    scenario: str
    competitor: str
    throughput: Spread
    """Requests a second."""
    cpu: Spread
    """Microseconds of the application's processes for a request."""
    p50: Spread
    p99: Spread
    to_documented: Spread
    """Throughput over that of FastAPI as its documentation has it, round by round."""
    to_careful: Spread
    """Throughput over that of a careful FastAPI."""
    to_limit: Spread
    cpu_to_documented: Spread
    """The documented FastAPI's computing time over this one's, round by round."""
    cpu_to_careful: Spread


def figures(comparison: Comparison) -> list[Figure]:
    """Summarise a comparison."""
    return [
        _figure(comparison, scenario.name, competitor.name)
        for scenario in comparison.plan.scenarios
        for competitor in comparison.plan.competitors
    ]


def document(comparison: Comparison) -> dict[str, object]:
    """Return all that is worth keeping, for a program."""
    plan = comparison.plan
    return {
        "machine": describe(),
        "pinned": comparison.cores.divided,
        "load_generator": generator(),
        "connections": CONNECTIONS,
        "rows": ROWS,
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "load_averages": comparison.load_averages,
        "titles": {each.name: each.title for each in plan.competitors},
        "scenarios": {each.name: each.title for each in plan.scenarios},
        "figures": [asdict(each) for each in figures(comparison)],
    }


def _figure(comparison: Comparison, scenario: str, competitor: str) -> Figure:
    own, documented, careful, limit = (
        comparison.measurements[scenario, name]
        for name in (
            competitor,
            competitors.FASTAPI.name,
            competitors.CAREFUL.name,
            competitors.LIMIT.name,
        )
    )
    return Figure(
        scenario=scenario,
        competitor=competitor,
        throughput=_spread(own, lambda each: each.throughput),
        cpu=_spread(own, lambda each: each.cpu),
        p50=_spread(own, lambda each: each.p50),
        p99=_spread(own, lambda each: each.p99),
        to_documented=_throughput_ratio(own, documented),
        to_careful=_throughput_ratio(own, careful),
        to_limit=_throughput_ratio(own, limit),
        cpu_to_documented=_cpu_ratio(own, documented),
        cpu_to_careful=_cpu_ratio(own, careful),
    )


def _spread(measured: Sequence[Measurement], value: Callable[[Measurement], float]) -> Spread:
    return Spread.of([value(each) for each in measured])


def _throughput_ratio(own: Sequence[Measurement], other: Sequence[Measurement]) -> Spread:
    return Spread.of([a.throughput / b.throughput for a, b in zip(own, other, strict=True)])


def _cpu_ratio(own: Sequence[Measurement], other: Sequence[Measurement]) -> Spread:
    return Spread.of([b.cpu / a.cpu for a, b in zip(own, other, strict=True)])
