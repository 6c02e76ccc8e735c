"""`python -m benchmarks`: everyone compared; a command of its own for each other question."""

import sys
from tempfile import TemporaryDirectory

import click

from benchmarks import comparison, report
from benchmarks import instructions as counts
from benchmarks.environment import PYTHON, ROOT
from benchmarks.errors import BenchmarkError
from benchmarks.workspace import run


@click.group(invoke_without_command=True)
@click.option("--quick", is_flag=True, help="One short round, to see that all of it works.")
@click.pass_context
def main(context: click.Context, quick: bool) -> None:
    """Compare the generated service with others, on this machine alone."""
    if context.invoked_subcommand is None:
        plan = comparison.QUICK if quick else comparison.FULL
        _compare(plan, "quick" if quick else "comparison")


@main.command()
@click.option("--check", "action", flag_value="check", help="Fail where ours needs 5 % more.")
@click.option("--record", "action", flag_value="record", help="Keep the counts for --check.")
def instructions(action: str | None) -> None:
    """Count the instructions of a request, with valgrind."""
    actions = {"check": counts.check, "record": counts.record, None: counts.show}
    actions[action]()


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
