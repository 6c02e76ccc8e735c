"""A copy of a workspace, brought to a newer version step by step.

What differs in it in the end from the workspace is one plan, written whole or not at all.
"""

import re
import shutil
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from quart_fleet.files import decode, read_text
from quart_fleet.workspace import PROJECT_FILE
from scaffold import compose
from scaffold.compose import Composition
from scaffold.distribution import vendor
from scaffold.engine import transaction
from scaffold.engine.baseline import (
    CONFLICTS,
    FOLDER,
    GENERATED,
    describe,
    place_of,
    place_of_owner,
    place_of_template,
    read_copied_templates,
)
from scaffold.engine.change import ApplyOptions, plan_change, read_fleet_text
from scaffold.engine.merging import find_renamed, merge, merge_python
from scaffold.engine.plan import Plan, find_content, is_secret
from scaffold.errors import MisuseError, ScaffoldError
from scaffold.generation.fleet import Fleet
from scaffold.generation.presets import preset_of
from scaffold.generation.render import OWN, TEMPLATES, Files, sort_imports
from scaffold.language.fleet import CLIENTS, FILE, FRESH, add_service, parse_fleet
from scaffold.names import ResourceName, ServiceName
from scaffold.upgrading.distributions import LOOSE, Distribution
from scaffold.upgrading.moved_imports import find_gone, move_imports
from scaffold.workspace import DOCUMENT, MODELS, SERVICES, Workspace

YOURS = ".yours"
"""What the name of an edited file of the framework ends in, once the framework is installed."""

_COPIED = ("services", "shared", "db_manager", "scaffold", str(FOLDER))
_IMPORTING = ("services", "shared", "tests")
"""Folders of modules that may import the framework."""
_PASSED = shutil.ignore_patterns("__pycache__", "*.py[co]", "node_modules", ".venv*")
_LOCKED = re.compile(r"^quart-fleet==\S+ \\\n +--hash=sha256:\w+", re.MULTILINE)


