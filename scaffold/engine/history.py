"""The revisions that a change of the fleet adds, and those that it takes back."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from quart_fleet.files import read_text
from scaffold.engine.baseline import place_of, read_owners
from scaffold.errors import MisuseError, ScaffoldError
from scaffold.generation.fields import Resource
from scaffold.generation.fleet import Fleet
from scaffold.generation.render import Files
from scaffold.generation.shipped import NAME, find_users, shipped_resource
from scaffold.language.description import FieldDescription, Generated, Value
from scaffold.language.values import read_default
from scaffold.revisions.ordering import Step, order_steps
from scaffold.revisions.writing import write_revision
from scaffold.workspace import Inventory


@dataclass(frozen=True, slots=True)
class RemovableRevisions:
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
    owners: dict[str, str] = field(default_factory=dict)
    """The resource that each is about, by their ids."""
    warnings: list[str] = field(default_factory=list)


class GeneratedRevisions:
    """The revisions of a workspace, and the resource that each generated one is about."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._history = inventory.history
        self._owners = read_owners(inventory.root)

    def get_removable(self, before: Fleet, after: Fleet) -> RemovableRevisions:
        """Return the newest revisions that were generated for resources that go, and for no others.

        Of a resource either all revisions are among them or none; an edited one, or one that was
        written by hand, ends them. Raises ScaffoldError for a history that cannot be read.
        """
        gone = {owner for owner, _ in _gone(before, after)}
        if gone and self._history.faults:
            raise ScaffoldError(self._history.faults[0])
        by_id = {each.id: each for each in self._history.revisions}
        top: list[str] = []
        current = self._history.heads[0] if len(self._history.heads) == 1 and gone else None
        while current is not None:
            revision = by_id[current]
            path = self._inventory.versions / revision.file
            root, baseline = self._inventory.root, self._inventory.root / place_of(path)
            is_as_generated = baseline.is_file() and read_text(baseline) == read_text(root / path)
            if self._owners.get(current) not in gone or not is_as_generated:
                break
            top.append(current)
            current = next(iter(revision.follows), None)
        while top:
            whole = {owner for owner in gone if self._revisions_of(owner) & by_id.keys() <= {*top}}
            end = next((at for at, one in enumerate(top) if self._owners[one] not in whole), None)
            if end is None:
                break
            top = top[:end]
        files = {one: self._inventory.versions / by_id[one].file for one in top}
        return RemovableRevisions(files, next(iter(by_id[top[-1]].follows), None) if top else None)

    def plan_steps(
        self, before: Fleet, after: Fleet, newest: RemovableRevisions, fill: Mapping[str, str]
    ) -> Steps:
        """Return the revisions from one fleet to another; raises ScaffoldError.

        Args:
            before: the fleet as it was applied last.
            after: the fleet as it will be.
            newest: revisions that are deleted; other tables that go are dropped by new ones.
            fill: values of new required fields for rows that are there, by `FIELD` or
                `RESOURCE.FIELD`.
        """
        known = {
            name
            for _, resource in after.resources()
            for table in (resource, *resource.parts)
            for one in table.description.fields
            if one.type.name not in ("many", "items")
            for each in {one.name, one.key}
            for name in (each, f"{table.qualified_name}.{each}")
        }
        for name in fill.keys() - known:
            raise MisuseError(f"--fill {name}: no resource has such a field.")
        steps, head = Steps(), newest.base
        # Nothing has written to a table that came with the workspace and was not described.
        known_before = [
            None,
            *(each for _, one in before.resources() for each in (one, *one.parts)),
        ]
        for step in order_steps(self._changes(before, after, newest)):
            was, now = step.was, step.now
            if not (steps.added or newest.files):
                head = self._get_head()
            fields = now.description.fields if now else ()
            olds = was.description.fields if was else ()
            # By either name: a reference that becomes a number had another key than that has.
            former = {name: one.key for one in olds for name in (one.key, one.name)}
            is_known = was in known_before  # else a step before this one has made it of `now`
            if was and is_known:
                _refuse_secrets(was, fields)
            revision = write_revision(
                was,
                now,
                parent=head,
                fill=_values(now, fill) if is_known else None,
                renames={
                    old: one.key
                    for one in fields
                    if is_known
                    and one.was
                    and one.type.name != "items"
                    and (old := former.get(one.was, replace(one, name=one.was).key)) != one.key
                },
            )
            if revision is not None:
                steps.added[self._inventory.versions / revision.file_name] = revision.text
                steps.owners[revision.id] = step.owner
                steps.warnings += revision.warnings
                head = revision.id
        return steps

    def _changes(self, before: Fleet, after: Fleet, newest: RemovableRevisions) -> Iterator[Step]:
        """Yield a step for each resource and each part whose table may change."""
        shipped = shipped_resource()
        for owner, resource in sorted(_gone(before, after), key=lambda each: each[0]):
            if not self._revisions_of(owner) & newest.files.keys():
                yield from (Step(owner, part, None) for part in resource.parts)
                yield Step(owner, resource, shipped if resource.singular == NAME else None)
        # A table that a revision of the owner's makes is taken as it is.
        made = {
            table
            for each in self._history.revisions
            if each.id not in self._owners
            for table in each.tables
        }
        for service, resource in after.resources():
            was = before.find_resource(service.name.package, resource.singular)
            if was is None and resource.singular == NAME and shipped.table in made:
                was = find_users(before) or shipped
                if was.description == resource.description:
                    continue
            if was != resource and (was or resource.table not in made):
                owner = _owner(service.name.package, resource)
                yield Step(owner, was, resource)
                parts = {one.singular: one for one in was.parts} if was else {}
                for part in resource.parts:
                    old = parts.pop(part.singular, None)
                    if old != part and (old or part.table not in made):
                        yield Step(owner, old, part)
                yield from (Step(owner, part, None) for part in parts.values())

    def _revisions_of(self, owner: str) -> set[str]:
        return {one for one, about in self._owners.items() if about == owner}

    def _get_head(self) -> str | None:
        """Return the newest revision, None where there is none; raises ScaffoldError at two."""
        if self._history.faults:
            raise ScaffoldError(self._history.faults[0])
        heads = self._history.heads
        if len(heads) > 1:
            raise ScaffoldError(
                f"{self._inventory.versions} has {len(heads)} heads ({', '.join(heads)}), so which "
                "of them a new revision follows is open.\nMerge them: python -m db_manager merge"
            )
        return next(iter(heads), None)


