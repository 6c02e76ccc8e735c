"""The committed copies of what services answer: made of their code, never merged with anything.

    services/<package>/openapi.json            the copy
    .scaffold/generated/documents/<package>    a digest of what it was made of, and of itself

A service's application tells it, run in a folder that holds the workspace as a plan leaves it; so
the copy is a part of the plan, written with the code or not at all.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath

from quart_fleet.files import parse_toml
from quart_fleet.workspace import PROJECT_FILE
from scaffold.applications import Asker
from scaffold.distribution.framework import get_framework
from scaffold.engine.baseline import GENERATED
from scaffold.engine.plan import Plan
from scaffold.guard import temporary_folder
from scaffold.workspace import DOCUMENT, MODELS, SERVICES, Service

_SHARED = PurePosixPath("shared")
_PASSED = frozenset({"tests", "__pycache__", "node_modules"})
"""Folders that no application is made of."""


def place_of_copy(package: str) -> PurePosixPath:
    """Return where the document of a service is kept."""
    return PurePosixPath(SERVICES, package, DOCUMENT)


def place_of_digest(package: str) -> PurePosixPath:
    """Return where it is kept what the document of a service was made of."""
    return GENERATED / "documents" / package


class Documents:
    """What services answer, as a plan leaves their code; each file is read once."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._writes = plan.writes
        self._written = defaultdict[PurePosixPath, list[PurePosixPath]](list)
        """What is written below each service, and each folder of the root."""
        for path in self._writes:
            depth = 2 if path.parts[0] == SERVICES else 1
            self._written[PurePosixPath(*path.parts[:depth])].append(path)
        self._deleted = frozenset(plan.deleted)
        self._shared = self._below(_SHARED)
        version = parse_toml(plan.root / PROJECT_FILE).get("project", {}).get("version")
        self._common = hashlib.sha256(repr((get_framework().version, version)).encode())
        for path in self._shared:
            if path.suffix == ".py" and PurePosixPath(MODELS) not in path.parents:
                self._add(path, self._common)
        self._made_of: dict[str, hashlib._Hash] = {}
        """What tells the sources of each service from any other."""

    def find_outdated(self, packages: Iterable[str]) -> list[str]:
        """Return the services whose copy is not what was made of their code."""
        outdated = []
        for package in packages:
            copy, record = map(
                self._plan.root.joinpath, (place_of_copy(package), place_of_digest(package))
            )
            content = copy.read_bytes() if copy.is_file() else b""
            known = record.read_bytes() if record.is_file() else b""
            if known != self._digest(package, content):
                outdated.append(package)
        return outdated

    def write(self, packages: Iterable[str], asker: Asker) -> tuple[Plan, list[str]]:
        """Return the plan that also writes the copies of some services, and why those of others stay.

        Nothing is asked of a service without an app.py, or of a file that its owner has to decide about.
        """
        plan, asked, files = self._plan, [], list[PurePosixPath]()
        for package in packages:
            own = [*self._shared, *self._below(PurePosixPath(SERVICES, package))]
            is_decided = plan.conflicts.keys().isdisjoint(own)
            if is_decided and PurePosixPath(SERVICES, package, "app.py") in own:
                asked.append(package)
                files += own
        if not asked:
            return plan, []
        with _left_by(plan, files) as folder:
            answers = asker.ask([Service.read(folder / SERVICES / one) for one in asked])
        documents: dict[PurePosixPath, bytes] = {}
        untold = []
        for package, answer in zip(asked, answers, strict=True):
            if isinstance(answer, str):
                documents[place_of_copy(package)] = content = answer.encode()
                documents[place_of_digest(package)] = self._digest(package, content)
            else:
                untold.append(
                    f"{answer}\n{place_of_copy(package)} stays as it is until then, and: "
                    "python -m scaffold apply"
                )
        more = Plan.decide(plan.root, documents)
        created, changed = plan.created | more.created, plan.changed | more.changed
        return replace(plan, created=created, changed=changed), untold

    def _digest(self, package: str, copy: bytes) -> bytes:
        """Return what tells the sources of a service's document, and the document, from any other."""
        if package not in self._made_of:
            self._made_of[package] = made_of = self._common.copy()
            for path in self._below(PurePosixPath(SERVICES, package)):
                if path.suffix == ".py" or path.name == PROJECT_FILE:
                    self._add(path, made_of)
        digest = self._made_of[package].copy()
        digest.update(copy)
        return f"{digest.hexdigest()}\n".encode()

    def _below(self, folder: PurePosixPath) -> list[PurePosixPath]:
        """Return the files of a folder that applications are made of, sorted."""
        found = set(self._written[folder])
        for place, folders, names in os.walk(self._plan.root / folder):
            folders[:] = [name for name in folders if name not in _PASSED]
            below = PurePosixPath(os.path.relpath(place, self._plan.root))
            found.update(below / name for name in names)
        return sorted(path for path in found - self._deleted if _PASSED.isdisjoint(path.parts))

    def _add(self, path: PurePosixPath, digest: "hashlib._Hash") -> None:
        content = self._writes.get(path)
        if content is None:
            try:
                content = (self._plan.root / path).read_bytes()
            except OSError:  # a link that leads nowhere, as an editor's lock
                return
        digest.update(f"{path}\n{len(content)}\n".encode())
        digest.update(content)


@contextmanager
def _left_by(plan: Plan, paths: Iterable[PurePosixPath]) -> Iterator[Path]:
    """Make a folder that is the workspace as the plan leaves it: some files, and what is beside them."""
    writes = plan.writes
    with temporary_folder() as folder:
        for entry in os.scandir(plan.root):
            if entry.name not in (SERVICES, str(_SHARED)) and not entry.name.startswith("."):
                (folder / entry.name).symlink_to(entry.path)
        top = [path for path in writes if len(path.parts) == 1]
        for path in {*top, *paths}:
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if path in writes:
                target.unlink(missing_ok=True)
                target.write_bytes(writes[path])
            else:
                target.symlink_to(plan.root / path)
        yield folder