class WorkspaceCopy:
    """A copy of a workspace, brought to the version that runs step by step.

    Args:
        root: the workspace.
        copy: a new folder of the same name.
        migrations: where its revisions are, below the root.
    """

    def __init__(self, root: Path, copy: Path, migrations: str) -> None:
        self.root = root
        self.here = copy
        self.notes: list[str] = []
        self._versions = PurePosixPath(migrations, "versions")
        self._copied: set[PurePosixPath] = set()
        self._conflicts: dict[PurePosixPath, int] = {}
        self._marked: Files = {}

    def copy(self, owned: Iterable[PurePosixPath], more: Iterable[str] = ()) -> None:
        """Copy what is generated, what a version makes of a workspace's own files, and more folders."""
        self.here.mkdir(parents=True)
        for name in (*_COPIED, *more):
            if (self.root / name).is_dir():
                shutil.copytree(self.root / name, self.here / name, ignore=_PASSED)
        for path in (*owned, PurePosixPath(FILE)):
            source, target = self.root / path, self.here / path
            if source.is_file() and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        self._copied = list_files(self.here)

    def make_baseline(
        self, past: Path, own: Distribution, owned: Collection[PurePosixPath]
    ) -> None:
        """Make what the workspace's own version generated of its services, as their baseline.

        `past` is what that version makes of a new workspace, `owned` its files. One that knows fleet.toml is given
        the workspace's; an earlier one is told the name and the port of each service.
        """
        if (past / FILE).is_file():
            text = read_fleet_text(self.here) if (self.here / FILE).is_file() else FRESH
            (past / FILE).write_text(text)
            own.make(past, "apply", "--yes")
            self.make_clients(past, own, text)
            known = {place_of_owner(one) for one in Workspace(self.here).read().history.ids}
            for path in list_files(past / FOLDER):
                # Of revisions, which are never written again, only what is here counts.
                is_owner = (FOLDER / path).parent == place_of_owner("").parent
                is_revision = (FOLDER / path).is_relative_to(GENERATED / self._versions)
                if not is_revision and (not is_owner or FOLDER / path in known):
                    self.write(FOLDER / path, (past / FOLDER / path).read_bytes())
            return
        text = FRESH
        composition = find_content(self.here, compose.FILE) or b""
        services = Workspace(self.here).services()
        # As they were made: 0.1.0 put each service below those before it in compose.yaml.
        services.sort(key=lambda one: composition.find(f"{SERVICES}/{one.package}/".encode()))
        for service in services:
            try:
                name = ServiceName.parse(service.called)
                if service.missing or service.port is None or name.package != service.package:
                    raise MisuseError
            except MisuseError:
                self.notes.append(
                    f"{SERVICES}/{service.package} is not as it was generated, without its name, "
                    "port or modules: it stays as it is."
                )
                continue
            singular = ResourceName.of(name).singular
            entity = self.here / SERVICES / service.package / f"domain/entities/{singular}.py"
            is_bare = not entity.is_file()
            port = str(service.port)
            own.make(past, "service", service.called, port, *(["--bare"] if is_bare else []))
            preset = None if is_bare else replace(preset_of(singular), name=singular)
            text = add_service(text, service.called, service.port, preset)
            folder = PurePosixPath(SERVICES, service.package)
            model = PurePosixPath(MODELS, f"{singular}.py")
            for path in list_files(past):
                is_its_own = path.is_relative_to(folder) or (path == model and not is_bare)
                if is_its_own and path not in owned and not is_secret(path):
                    self.write(place_of(path), (past / path).read_bytes())
        self.write(PurePosixPath(FILE), text.encode())
        for place, block in describe(parse_fleet(text)).items():
            self.write(place, block.encode())

    def make_clients(self, past: Path, own: Distribution, text: str) -> None:
        """Make what `text` says of clients, which are made of documents, once their services are there."""
        if CLIENTS in text:
            for document in self.here.glob(f"{SERVICES}/*/{DOCUMENT}"):
                shutil.copy2(document, past / document.relative_to(self.here))
            own.make(past, "apply", "--yes")

    def take_out_framework(self, framework: Mapping[PurePosixPath, bytes]) -> None:
        """Take out what the workspace holds of the framework, by what it was.

        An edited file of it stays beside its place, by a name that nothing imports.
        """
        packages: list[Path] = []
        for path, was in framework.items():
            content, file = find_content(self.here, path), self.here / path
            if content == was:
                file.unlink()
                packages += [file] if path.name == "__init__.py" else []
            elif content is not None:
                file.rename(f"{file}{YOURS}")
                self.notes.append(
                    f"{path} is the framework's, and was edited: yours is {path.name}{YOURS} "
                    "beside it, which nothing reads. Put what you need of it into shared/ or a "
                    "service, then delete it."
                )
        for file in packages:  # a package of whose modules some are its owner's stays one
            if file.relative_to(self.here).parts[0] in _IMPORTING and any(file.parent.glob("*.py")):
                file.touch()

    def move_imports(self, owned: Mapping[PurePosixPath, bytes]) -> dict[PurePosixPath, bytes]:
        """Import the framework from its package; return `owned` with its imports moved."""
        moved: Files = {}
        for folder in (*_IMPORTING, str(GENERATED)):
            for file in (self.here / folder).rglob("*.py*"):
                path = PurePosixPath(file.relative_to(self.here))
                if {".py", YOURS} & {*path.suffixes} == {".py"}:
                    try:
                        text = file.read_bytes().decode()
                    except UnicodeDecodeError:
                        continue
                    new = move_imports(text)
                    moved |= {} if new == text else {path: new}
        own = {
            path: text
            for path, text in moved.items()
            if path not in owned and not (self.here / place_of(path)).is_file()
        }
        for path, text in (moved | sort_imports(own, self.here / PROJECT_FILE)).items():
            self.write(path, text.encode())
        return {
            path: move_imports(content.decode()).encode() if path.suffix == ".py" else content
            for path, content in owned.items()
        }

    def list_services(self) -> None:
        """Put the services into the list of compose files, which was none before."""
        text = read_text(self.here / compose.LIST)
        composition = replace(Composition.read(self.here), list_text=text)
        for service in Fleet.of(parse_fleet(read_fleet_text(self.here))).services:
            composition = composition.with_service(service.name.package)
        self.write(compose.LIST, composition.list_text.encode())

    def bring_owned(
        self, was: Mapping[PurePosixPath, bytes], now: Mapping[PurePosixPath, str]
    ) -> None:
        """Merge what both versions make of a workspace's own files into what is there."""
        was = self._follow_renames(was, now)
        merged: Files = {}
        for path in sorted(filter(self._is_owned, was.keys() | now)):
            base, new = was.get(path), now[path].encode() if path in now else None
            content = find_content(self.here, path)
            if new in (content, base):
                continue
            if base is not None and content is not None and new is not None:
                text = self._merge(path, base.decode(), content, new.decode())
                merged |= {} if text is None else {path: text}
            elif new is not None and base is content is None:
                self.write(path, new)
            elif content == base:
                (self.here / path).unlink()
            else:
                state = "deleted" if content is None else "as it is"
                self.notes.append(f"{path} stays {state}; the newer version has it otherwise.")
        for path, text in sort_imports(merged, self.here / PROJECT_FILE).items():
            self.write(path, text.encode())

    def _follow_renames(
        self, was: Mapping[PurePosixPath, bytes], now: Mapping[PurePosixPath, str]
    ) -> dict[PurePosixPath, bytes]:
        """Give files that the newer version has by another name that name; return what was there."""
        gone = {
            path: was[path].decode() for path in was.keys() - now.keys() if self._is_owned(path)
        }
        come = {
            path: now[path] for path in now.keys() - was.keys() if not (self.here / path).exists()
        }
        known = dict(was)
        for path, old in find_renamed(gone, come).items():
            known[path] = known.pop(old)
            if (self.here / old).is_file():
                self.write(path, (self.here / old).read_bytes())
                (self.here / old).unlink()
        return known

    def bring_distribution(self, was: str, owned: Mapping[PurePosixPath, bytes]) -> None:
        """Put the wheel that runs in place of the old one, and bring the locks to it."""
        new = vendor.collect()
        old = vendor.FOLDER / f"quart_fleet-{was}-py3-none-any.whl"
        if was == LOOSE:
            for path, content in new.items():
                self.write(path, content)
            return
        if not (self.root / old).is_file():
            self.notes.append("vendor/ has no wheel here: the locks are yours to renew: make lock")
            return
        for path, content in new.items():
            if path.parent == vendor.FOLDER:
                (self.here / old).unlink(missing_ok=True)
                self.write(path, content)
                continue
            current = find_content(self.here, path)
            if current is None:
                continue
            base, theirs = owned.get(path, b"").decode(), content.decode()
            merged = merge(base, decode(self.root / path, current), theirs)
            text = merged.text
            if merged.conflicts:
                locked = _LOCKED.search(theirs)
                text = _LOCKED.sub(locked[0] if locked else "", current.decode())
                self.notes.append(
                    f"{path} is locked anew here, which is yours to repeat: make lock"
                )
            self.write(path, text.encode())

    def bring_templates(self) -> None:
        """Merge what has changed in templates that the workspace has taken over."""
        for path, base in read_copied_templates(self.here).items():
            own, theirs = self.here / OWN / path, TEMPLATES / path
            if not theirs.is_file():
                self.notes.append(f"{OWN / path} is a template that is used no more.")
                continue
            new = read_text(theirs)
            if new != base and own.is_file():
                text = self._merge(OWN / path, base, own.read_bytes(), new)
                if text is not None:
                    self.write(OWN / path, text.encode())
            self.write(place_of_template(path), new.encode())

    def bring_generated(self) -> None:
        """Merge what is generated now into the services; raises ScaffoldError."""
        conflicts = [path for path in self._conflicts if path.is_relative_to(OWN)]
        if conflicts:
            raise ScaffoldError(
                f"Your templates differ from the newer ones in the same lines: {conflicts[0]}.\n"
                "Move it away, upgrade, and copy it anew: python -m scaffold templates copy"
            )
        workspace = Workspace.find(self.here)
        change = plan_change(workspace, read_fleet_text(self.here), ApplyOptions())
        transaction.apply(change.plan)
        self._conflicts |= change.plan.conflicts
        self.notes += change.warnings
        if change.absent:
            names = ", ".join(map(str, change.absent[:4]))
            more = f" and {len(change.absent) - 4} more" if change.absent[4:] else ""
            self.notes.append(f"Deleted by hand, and not written again: {names}{more}.")
        for folder in _IMPORTING:
            for file in sorted((self.here / folder).rglob("*.py")):
                text = file.read_bytes().decode("utf-8", "replace")
                self.notes += [
                    f"{file.relative_to(self.here)}:{line} imports {name}, which is no more: "
                    "docs/upgrading.md of the framework says what is instead."
                    for line, name in find_gone(text)
                ]

    def plan(self) -> Plan:
        """Return what makes the workspace equal to the copy."""
        for path, text in self._marked.items():
            self.write(path, text.encode())
        if self._conflicts:
            names = "".join(f"{path}\n" for path in sorted(self._conflicts))
            self.write(CONFLICTS, names.encode())
        files = {path: (self.here / path).read_bytes() for path in list_files(self.here)}
        changed = {
            path: content
            for path, content in files.items()
            if find_content(self.root, path) != content
        }
        return replace(
            Plan.decide(self.root, changed),
            deleted=tuple(sorted(self._copied - files.keys())),
            conflicts=self._conflicts,
        )

    def _is_owned(self, path: PurePosixPath) -> bool:
        """Whether a file of a new workspace is its owner's, and merged as a whole."""
        others = (FOLDER, vendor.FOLDER, self._versions, *map(PurePosixPath, (FILE, *vendor.LOCKS)))
        return not any(map(path.is_relative_to, others))

    def write(self, path: PurePosixPath, content: bytes) -> None:
        """Write a file of the copy."""
        (self.here / path).parent.mkdir(parents=True, exist_ok=True)
        (self.here / path).write_bytes(content)

    def _merge(self, path: PurePosixPath, base: str, content: bytes, new: str) -> str | None:
        """Merge a file; return its text if its imports are to be sorted, else write it."""
        decode(self.root / path, content)  # which refuses marks of another merge
        merge_texts = merge_python if path.suffix == ".py" else merge
        merged = merge_texts(base, content.decode(), new)
        if not merged.conflicts and path.suffix == ".py":
            return merged.text
        if merged.conflicts:
            # Written at the end: with marks, this would be no file that the engine can read.
            self._conflicts[path], self._marked[path] = merged.conflicts, merged.text
        else:
            self.write(path, merged.text.encode())
        return None


def list_files(folder: Path) -> set[PurePosixPath]:
    """Return the files below a folder."""
    return {PurePosixPath(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def read_files(folder: Path, paths: Iterable[PurePosixPath]) -> dict[PurePosixPath, bytes]:
    """Return the content of files below a folder, but for secrets."""
    return {path: (folder / path).read_bytes() for path in paths if not is_secret(path)}