def _owner(package: str, resource: Resource) -> str:
    """Return what is written down of the resource that a revision is about."""
    return f"{package}.{resource.singular}"


def _gone(before: Fleet, after: Fleet) -> Iterator[tuple[str, Resource]]:
    """Yield the resources that are no longer described; users may have moved to another service."""
    for service, resource in before.resources():
        kept = after.find_resource(service.name.package, resource.singular)
        stays = resource.singular == NAME and (
            find_users(after) or resource.description == shipped_resource().description
        )
        if kept is None and not stays:
            yield _owner(service.name.package, resource), resource


def _refuse_secrets(was: Resource, fields: Iterable[FieldDescription]) -> None:
    """Raise MisuseError for a secret that rows which are there would have to have."""
    optional = {one.name: one.optional for one in was.description.fields}
    for one in fields:
        if one.secret and not one.optional and optional.get(one.was or one.name, True):
            raise MisuseError(
                f"The rows of {was.table} that are there have no {one.name}, and no revision can fill "
                "a secret: what is kept of it, as a hash, is its adapter's to say.\n"
                f"Leave it optional: {replace(one, optional=True, was=None)}"
            )


def _values(resource: Resource | None, fill: Mapping[str, str]) -> dict[str, Value]:
    """Return the values for the fields of a resource; raises MisuseError for what is none."""
    values: dict[str, Value] = {}
    for one in resource.description.fields if resource else ():
        known = (
            [f"{resource.qualified_name}.{each}" for each in (one.name, one.key)]
            if resource
            else []
        )
        text = next((fill[each] for each in (*known, one.name, one.key) if each in fill), None)
        if text is not None and one.secret:
            raise MisuseError(
                f"--fill {one.name}: what is kept of a secret, as a hash, is its adapter's to say, and a "
                "revision would show it. Leave it optional."
            )
        if text is not None:
            try:
                values[one.key] = value = read_default(text, one.type)
            except ValueError as error:
                raise MisuseError(f"--fill {one.name}={text}: {error}.") from None
            if not isinstance(value, Generated) and not one.allows(value):
                raise MisuseError(f"--fill {one.name}={text}: the field's own rules refuse it.")
    return values
