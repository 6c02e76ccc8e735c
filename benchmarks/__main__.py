"""`python -m benchmarks`: all competitors; a command of its own for each other question."""

import sys
from collections.abc import Callable
from functools import partial
from tempfile import TemporaryDirectory

import click

from benchmarks import (
    comparison,
    generator,
    growth,
    layers,
    observed,
    report,
    restart,
    startup,
    up,
    workers,
)
from benchmarks import instructions as counts
from benchmarks.environment import PYTHON, ROOT
from benchmarks.errors import BenchmarkError
from benchmarks.workspace import run


@click.group(invoke_without_command=True)
@click.option("--quick", is_flag=True, help="One short round, peers in Python only.")
@click.option("--rounds", default=5, show_default=True, help="How often each is measured.")
@click.option("--seconds", default=3, show_default=True, help="How long, each time.")
@click.pass_context
def main(context: click.Context, quick: bool, rounds: int, seconds: int) -> None:
    """Compare the generated service with others, on this machine alone."""
    if context.invoked_subcommand is not None:
        return
    if quick:
        _compare(comparison.QUICK, "quick")
    else:
        _compare(comparison.full_plan(rounds, seconds), "comparison")


@main.command()
@click.option("--check", "action", flag_value="check", help="Fail where ours needs 5 % more.")
@click.option("--record", "action", flag_value="record", help="Keep ours, for --check.")
@click.option("--record-peers", "action", flag_value="record-peers", help="Keep the others'.")
def instructions(action: str | None) -> None:
    """Count the instructions of a request, with valgrind."""
    actions: dict[str | None, Callable[[], None]] = {
        "check": counts.check,
        "record": partial(counts.record, counts.SERVICE),
        "record-peers": partial(counts.record, counts.PEERS),
        None: counts.show,
    }
    actions[action]()


@main.command()
@click.option("--times", default=5, show_default=True, help="How often what leaves nothing.")
def start(times: int) -> None:
    """Measure what it costs to begin: a service, the generator, the database manager."""
    startup.show(times)


@main.command(name="generator")
def generator_command() -> None:
    """Measure what a large description and its checks take."""
    generator.show()


@main.command()
def profile() -> None:
    """Show by layer where the application's time goes."""
    print(layers.profile())


@main.command(name="restart")
@click.option("--times", "times", default=3, show_default=True, help="How often.")
def restart_command(times: int) -> None:
    """Count what clients lose when a server is told to stop under load."""
    restart.show(times)


@main.command(name="workers")
@click.option("--rounds", "rounds", default=5, show_default=True, help="How often.")
def workers_command(rounds: int) -> None:
    """Compare two workers with one, and many connections with few."""
    workers.show(rounds)


@main.command(name="observed")
@click.option("--rounds", "rounds", default=7, show_default=True, help="How often.")
@click.option("--instructions", is_flag=True, help="Count instead, with valgrind.")
def observed_command(rounds: int, instructions: bool) -> None:
    """Measure what logs, metrics, traces and followers cost."""
    if instructions:
        observed.count()
    else:
        observed.show(rounds)


@main.command(name="up")
@click.option("--times", "times", default=5, show_default=True, help="How often what is started.")
@click.option("--rounds", "rounds", default=5, show_default=True, help="How often what is asked.")
def up_command(times: int, rounds: int) -> None:
    """Measure the whole fleet up: ready, reloaded, its memory, what the supervisor costs."""
    up.show(times, rounds)


@main.command(name="growth")
@click.option("--rounds", "rounds", default=5, show_default=True, help="How often.")
def growth_command(rounds: int) -> None:
    """Measure what a table's size costs."""
    growth.show(rounds)


def _compare(plan: comparison.Plan, name: str) -> None:
    found = comparison.compare(plan)
    path = report.save_comparison(found, name)
    chart = path.with_suffix(".png")
    command = (PYTHON, "-m", "benchmarks.chart", path, chart)
    with TemporaryDirectory() as cache:
        environment = {"PYTHONPATH": str(ROOT), "MPLCONFIGDIR": cache}
        run(*command, folder=ROOT, environment=environment)
    print(report.comparison_page(found))


if __name__ == "__main__":
    try:
        main()
    except BenchmarkError as error:
        sys.exit(str(error))
