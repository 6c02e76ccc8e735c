"""`python -m scaffold demo`: everything, shown working."""

import click

from scaffold.demo.report import JsonReport, TextReport
from scaffold.demo.run import Options, run_demo
from scaffold.errors import ScaffoldError
from scaffold.signals import Interrupted


class DemoInterruptedError(ScaffoldError):
    """A signal ended the demo before its end."""

    def __init__(self, number: int) -> None:
        super().__init__("Interrupted.")
        self.exit_code = 128 + number


@click.command("demo")
@click.option(
    "--keep", is_flag=True, help="Keep the fleet running until Ctrl-C; its folder stays on disk."
)
@click.option(
    "--no-install",
    "borrow",
    is_flag=True,
    help="Run it with this interpreter, in no .venv of its own: needs no network.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result for a program.")
def command(keep: bool, borrow: bool, as_json: bool) -> None:
    """Show a fleet at work.

    Four services are generated into a temporary workspace, installed, migrated, started on a
    PostgreSQL of their own and asked over HTTP, row by row of the contract. Where DATABASE_URL
    is set, a new database on that server is used, and dropped. Nothing is left behind.

    With --keep the services and their database go on running after the checks. Ctrl-C (or
    SIGTERM) ends them; the workspace, its data and its logs stay on disk.
    """
    try:
        outcome = run_demo(Options(not borrow, keep), JsonReport() if as_json else TextReport())
    except Interrupted as error:
        raise DemoInterruptedError(error.number) from None
    if outcome.failed:
        remedy = "" if keep else " With --keep the services go on running, and their logs stay."
        raise ScaffoldError(
            f"{len(outcome.failed)} of {len(outcome.results)} checks failed.{remedy}"
        )
