"""All competitors under the same load in turn, round after round."""

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
from benchmarks.workspace import Workspace, execute, opened_workspace

Measurements = dict[tuple[str, str], list[Measurement]]
"""By the names of scenario and competitor, one for each round."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to measure."""

    rounds: int
    seconds: int
    warm_up: int
    competitors: Sequence[Competitor] = competitors.PYTHON_ALONE
    scenarios: Sequence[Scenario] = scenarios.ALL


QUICK = Plan(rounds=1, seconds=1, warm_up=1)


def full_plan(rounds: int, seconds: int) -> Plan:
    """Return the plan that asks peers in other languages too, where they can run."""
    return Plan(rounds, seconds, warm_up=2, competitors=competitors.available())


@dataclass(slots=True)
class Comparison:
    """What was found, and how busy the machine was with other things."""

    plan: Plan
    cores: Cores
    measurements: Measurements = field(default_factory=dict)
    load_averages: list[float] = field(default_factory=list)


def compare(plan: Plan) -> Comparison:
    """Start all, see that they agree, and measure; raises BenchmarkError."""
    cores = Cores.divide()
    found = Comparison(plan, cores, load_averages=[load_average()])
    pin(0, cores.load)  # PostgreSQL and the load generator inherit it
    with (
        opened_workspace() as workspace,
        competitors.all_running(workspace, cores, plan.competitors) as servers,
    ):
        fill(workspace)
        _check(workspace, servers, plan.competitors)
        _warm_up(workspace, servers, plan)
        for number in range(plan.rounds):
            print(f"round {number + 1} of {plan.rounds}", file=sys.stderr)
            for scenario, competitor in _schedule(plan, number):
                server = servers[competitor.name]
                measured = _measure(workspace, server, scenario, plan.seconds, number + 1)
                key = (scenario.name, competitor.name)
                found.measurements.setdefault(key, []).append(measured)
            found.load_averages.append(load_average())
    return found


def _check(
    workspace: Workspace, servers: Mapping[str, Server], asked: Iterable[Competitor]
) -> None:
    answers = {}
    for competitor in asked:
        restore(workspace)
        answers[competitor.name] = agreement.answers(competitor, servers[competitor.name])
    agreement.require_agreement(answers, competitors.OURS.name)
    print(f"{len(answers)} competitors answer in the same bytes", file=sys.stderr)


def _warm_up(workspace: Workspace, servers: Mapping[str, Server], plan: Plan) -> None:
    for scenario, competitor in _schedule(plan, 0):
        _measure(workspace, servers[competitor.name], scenario, plan.warm_up, 0)


def _schedule(plan: Plan, number: int) -> Iterator[tuple[Scenario, Competitor]]:
    """Yield what is measured in a round, in order; each round begins with another competitor."""
    first = number % len(plan.competitors)
    order = [*plan.competitors[first:], *plan.competitors[:first]]
    return ((scenario, competitor) for scenario in plan.scenarios for competitor in order)


def _measure(
    workspace: Workspace, server: Server, scenario: Scenario, seconds: int, seed: int
) -> Measurement:
    restore(workspace)
    return measure(server, scenario, seconds, seed=seed)


def fill(workspace: Workspace) -> None:
    """Make the table's rows."""
    asyncio.run(execute(workspace.database_url, *scenarios.FILL))


def restore(workspace: Workspace) -> None:
    """Remove the rows that were created since the table was filled."""
    asyncio.run(execute(workspace.database_url, *scenarios.RESTORE))
