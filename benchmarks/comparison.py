"""Everyone under the same load in turn, round after round."""

import asyncio
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks import agreement, competitors, scenarios
from benchmarks.competitors import Competitor
from benchmarks.load import Measurement, measure
from benchmarks.machine import Cores, load_average, pin
from benchmarks.processes import Server
from benchmarks.scenarios import Scenario
from benchmarks.workspace import Stage, execute, opened_stage

Measurements = dict[tuple[str, str], list[Measurement]]
"""By the names of scenario and competitor, one for each round."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to measure."""

    rounds: int
    seconds: int
    warm_up: int
    competitors: Sequence[Competitor] = competitors.ALL
    scenarios: Sequence[Scenario] = scenarios.ALL


FULL = Plan(rounds=7, seconds=3, warm_up=2)
QUICK = Plan(rounds=1, seconds=1, warm_up=1)


@dataclass(slots=True)
class Comparison:
    """What was found, and how busy the machine was with other things."""

    plan: Plan
    cores: Cores
    measurements: Measurements = field(default_factory=dict)
    load_averages: list[float] = field(default_factory=list)


def compare(plan: Plan) -> Comparison:
    """Start everyone, see that they agree, and measure; raises BenchmarkError."""
    cores = Cores.divide()
    found = Comparison(plan, cores, load_averages=[load_average()])
    pin(0, cores.load)  # PostgreSQL and the load generator inherit it
    with (
        opened_stage() as stage,
        competitors.all_running(stage, cores, plan.competitors) as servers,
    ):
        _check(stage, servers, plan.competitors)
        _warm_up(stage, servers, plan)
        for number in range(plan.rounds):
            print(f"round {number + 1} of {plan.rounds}", file=sys.stderr)
            for scenario, competitor in _turns(plan, number):
                measured = _measure(stage, servers[competitor.name], scenario, plan.seconds)
                key = (scenario.name, competitor.name)
                found.measurements.setdefault(key, []).append(measured)
            found.load_averages.append(load_average())
    return found


def _check(stage: Stage, servers: Mapping[str, Server], asked: Iterable[Competitor]) -> None:
    answers = {}
    for competitor in asked:
        seed(stage)
        answers[competitor.name] = agreement.answers(competitor, servers[competitor.name])
    agreement.require_agreement(answers, competitors.OURS.name)
    print(f"{len(answers)} competitors answer in the same bytes", file=sys.stderr)


def _warm_up(stage: Stage, servers: Mapping[str, Server], plan: Plan) -> None:
    for scenario, competitor in _turns(plan, 0):
        _measure(stage, servers[competitor.name], scenario, plan.warm_up)


def _turns(plan: Plan, number: int) -> Iterator[tuple[Scenario, Competitor]]:
    """Yield who is measured when; each round begins with another competitor."""
    first = number % len(plan.competitors)
    order = [*plan.competitors[first:], *plan.competitors[:first]]
    return ((scenario, competitor) for scenario in plan.scenarios for competitor in order)


def _measure(stage: Stage, server: Server, scenario: Scenario, seconds: int) -> Measurement:
    seed(stage)
    return measure(server, scenario, seconds)


def seed(stage: Stage) -> None:
    """Fill the table with the same twenty users."""
    asyncio.run(execute(stage.database_url, *scenarios.SEED))
