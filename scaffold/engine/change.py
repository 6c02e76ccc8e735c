"""The engine of every command that generates: three texts of each file become one plan.

What was generated last (the baseline), what the description and today's templates give now, and
what is on the disk. A file that is as generated is replaced, an edited one merged; a file that its
owner deleted stays deleted; what is no longer described is deleted, which is asked about where it
was edited.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath

from quart_fleet.files import UnreadableFileError, decode, read_text
from quart_fleet.workspace import PROJECT_FILE
from scaffold import compose
from scaffold.applications import Asker
from scaffold.compose import Composition
from scaffold.engine.baseline import (
    CONFLICTS,
    FINGERPRINT,
    IGNORE,
    IGNORED,
    RESTORE,
    describe,
    parse_described,
    place_of,
    place_of_owner,
    read_baseline,
    read_conflicts,
    read_described,
    read_fingerprint,
    take_fingerprint,
)
from scaffold.engine.conflicts import refuse_conflicts
from scaffold.engine.database import NONE_APPLIED, get_applied
from scaffold.engine.documents import Documents, place_of_copy, place_of_digest
from scaffold.engine.history import GeneratedRevisions, RemovableRevisions, Steps
from scaffold.engine.merged_sides import find_bases, is_merged
from scaffold.engine.merging import find_conflicts, find_renamed, merge, merge_python
from scaffold.engine.plan import Plan, find_content
from scaffold.errors import ScaffoldError
from scaffold.generation import secrets
from scaffold.generation.fleet import Fleet
from scaffold.generation.render import Files, format_python, sort_imports, using_templates_of
from scaffold.generation.services import find_base, render_service
from scaffold.generation.shipped import MODEL, shipped_model
from scaffold.language.description import FleetDescription, ServiceDescription
from scaffold.language.fleet import FILE, FRESH, forget_former_names, join_sides, parse_fleet
from scaffold.names import ServiceName
from scaffold.workspace import Inventory, Workspace

_OTHERS = "a revision is deleted; databases other than the workspace's own are not known."
_UNSET = re.compile(r"^[ \t]*(?:#.*|SECRET_KEY=.*)?(?:\n|\Z)", re.MULTILINE)
"""Lines of a .env that set nothing, and that of its secret."""


def read_fleet_text(root: Path) -> str:
    """Return the text of fleet.toml, that of a fresh one where it is missing.

    Where git left the marks of a merge, what both sides have applied is joined.
    """
    path = root / FILE
    if not path.exists() and not read_described(root):
        return FRESH
    try:
        return read_text(path)
    except FileNotFoundError:
        raise ScaffoldError(
            f"{FILE} is missing, of which services were generated: bring it back."
        ) from None
    except UnreadableFileError:
        text = path.read_bytes().decode("utf-8", "replace").replace("\r\n", "\n")
        if "\n=======\n" not in text:
            raise
    return join_sides(text, parse_described(read_described(root)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyOptions:
    """How a description is applied."""

    restore: bool = False
    """Whether generated files that were deleted are written again."""
    fill: Mapping[str, str] = field(default_factory=dict)
    """What rows that are there get in new required fields: by `FIELD` or `RESOURCE.FIELD`."""
    assume_applied: bool = False
    """Whether tables are dropped by a new revision, as if every database had them."""
    is_removal: bool = False
    """Whether what goes was named on the command line."""


@dataclass(slots=True, kw_only=True)
class Change:
    """What a command does to a workspace, decided and not written yet."""

    composition: Composition
    """Before the change."""
    before: Fleet
    """As it was applied last."""
    after: Fleet
    plan: Plan
    absent: list[PurePosixPath] = field(default_factory=list)
    """Generated files that their owner deleted; they stay deleted."""
    losses: list[str] = field(default_factory=list)
    """What is destroyed at once, a sentence each."""
    warnings: list[str] = field(default_factory=list)
    """What the new revisions lose, or cannot do safely, when they are applied; what is not made yet."""
    untold: list[str] = field(default_factory=list)
    """Why the copies of some services stay as they are, a remedy in the second line; in `warnings` too."""
    downgrade: bool = False
    """Whether the database is taken back to `base` before anything is written."""
    base: str | None = None


def find_unchanged(root: Path, text: str) -> Change | None:
    """Return an empty change where a fleet.toml of this text is applied already, else None."""
    composition = Composition.read(root)
    now = take_fingerprint(root, text, composition.project, find_base(root))
    if read_fingerprint(root) != now or read_conflicts(root):
        return None
    packages = [ServiceName.parse(path.stem).package for path in read_described(root)]
    plan = Plan(root)
    if Documents(plan).find_outdated(packages):
        return None
    return Change(composition=composition, before=Fleet(), after=Fleet(), plan=plan)


def plan_change(workspace: Workspace, text: str, apply_options: ApplyOptions) -> Change:
    """Decide what brings the workspace to a fleet.toml of this text; raises ScaffoldError.

    Args:
        workspace: locked by the caller, if the plan is to be applied.
        text: of fleet.toml.
        apply_options: how the description is applied.
    """
    inventory = workspace.read()
    described = read_described(workspace.root)
    description = parse_fleet(text)
    before, after = Fleet.of(parse_described(described)), Fleet.of(description)
    refuse_conflicts(inventory, before, after)
    newest, applied, past = RemovableRevisions(), NONE_APPLIED, GeneratedRevisions(inventory)
    if not apply_options.assume_applied:
        newest = past.get_removable(before, after)
    if newest.files:
        applied = get_applied(workspace.root, newest.files)
    # It imports what applications need while the rest is decided.
    with closing(Asker("--openapi")) as asker:
        decision = _Decision(workspace.root, read_baseline(workspace.root))
        with using_templates_of(workspace.root):
            steps = past.plan_steps(before, after, newest, apply_options.fill)
            if is_merged(read_fingerprint(workspace.root)):
                decision.find_bases(description, inventory.composition.project)
            decision.settle_generated(before, after, inventory, restore=apply_options.restore)
        decision.settle_revisions(steps, newest, inventory.versions)
        decision.settle_private_files(before, after)
        decision.settle_composition(inventory.composition, before, after)
        decision.settle_descriptions(described, description, forget_former_names(text))
        decision.settle_fingerprint(inventory.composition.project)
        decision.settle_documents(before, after)
        documents = Documents(decision.plan())
        outdated = documents.find_outdated(service.name.package for service in after.services)
        plan, untold = documents.write(outdated, asker)
    losses = []
    if not apply_options.is_removal and (gone := before.names_without(after)):
        losses.append(f"No longer described, and to be deleted: {', '.join(gone)}.")
    if decision.edited:
        names = ", ".join(map(str, decision.edited))
        losses.append(f"Edited since generated, and to be deleted: {names}.")
    if applied.ids:
        names = ", ".join(path.name for path in newest.files.values())
        losses.append(
            f"{applied.database} would be downgraded to {newest.base or 'base'}, which drops the "
            f"tables of {names} with their rows."
        )
    return Change(
        composition=inventory.composition,
        before=before,
        after=after,
        plan=plan,
        absent=decision.absent,
        losses=losses,
        warnings=[
            *steps.warnings,
            *([_OTHERS] if newest.files else []),
            *untold,
            *decision.pending,
        ],
        untold=untold,
        downgrade=bool(applied.ids),
        base=newest.base,
    )


class _Decision:
    """Collects what becomes of each file, each read once.

    Args:
        root: the workspace.
        baseline: what was generated last, by path.
    """

    def __init__(self, root: Path, baseline: Files) -> None:
        self.root = root
        self.base = find_base(root)
        """The image that those of services are built on."""
        self.baseline = baseline
        self.generated: Files = {}
        """The next baseline."""
        self.edited: list[PurePosixPath] = []
        """Of what is deleted, what is not as generated."""
        self.absent: list[PurePosixPath] = []
        """Of what is described, what its owner deleted."""
        self.pending: list[str] = []
        """Of what is described, what cannot be generated yet, a sentence each."""
        self._writes: dict[PurePosixPath, bytes] = {}
        self._deleted: list[PurePosixPath] = []
        self._conflicts: dict[PurePosixPath, int] = {}
        self._open_conflicts = read_conflicts(root)
        self._merged: Files = {}
        self._bases: Files = {}
        self._contents: dict[PurePosixPath, bytes | None] = {
            place_of(path): text.encode() for path, text in baseline.items()
        }

    def find_bases(self, description: FleetDescription, project: str) -> None:
        """Find what files of one side were generated as, after git has merged two baselines."""

        def render(service: ServiceDescription) -> Files:
            others = (service if one.name == service.name else one for one in description.services)
            fleet = Fleet.of(FleetDescription(tuple(others)))
            planned = fleet.find_service(ServiceName.parse(service.name).package)
            assert planned is not None
            files = render_service(planned, project, self.base, self.root)
            return format_python(files, self.root / PROJECT_FILE)

        self._bases = find_bases(self.root, description, self.baseline, render)

    def settle_generated(
        self, before: Fleet, fleet: Fleet, inventory: Inventory, *, restore: bool
    ) -> None:
        """Bring what is generated of a fleet to the disk; raises ScaffoldError."""
        rendered: Files = {}
        for service in fleet.services:
            # Those of services that are new, and have no document yet, are made by the next apply.
            ready = [
                one
                for one in service.clients
                if before.find_service(one.provider.package) or (self.root / one.document).is_file()
            ]
            self.pending += [
                f"{service.name.typed} gets its client of {one.provider.typed} by the next apply: "
                f"{one.document} is not there yet."
                for one in service.clients
                if one not in ready
            ]
            rendered |= render_service(
                replace(service, clients=tuple(ready)),
                inventory.composition.project,
                self.base,
                self.root,
            )
        self.generated = format_python(rendered, self.root / PROJECT_FILE)
        gone = {
            path: base
            for path, base in self.baseline.items()
            if path not in self.generated and path.parent != inventory.versions
        }
        shipped = {MODEL: shipped_model()}
        renamed: dict[PurePosixPath, PurePosixPath] = {}
        if before == fleet:  # then what goes and what comes is the templates' alone
            come = {
                path: text
                for path, text in self.generated.items()
                if path not in self.baseline and self._read(path) is None
            }
            renamed = find_renamed(gone, come)
        for path, was in renamed.items():
            self._bases[path], self._contents[path] = gone.pop(was), self._read(was)
            if self._contents[path] is not None:
                self._deleted.append(was)
        for path, new in self.generated.items():
            base = self._bases.get(path, self.baseline.get(path, shipped.get(path)))
            self._update(path, base, new, restore=restore)
        for path, base in gone.items():
            if path in shipped:
                self._update(path, base, shipped[path], restore=restore)
            else:
                self._delete(path, base)
        for path in renamed:
            content = self._contents.pop(path)
            if content == self.generated[path].encode():
                self._writes[path] = content
        sorted_files = sort_imports(self._merged, self.root / PROJECT_FILE)
        self._writes |= {path: new.encode() for path, new in sorted_files.items()}

    def settle_revisions(
        self, steps: Steps, newest: RemovableRevisions, versions: PurePosixPath
    ) -> None:
        """Add and take back revisions; those that stay are never written again."""
        added = format_python(steps.added, self.root / PROJECT_FILE)
        self._writes |= {path: new.encode() for path, new in added.items()}
        self._writes |= {
            place_of_owner(one): f"{owner}\n".encode() for one, owner in steps.owners.items()
        }
        self._deleted += newest.files.values()
        self._deleted += [
            path for path in map(place_of_owner, newest.files) if (self.root / path).is_file()
        ]
        self.generated |= added
        self.generated |= {
            path: base
            for path, base in self.baseline.items()
            if path.parent == versions and path not in newest.files.values()
        }

    def settle_private_files(self, before: Fleet, after: Fleet) -> None:
        """Make the .env and the secrets of new services, and delete those of removed ones.

        They hold random values, so that no baseline has them: a .env that sets anything but what
        its example does, and a secret of its own, was edited. Its comments are of the day it was made.
        """
        for service in before.without(after):
            example = self.baseline.get(service.folder / secrets.EXAMPLE, "")
            self._delete(service.folder / secrets.NAME, example, partial(_UNSET.sub, ""))
            for kind in ("roles", "keys"):
                self._delete(secrets.SECRETS / kind / service.name.package, "", lambda _: "")
        added = after.without(before)
        files = secrets.make_secrets(one.name.package for one in added) if added else {}
        for service in added:
            example = self.generated[service.folder / secrets.EXAMPLE]
            made = secrets.give_secret(example)
            files[service.folder / secrets.NAME] = made.encode()
        self._writes |= {path: made for path, made in files.items() if self._read(path) is None}

    def settle_composition(self, composition: Composition, before: Fleet, after: Fleet) -> None:
        """Bring the list of the services' compose files to the fleet."""
        changed = composition
        for service in before.without(after):
            changed = changed.without(service.name.package)
        for service in after.without(before):
            if not changed.uses(service.name.package):
                changed = changed.with_service(service.name.package)
        if changed is not composition:
            self._writes[compose.LIST] = changed.list_text.encode()

    def settle_documents(self, before: Fleet, after: Fleet) -> None:
        """Delete the documents of removed services; they were never their owner's."""
        for service in before.without(after):
            package = service.name.package
            for path in (place_of_copy(package), place_of_digest(package)):
                self._deleted += [path] if self._read(path) is not None else []

    def settle_descriptions(
        self, described: Files, description: FleetDescription, text: str
    ) -> None:
        """Write fleet.toml, and what was applied of it for each service."""
        applied = describe(description)
        self._writes |= {
            path: new.encode() for path, new in applied.items() if described.get(path) != new
        }
        self._deleted += described.keys() - applied.keys()
        content = self._read(PurePosixPath(FILE))
        if description.services or content is not None:
            newline = "\r\n" if b"\r\n" in (content or b"") else "\n"
            self._writes[PurePosixPath(FILE)] = text.replace("\n", newline).encode()

    def settle_fingerprint(self, project: str) -> None:
        """Note what was applied, so that applying it again is known to change nothing."""
        text = self._writes.get(PurePosixPath(FILE), b"").decode()
        if text and self.generated and not (self._conflicts or self.pending):
            fingerprint = take_fingerprint(self.root, text, project, self.base)
            self._writes[FINGERPRINT] = fingerprint.encode()
        elif (self.root / FINGERPRINT).is_file():
            self._deleted.append(FINGERPRINT)

    def plan(self) -> Plan:
        """Return all of it, with the next baseline."""
        self._writes |= {
            place_of(path): new.encode()
            for path, new in self.generated.items()
            if self.baseline.get(path) != new
        }
        self._deleted += [place_of(path) for path in self.baseline.keys() - self.generated.keys()]
        self._writes[IGNORE] = IGNORED.encode()
        # Those of an upgrade may be in files that are not generated.
        undecided = {
            path
            for path in self._open_conflicts - self.generated.keys()
            if find_conflicts((self._read(path) or b"").decode("utf-8", "replace"))
        }
        if self._conflicts or undecided:
            names = "".join(f"{path}\n" for path in sorted({*self._conflicts, *undecided}))
            self._writes[CONFLICTS] = names.encode()
        elif self._open_conflicts:
            self._deleted.append(CONFLICTS)
        plan = Plan.decide(self.root, self._writes, known=self._contents)
        return replace(plan, deleted=tuple(sorted(self._deleted)), conflicts=self._conflicts)

    def _read(self, path: PurePosixPath) -> bytes | None:
        """Return what is on the disk; raises ScaffoldError where no file can be."""
        if path not in self._contents:
            self._contents[path] = find_content(self.root, path)
        return self._contents[path]

    def _update(self, path: PurePosixPath, base: str | None, new: str, *, restore: bool) -> None:
        """Bring a file to its new text; raises ScaffoldError for one that was not generated."""
        if base == new and path not in self._open_conflicts and (self.root / path).is_file():
            return
        content = self._read(path)
        if content is None:
            if base is None or restore:
                self._writes[path] = new.encode()
            else:
                self.absent.append(path)
            return
        if content == new.encode():
            return
        text = decode(self.root / path, content)
        if base is None:
            raise ScaffoldError(
                f"{path} exists and is not as generated; nothing was written.\nMove it away; or, "
                f"where {place_of(path)} was lost: {RESTORE}"
            )
        merge_texts = merge_python if path.suffix == ".py" else merge
        merged = merge_texts(base, content.decode(), new)
        if merged.conflicts:
            self._conflicts[path] = merged.conflicts
        if merged.conflicts or text == base:
            self._writes[path] = merged.text.encode()
        else:
            self._merged[path] = merged.text

    def _delete(
        self, path: PurePosixPath, base: str, without_secrets: Callable[[str], str] = str
    ) -> None:
        """Delete a file that is no longer described; one that differs from `base` was edited."""
        content = self._read(path)
        if content is not None:
            self._deleted.append(path)
            text = content.decode("utf-8", "replace").replace("\r\n", "\n")
            if without_secrets(text) != without_secrets(base):
                self.edited.append(path)
