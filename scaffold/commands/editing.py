"""How every command that changes the fleet runs: edit fleet.toml, plan, ask, write, tell."""

import sys
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import click

from quart_fleet.output import mark
from scaffold.commands import preview
from scaffold.engine import transaction
from scaffold.engine.baseline import remember
from scaffold.engine.change import (
    ApplyOptions,
    Change,
    find_unchanged,
    plan_change,
    read_fleet_text,
)
from scaffold.engine.database import downgrade
from scaffold.engine.plan import Plan
from scaffold.errors import MisuseError, ScaffoldError
from scaffold.generation import secrets
from scaffold.workspace import Workspace, read_settings

_CONFIRMED = "scaffold.confirmed"
CommandT = TypeVar("CommandT", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to write, and how to tell."""

    dry_run: bool
    diff: bool
    json: bool
    yes: bool

    @property
    def writes(self) -> bool:
        """Whether the disk is meant to change."""
        return not (self.dry_run or self.diff)


def takes_options(command: CommandT) -> CommandT:
    """Give a command the options of all that write."""
    for option in (
        click.option(
            "--confirm",
            metavar="NAME",
            expose_value=False,
            callback=lambda context, _option, name: context.meta.update({_CONFIRMED: name}),
            help="The database's name, where rows are lost on a server that is given.",
        ),
        click.option("--yes", is_flag=True, help="Do not ask before anything is lost."),
        click.option("--json", is_flag=True, help="Print the result for a program."),
        click.option("--diff", is_flag=True, help="Print the changes as a diff; write nothing."),
        click.option("--dry-run", is_flag=True, help="List the files; write nothing."),
    ):
        command = option(command)
    return command


def find_confirmed() -> str | None:
    """Return the name of the database that the user gave."""
    name: str | None = click.get_current_context().meta.get(_CONFIRMED)
    return name


def takes_fill(command: CommandT) -> CommandT:
    """Give a command the option for new required fields of tables that exist."""
    return click.option(
        "--fill",
        multiple=True,
        metavar="FIELD=VALUE",
        help="What rows that are there get in a new required field; RESOURCE.FIELD=VALUE too.",
    )(command)


def parse_fill(pairs: Iterable[str]) -> dict[str, str]:
    """Return values by field; raises MisuseError."""
    fill = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not (name and sign):
            raise MisuseError(f"{pair!r} fills no field: give FIELD=VALUE.")
        fill[name] = value
    return fill


def change_fleet(
    edit: Callable[[str], str], options: Options, apply_options: ApplyOptions
) -> Change:
    """Bring the workspace to an edited fleet.toml, or only plan it; raises ScaffoldError.

    Args:
        edit: returns the new text for the one that is there.
        options: with `diff` or `dry_run` nothing is written, and what they ask for is printed.
        apply_options: how the description is applied.
    """
    workspace = Workspace.find(Path.cwd())
    with workspace.locked() if options.writes else nullcontext():
        before = read_fleet_text(workspace.root)
        text = edit(before)
        nothing = (
            find_unchanged(workspace.root, text)
            if apply_options == ApplyOptions() and text == before
            else None
        )
        change = nothing or plan_change(workspace, text, apply_options)
        confirm(change.losses, options)
        if options.writes:
            name = find_confirmed()
            undone = partial(downgrade, workspace.root, change.base, name)
            transaction.apply(remember(change.plan), undone if change.downgrade else None)
    if options.diff and not options.json:
        preview.print_diff(change.plan)
    elif options.dry_run and not options.json:
        preview.print_list(change.plan)
    return change


def confirm(losses: list[str], options: Options) -> None:
    """Return if nothing is lost, or it was agreed to; raises ScaffoldError."""
    if not losses or options.yes or find_confirmed():
        return
    said = "\n".join(losses)
    if not options.writes:
        click.echo(said, err=True)
        return
    if options.json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ScaffoldError(f"{said}\nNothing was written: repeat it with --yes to agree.")
    if not click.confirm(f"{said}\nGo on?", err=True):
        raise ScaffoldError("Nothing was written.")


def summarise(plan: Plan) -> str:
    """Return `3 created, 1 changed`, of what is not the baseline."""
    counts = {
        "created": plan.created,
        "changed": plan.changed,
        "deleted": plan.deleted,
        "kept": plan.kept,
    }
    return ", ".join(
        f"{number} {verb}"
        for verb, paths in counts.items()
        if (number := len([path for path in paths if preview.is_shown(path)]))
    )


def print_change(change: Change, done: str) -> None:
    """Say what was done."""
    sign = click.style(mark("✓", "Done:"), fg="green")
    summary = summarise(change.plan)
    click.echo(f"{sign} {done} ({summary})" if summary else f"{sign} Nothing to write.")


def print_next(change: Change) -> None:
    """Say which command comes next, where a revision was written."""
    versions = PurePosixPath(Workspace.find(change.plan.root).migrations, "versions")
    if any(path.parent == versions for path in change.plan.created):
        click.echo("\nNext: python -m db_manager migrate")


def print_notes(change: Change, options: Options) -> None:
    """Say on stderr what stays, and what its owner has to decide; exit 1 after conflicts."""
    root = change.plan.root
    for service in change.after.services:
        known = change.before.find_service(service.name.package)
        if known and known.port == service.port:
            continue
        settings = service.folder / secrets.NAME
        port = read_settings(root / settings).get("SERVICE_PORT")
        if port and port.value != str(service.port):
            click.echo(
                f"{settings} stays, with SERVICE_PORT={port.value}: "
                f"edit it to move the service to {service.port}.",
                err=True,
            )
    for warning in change.warnings:
        click.echo(f"Warning: {warning}", err=True)
    if change.absent:
        names = ", ".join(map(str, change.absent[:4]))
        more = f" and {len(change.absent) - 4} more" if len(change.absent) > 4 else ""
        click.echo(
            f"Deleted by hand, and not written again: {names}{more}. "
            "To have them back: python -m scaffold apply --restore",
            err=True,
        )
    for path, count in change.plan.conflicts.items():
        times = "conflict" if count == 1 else "conflicts"
        marked = "marked" if options.writes else "which would be marked"
        click.echo(f"{path}: {count} {times}, {marked} in the file.", err=True)
    if change.plan.conflicts:
        todo = "decide there" if options.writes else "nothing was written"
        raise ScaffoldError(
            f"Your edits and what is generated now differ in the same lines: {todo}."
        )
