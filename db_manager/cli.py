"""The commands of `python -m db_manager`: arguments, exit codes, and lines for people."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from db_manager.errors import ManagerError

if TYPE_CHECKING:
    from db_manager.manager import DatabaseManager

ResultT = TypeVar("ResultT")

WAIT = click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=0,
    metavar="SECONDS",
    help="Keep trying to reach a database that is still starting.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def commands(context: click.Context) -> None:
    """Look after the database: DATABASE_URL, or else the workspace's embedded PostgreSQL."""
    if os.environ.get("NO_COLOR"):
        context.color = False


@commands.command()
@click.argument("revision", default="head")
@WAIT
def migrate(revision: str, wait: float) -> None:
    """Bring the database up to REVISION, the newest by default."""
    applied = with_manager(lambda manager: manager.migrate(revision), wait)
    click.echo(f"Migrated ({len(applied)} revisions applied)." if applied else "Nothing to do.")


def with_manager(
    work: "Callable[[DatabaseManager], Coroutine[Any, Any, ResultT]]", wait: float
) -> ResultT:
    """Do `work` on the database; what it needs is imported here, since `--help` needs none."""
    from db_manager.connection import load_config, open_target  # noqa: PLC0415
    from db_manager.manager import DatabaseManager  # noqa: PLC0415

    async def run() -> ResultT:
        async with open_target(load_config(), wait) as target:
            return await work(DatabaseManager(target, say))

    return asyncio.run(run())


def say(line: str) -> None:
    """Tell the user how things go."""
    click.echo(line, err=True)


def main() -> NoReturn:
    """Run the command that the user typed, and end the process with its exit code."""
    try:
        sys.exit(commands.main(prog_name="python -m db_manager", standalone_mode=False) or 0)
    except click.Abort:
        say("Interrupted.")
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except ManagerError as error:
        say(f"{click.style('Error:', fg='red')} {error}")
        sys.exit(1)
