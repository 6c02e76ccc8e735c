"""The revisions that a change of the fleet adds, and those that it takes back."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from quart_fleet.files import read_text
from quart_fleet.revisions import Revision
from scaffold.errors import MisuseError, ScaffoldError
from scaffold.fields import Resource
from scaffold.fleet import Fleet
from scaffold.language.description import Value
from scaffold.language.values import read_value
from scaffold.render import Files
from scaffold.revisions import write_revision
from scaffold.workspace import Inventory


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest revisions of a workspace that can be deleted, since their tables go."""

    files: Mapping[str, PurePosixPath] = field(default_factory=dict)
    """By their ids, the newest first."""
    base: str | None = None
    """What the last of them follows."""


@dataclass(slots=True)
class Steps:
    """The revisions that a change of the fleet adds."""

    added: Files = field(default_factory=dict)
    """Not formatted yet."""
    warnings: list[str] = field(default_factory=list)


def find_newest(inventory: Inventory, baseline: Files, before: Fleet, after: Fleet) -> Newest:
    """Find the newest revisions that were generated for tables that go, and for no others.

    Of a table either all revisions are among them or none; an edited one ends them.
    """
    tables = {each.table for each in _gone(before, after)}
    history = inventory.history
    by_id = {each.id: each for each in history.revisions}
    of_tables = {each.id: _table_of(each, tables) for each in history.revisions}
    top: list[str] = []
    current = history.heads[0] if len(history.heads) == 1 and tables else None
    while current is not None:
        revision = by_id[current]
        path = inventory.versions / revision.file
        is_generated = baseline.get(path) == read_text(inventory.root / path)
        if not (is_generated and of_tables[current]) or len(revision.follows) > 1:
            break
        top.append(current)
        current = next(iter(revision.follows), None)
    while top:
        whole = {
            table
            for table in tables
            if {one for one, about in of_tables.items() if about == table} <= set(top)
        }
        end = next((at for at, one in enumerate(top) if of_tables[one] not in whole), len(top))
        if end == len(top):
            break
        top = top[:end]
    files = {one: inventory.versions / by_id[one].file for one in top}
    return Newest(files, next(iter(by_id[top[-1]].follows), None) if top else None)


def plan_steps(
    inventory: Inventory, before: Fleet, after: Fleet, newest: Newest, fill: Mapping[str, str]
) -> Steps:
    """Return the revisions from one fleet to another; raises ScaffoldError.

    Args:
        inventory: of the workspace.
        before: the fleet as it was applied last.
        after: the fleet as it will be.
        newest: revisions that are deleted; the others of tables that go are dropped by new ones.
        fill: values of new required fields for rows that are there, by `FIELD` or
            `RESOURCE.FIELD`.
    """
    history = inventory.history
    creators = {table: one.id for one in history.revisions for table in one.tables}
    old = {(one.name.package, each.singular): each for one, each in before.resources()}
    changes: list[tuple[Resource | None, Resource | None]] = [
        (each, None)
        for each in sorted(_gone(before, after), key=lambda each: each.table)
        if creators.get(each.table) not in newest.files
    ]
    for service, resource in after.resources():
        was = old.get((service.name.package, resource.singular))
        if was is not None or not (resource.is_shipped or resource.table in creators):
            changes.append((was, resource))
    steps, head = Steps(), newest.base
    for was, now in changes:
        if was == now:
            continue
        if not (steps.added or newest.files):
            if history.faults:
                raise ScaffoldError(history.faults[0])
            if len(history.heads) > 1:
                raise ScaffoldError(
                    f"{inventory.versions} has {len(history.heads)} heads "
                    f"({', '.join(history.heads)}), so which of them a new revision follows is open."
                    "\nMerge them: python -m db_manager merge"
                )
            head = next(iter(history.heads), None)
        renames = {one.was: one.name for one in now.description.fields if one.was} if now else {}
        revision = write_revision(was, now, parent=head, fill=_values(now, fill), renames=renames)
        if revision is not None:
            steps.added[inventory.versions / revision.file_name] = revision.text
            steps.warnings += revision.warnings
            head = revision.id
    return steps


def _gone(before: Fleet, after: Fleet) -> list[Resource]:
    """Return the resources that are no longer described; a model that ships stays."""
    kept = {(one.name.package, each.singular) for one, each in after.resources()}
    return [
        each
        for one, each in before.resources()
        if (one.name.package, each.singular) not in kept and not each.is_shipped
    ]


def _values(resource: Resource | None, fill: Mapping[str, str]) -> dict[str, Value]:
    """Return the values for the fields of a resource; raises MisuseError for what is none."""
    values: dict[str, Value] = {}
    for one in resource.description.fields if resource else ():
        text = fill.get(f"{resource.singular}.{one.name}", fill.get(one.name)) if resource else None
        if text is not None:
            try:
                values[one.name] = read_value(text, one.type)
            except ValueError as error:
                raise MisuseError(f"--fill {one.name}={text}: {error}.") from None
    return values


def _table_of(revision: Revision, tables: set[str]) -> str | None:
    """Return the table that a generated revision is about, as the end of its file's name says."""
    stem = revision.file.removesuffix(".py")
    found = [table for table in tables if re.search(rf"_{re.escape(table)}$", stem)]
    return max(found, key=len, default=None)
