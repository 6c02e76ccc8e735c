"""What the commands share: options, questions, and lines for people."""

import asyncio
import gc
import os
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from db_manager.errors import ManagerError

if TYPE_CHECKING:
    from db_manager.manager import DatabaseManager

ResultT = TypeVar("ResultT")

JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
YES = click.option("--yes", is_flag=True, help="Do not ask.")
WAIT = click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=0,
    metavar="SECONDS",
    help="Keep trying to reach a database that is still starting.",
)


class Commands(click.Group):
    """A group whose help shows each command's whole line, in sections where they are given."""

    sections: Mapping[str, Sequence[str]] | None = None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections."""
        for title, names in (self.sections or {"Commands": self.list_commands(ctx)}).items():
            commands = [(name, self.commands[name]) for name in names]
            with formatter.section(title):
                formatter.write_dl(
                    [(name, each.get_short_help_str(limit=100)) for name, each in commands]
                )


def get_revision(_context: click.Context, _parameter: click.Parameter, text: str) -> str:
    """Refuse what can name none, as the `""` of an unset variable, which Alembic trips over."""
    parts = text.split(":")
    if len(parts) > 2 or not all(part.strip("@") for part in parts):
        raise click.BadParameter(f"{text!r} names no revision.")
    return text


def say(line: str) -> None:
    """Tell the user how things go."""
    click.echo(line, err=True)


def use_no_colour_if_asked(context: click.Context) -> None:
    """Honour NO_COLOR; without a terminal click leaves colours out by itself."""
    if os.environ.get("NO_COLOR"):
        context.color = False


def confirm(consequence: str) -> None:
    """Ask before a destructive operation; raises ManagerError unless the user agrees."""
    from db_manager.connection import place_of_database  # noqa: PLC0415

    warning = f"{consequence}: {place_of_database()}."
    if not sys.stdin.isatty():
        raise ManagerError(f"{warning}\nThere is no terminal to ask at: repeat it with --yes.")
    say(warning)
    if not click.confirm("Continue?", err=True):
        raise ManagerError("Nothing was changed.")


def print_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Print titles, and beside them texts, which may have several lines."""
    for title, text in fields:
        first, *others = text.splitlines()
        click.echo(f"{click.style(f'{title:<9}', bold=True)} {first}")
        for line in others:
            click.echo(f"{'':<9} {line}")


def open_manager_and(
    work: "Callable[[DatabaseManager], Coroutine[Any, Any, ResultT]]", wait: float
) -> ResultT:
    """Reach the database and do `work` on it; raises ManagerError."""
    from db_manager.connection import load_config, open_target  # noqa: PLC0415
    from db_manager.manager import DatabaseManager  # noqa: PLC0415

    # What was imported stays to the end: to look through it for garbage, while the work runs and
    # once more at exit, takes a third of a short command's time.
    gc.freeze()

    async def run() -> ResultT:
        async with open_target(load_config(), wait) as target:
            return await work(DatabaseManager(target, say))

    return asyncio.run(run())
