"""What the commands share: options, questions, and lines for people."""

import asyncio
import gc
import os
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from db_manager.errors import ManagerError, UnreachableError

if TYPE_CHECKING:
    from db_manager.comparison import Loss
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
LOCK_WAIT = click.option(
    "--lock-wait",
    type=click.FloatRange(min=0),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="Keep trying where others hold a lock on a table.",
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


def get_renames(
    _context: click.Context, _parameter: click.Parameter, texts: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    """Read `users.nick:nickname`, the old name with its table and the new one without."""
    pairs = []
    for each in texts:
        old, _, new = each.partition(":")
        if not old.strip(".") or not new or "." in new:
            raise click.BadParameter(f"{each!r}: expected TABLE:NEW or TABLE.COLUMN:NEW.")
        pairs.append((old, new))
    return tuple(pairs)


def settle(losses: "Sequence[Loss]", drops: Sequence[str]) -> list[tuple[str, str]]:
    """Ask of everything that would be dropped, and may only have a new name, which it is.

    Returns what was renamed. Without a terminal raises click.UsageError, which names both ways.
    """
    if unknown := set(drops) - {each.name for each in losses}:
        raise click.UsageError(f"Not to be dropped: {', '.join(sorted(unknown))}.")
    renames = list[tuple[str, str]]()
    open_questions = [each for each in losses if each.candidates and each.name not in drops]
    for loss in open_questions:
        taken = {new for _, new in renames}
        candidates = [each for each in loss.candidates if each not in taken]
        if not sys.stdin.isatty():
            raise click.UsageError(
                f"The {loss.kind} {loss.name} is not in the models, and {', '.join(candidates)} is "
                f"new. Renamed: --rename {loss.name}:{candidates[0]} keeps what is in it.\n"
                f"Dropped: --drop {loss.name} loses what is in it."
            )
        for candidate in candidates:
            if click.confirm(f"Was the {loss.kind} {loss.name} renamed to {candidate}?", err=True):
                renames.append((loss.name, candidate))
                break
        else:
            if candidates and not click.confirm(f"Drop {loss}?", err=True):
                raise ManagerError("Nothing was written.")
    return renames


def say(line: str) -> None:
    """Tell the user how things go."""
    click.echo(line, err=True)


def use_no_colour_if_asked(context: click.Context) -> None:
    """Honour NO_COLOR; without a terminal click leaves colours out by itself."""
    if os.environ.get("NO_COLOR"):
        context.color = False


def confirm(warning: str) -> None:
    """Ask before a destructive operation; raises ManagerError unless the user agrees."""
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
    work: "Callable[[DatabaseManager], Coroutine[Any, Any, ResultT]]",
    wait: float,
    loss: str | None = None,
    retried: tuple[type[ManagerError], ...] = (UnreachableError,),
    lock_wait: float = 0,
) -> ResultT:
    """Reach the database and do `work` on it; raises ManagerError.

    A `loss` is asked about first, with the place that the server itself tells.
    """
    from db_manager.connection import load_config, open_target  # noqa: PLC0415
    from db_manager.manager import DatabaseManager  # noqa: PLC0415

    # What was imported stays to the end: to look through it for garbage, while the work runs and
    # once more at exit, takes a third of a short command's time.
    gc.freeze()

    async def run() -> ResultT:
        async with open_target(load_config(), wait, retried) as target:
            if loss is not None:
                confirm(f"{loss}: {target.place}.")
            return await work(DatabaseManager(target, say, lock_wait))

    return asyncio.run(run())
