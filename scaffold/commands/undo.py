"""`python -m scaffold undo`: the last command taken back, byte for byte."""

import base64
import json
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

import click

from quart_fleet.output import mark
from quart_fleet.revisions import Revision
from scaffold.commands import preview
from scaffold.commands.editing import Options, confirm, find_confirmed, takes_options
from scaffold.engine import transaction
from scaffold.engine.baseline import RECORD
from scaffold.engine.database import NONE_APPLIED, downgrade, get_applied, grant
from scaffold.engine.plan import Plan, digest, find_content, is_secret
from scaffold.errors import ScaffoldError
from scaffold.workspace import Workspace


@click.command("undo")
@takes_options
def command(**options: bool) -> None:
    """Take back the last command that changed the fleet.

    Byte for byte, while what it wrote is unchanged; otherwise the changed files are named, and
    nothing is done. A revision of it that the database has applied is downgraded first, after
    asking.
    """
    chosen, workspace = Options(**options), Workspace.find(Path.cwd())
    with workspace.locked() if chosen.writes else nullcontext():
        plan = _plan(workspace.root)
        history = workspace.read().history
        versions = PurePosixPath(workspace.migrations, "versions")
        revisions = [one for one in history.revisions if versions / one.file in plan.deleted]
        ids = {one.id for one in revisions}
        for other in history.revisions:
            if other.id not in ids and ids.intersection(other.follows):
                raise ScaffoldError(
                    f"{other.file} follows a revision that would be taken back; nothing was undone."
                )
        base = _plan_downgrade(workspace.root, revisions, chosen)
        if chosen.writes:
            undone = partial(downgrade, workspace.root, base, find_confirmed())
            transaction.apply(plan, undone if base else None)
            if base:
                grant(workspace.root, base)
    if chosen.json:
        preview.print_json(plan, with_diff=chosen.diff)
    elif chosen.diff:
        preview.print_diff(plan)
    elif chosen.dry_run:
        preview.print_list(plan)
    else:
        count = len([path for path in (*plan.writes, *plan.deleted) if preview.is_shown(path)])
        click.echo(f"{click.style(mark('✓', 'Done:'), fg='green')} {count} files are as they were.")


def _plan_downgrade(root: Path, revisions: list[Revision], options: Options) -> str | None:
    """Return where the database goes back to, if it has these revisions and that is agreed.

    Raises ScaffoldError.
    """
    ids = {one.id for one in revisions}
    applied = get_applied(root, ids) if ids else NONE_APPLIED
    if not applied.ids:
        return None
    base = next((old for one in revisions for old in one.follows if old not in ids), "base")
    loss = (
        f"{applied.database} would be downgraded to {base}, which undoes "
        f"{', '.join(one.file for one in revisions)}: tables and columns that they made go with "
        "their rows, and what they dropped comes back empty."
    )
    confirm([loss], options)
    return base


def _plan(root: Path) -> Plan:
    """Return the plan that takes the last command back; raises ScaffoldError."""
    content = find_content(root, RECORD)
    if content is None:
        raise ScaffoldError(
            "There is nothing to undo on this machine: only the last command can be, and once.\n"
            "To go further back: with git, or edit fleet.toml and run: python -m scaffold apply"
        )
    try:
        files = {
            PurePosixPath(path): (
                None if entry["before"] is None else base64.b64decode(entry["before"]),
                entry["after"],
            )
            for path, entry in json.loads(content)["files"].items()
        }
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ScaffoldError(f"{RECORD} is not whole, so that nothing can be undone.") from None
    writes: dict[PurePosixPath, bytes] = {}
    deleted, changed, gone = [RECORD], list[str](), 0
    for path, (before, after) in files.items():
        now = find_content(root, path)
        if (None if now is None else digest(now)) != after:
            changed.append(str(path))
            gone += now == before
        elif before is None:
            deleted.append(path)
        else:
            writes[path] = before
    # What git ignores stays when it takes the rest back.
    if changed and gone == len(changed) and all(map(is_secret, (*writes, *deleted))):
        raise ScaffoldError(
            f"What the last command wrote is gone already, as by git: {gone} files are as they were "
            "before it.\nNothing was undone."
        )
    if changed:
        names = ", ".join(changed[:4]) + (f" and {len(changed) - 4} more" if changed[4:] else "")
        raise ScaffoldError(
            f"Changed since, so that nothing was undone: {names}.\n"
            "Bring them back, or change fleet.toml and run: python -m scaffold apply"
        )
    return replace(Plan.decide(root, writes), deleted=tuple(sorted(deleted)))
