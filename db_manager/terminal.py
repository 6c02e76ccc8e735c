"""What the commands share: options, questions, and lines for people."""

import asyncio
import gc
import os
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from db_manager.errors import ManagerError, UnreachableError

if TYPE_CHECKING:
    from db_manager.comparison import Loss
    from db_manager.connection import Target
    from db_manager.manager import DatabaseManager

ResultT = TypeVar("ResultT")

JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
YES = click.option(
    "--yes", is_flag=True, help="Do not ask; rows on a server that is given want --confirm."
)
CONFIRM = click.option(
    "--confirm",
    "name",
    metavar="NAME",
    help="The database's name: agrees to what is lost on a server that is given.",
)
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
    help="Keep trying where others hold a lock, or change the schema.",
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


@dataclass(frozen=True, slots=True)
class Consent:
    """What a destructive command asks before it begins."""

    loss: str
    """What is lost, as the beginning of a sentence."""
    yes: bool
    name: str | None
    """Of the database, as the user gave it."""
    find_loss: "Callable[[DatabaseManager], Coroutine[Any, Any, bool]] | None" = None
    """Says whether something is lost at all; without it, it is."""

    async def ask(self, target: "Target", manager: "DatabaseManager") -> None:
        """Return if the user agrees; raises ManagerError.

        Of a server that is given, where something is lost, the database's name is wanted.
        """
        loses = self.find_loss is None or await self.find_loss(manager)
        if loses and target.is_protected:
            raise ManagerError(
                f"PROTECTED is set, so that nothing of {target.place} is destroyed. Unset it to do so."
            )
        if self.name not in (None, target.name):
            raise ManagerError(
                f"The database is {target.place}, not {self.name}: nothing was changed."
            )
        wants_name = loses and not target.is_embedded
        if self.name is not None or (self.yes and not wants_name):
            return
        warning = f"{self.loss}: {target.place}."
        way = f"--confirm {target.name}" if wants_name else "--yes"
        if not sys.stdin.isatty():
            raise ManagerError(f"{warning}\nThere is no terminal to ask at: repeat it with {way}.")
        say(warning)
        agrees = (
            click.prompt("Type the database's name to go on", err=True) == target.name
            if wants_name
            else click.confirm("Continue?", err=True)
        )
        if not agrees:
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
    consent: Consent | None = None,
    retried: tuple[type[ManagerError], ...] = (UnreachableError,),
    lock_wait: float = 60,
) -> ResultT:
    """Reach the database and do `work` on it; raises ManagerError.

    Consent is asked for first, with the place that the server itself tells.
    """
    from db_manager.connection import load_config, open_target  # noqa: PLC0415
    from db_manager.manager import DatabaseManager  # noqa: PLC0415

    # What was imported stays to the end: to look through it for garbage, while the work runs and
    # once more at exit, takes a third of a short command's time.
    gc.freeze()

    async def run() -> ResultT:
        async with open_target(load_config(), wait, retried) as target:
            manager = DatabaseManager(target, say, lock_wait)
            if consent is not None:
                await consent.ask(target, manager)
            return await work(manager)

    return asyncio.run(run())
