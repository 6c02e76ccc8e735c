"""`python -m scaffold demo`: everything, shown working."""

import sys

import click

from scaffold.demo.errors import DemoError, DemoInterruptedError
from scaffold.signals import Interrupted


@click.command("demo")
@click.option("--keep", is_flag=True, help="Leave the workspace on disk; the services stop.")
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
    """
    try:
        # Imported late: httpx is for developers, and --help needs nothing of it.
        from scaffold.demo.report import JsonReport, TextReport  # noqa: PLC0415
        from scaffold.demo.run import Options, run_demo  # noqa: PLC0415
    except ImportError as error:
        raise DemoError(f"The demo needs {error.name}: run make install first.") from None
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    try:
        outcome = run_demo(Options(not borrow, keep), JsonReport() if as_json else TextReport())
    except Interrupted as error:
        raise DemoInterruptedError(error.number) from None
    if outcome.failed:
        raise DemoError(
            f"{len(outcome.failed)} of {len(outcome.results)} checks failed. "
            "With --keep the workspace and its logs stay."
        )
