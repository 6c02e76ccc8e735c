"""The workspace: where it is, and everything in it that a new service has to fit in with."""

import ast
import fcntl
import os
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Self

from quart_fleet.files import parse_python, read_text
from quart_fleet.revisions import History
from quart_fleet.workspace import Workspace as FrameworkWorkspace
from quart_fleet.workspace import find_table
from scaffold.compose import Composition
from scaffold.names import PORTS, ServiceName, normalise

SERVICES = "services"
MODELS = "shared/models"

_SETTINGS_FILES = ("settings.py", ".env", ".env.example")
"""Where a service says its name and port; the first file that says it counts. Services of 0.1.0
have no settings.py."""
_SETTING = re.compile(
    r"^[ \t]*(?:export[ \t]+)?(SERVICE_NAME|SERVICE_PORT)(?:[ \t]*:[ \t]*\w+)?"
    r"[ \t]*=[ \t]*[\"']?([^\"'\s#]+)",
    re.MULTILINE | re.IGNORECASE,
)
_MODULES = ("__init__.py", "app.py", "bootstrap.py", "settings.py")
_LAYERS = ("domain", "application", "infrastructure")
"""What makes a folder below services/ a service: one of these modules, or Python in a layer."""
_RESOURCE_MODULES = {
    "domain/entities": "",
    "application/use_cases": "_use_cases",
    "infrastructure/adapters": "_repository",
}
"""Folders of a resource's modules, and how the names of these end."""
_IGNORED = re.compile(r"\..*|__pycache__|build|dist|.*\.(egg-info|py[cod])")
"""Names below a service that git ignores, and so leaves behind when a checkout removes the rest."""


@dataclass(frozen=True, slots=True)
class Setting:
    """The value of a setting, and the line of its file."""

    value: str
    line: int


def read_settings(path: Path) -> dict[str, Setting]:
    """Return the name and the port that a file sets, by variable; nothing where it is missing.

    Raises UnreadableFileError.
    """
    text = read_text(path) if path.is_file() else ""
    # Within one file the last line counts, as for Python and for every reader of .env.
    return {
        found[1].upper(): Setting(found[2], text.count("\n", 0, found.start(1)) + 1)
        for found in _SETTING.finditer(text)
    }


@dataclass(frozen=True, slots=True)
class Service:
    """A folder below services/, as its files describe it."""

    folder: Path
    names: tuple[str, ...]
    """Of its settings; that of its own .env may differ from the default."""
    port: int | None
    port_place: str
    """File and line of the port, from the workspace's root; empty without a port."""
    entities: frozenset[str]
    resources: tuple[str, ...]
    """Names of what has an entity, use cases or an adapter, sorted."""
    missing: tuple[str, ...]
    """Files that a service cannot do without and that are gone."""
    is_bare: bool
    """Made to keep nothing: bootstrap.py imports nothing of the service's own but its settings."""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the service in a folder, half-deleted or whole; raises UnreadableFileError."""
        names, ports = [], []
        for path in (folder / name for name in _SETTINGS_FILES):
            settings = read_settings(path)
            if name := settings.get("SERVICE_NAME"):
                names.append(name.value)
            if port := settings.get("SERVICE_PORT"):
                ports.append((port.value, f"{SERVICES}/{folder.name}/{path.name}:{port.line}"))
        port_text, port_place = ports[0] if ports else ("", "")
        is_port = port_text.isascii() and port_text.isdigit() and len(port_text) < 6
        resources = {
            path.stem.removesuffix(suffix)
            for below, suffix in _RESOURCE_MODULES.items()
            for path in (folder / below).glob(f"*{suffix}.py")
        } - {"__init__"}
        bootstrap = folder / "bootstrap.py"
        return cls(
            folder=folder,
            names=tuple(names),
            port=int(port_text) if is_port else None,
            port_place=port_place,
            entities=frozenset(path.stem for path in (folder / "domain/entities").glob("*.py")),
            resources=tuple(sorted(resources)),
            missing=tuple(
                name
                for name in ("__init__.py", "app.py", "bootstrap.py")
                if not (folder / name).is_file()
            ),
            is_bare=not resources
            and bootstrap.is_file()
            and not re.search(
                rf"^from {re.escape(folder.name)}\.(?!settings\b)",
                read_text(bootstrap),
                re.MULTILINE,
            ),
        )

    @property
    def package(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def called(self) -> str:
        """The best name that it has, for messages."""
        return self.names[0] if self.names else self.package

    def is_called(self, name: ServiceName) -> bool:
        """Whether it was generated by this name, and not by another spelling of it."""
        return self.package == name.package and name.typed in (self.names or [name.typed])


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a workspace holds, read once."""

    root: Path
    services: tuple[Service, ...]
    models: Mapping[str, str]
    """The module of shared/models that defines a table, by the table's name."""
    composition: Composition
    versions: PurePosixPath
    """The folder of the revisions, below the root."""
    history: History

    def find_service(self, package: str) -> Service | None:
        """Return the service whose folder has the package's name in any spelling, or None."""
        return next((one for one in self.services if normalise(one.package) == package), None)

    def find_owner(self, resource: str) -> Service | None:
        """Return the service that keeps the resource, or None."""
        return next((one for one in self.services if resource in one.entities), None)


@dataclass(frozen=True, slots=True)
class Workspace(FrameworkWorkspace):
    """The folder that holds shared/, db_manager/ and services/."""

    def services(self) -> list[Service]:
        """Read every service, half-deleted ones too, by folder; raises UnreadableFileError."""
        parent = self.root / SERVICES
        folders = sorted(parent.iterdir()) if parent.is_dir() else []
        return [Service.read(path) for path in folders if _is_service(path)]

    def read(self) -> Inventory:
        """Read all that a new service has to fit in with; raises UnreadableFileError."""
        # Of two modules with one table the first by name counts.
        modules = sorted((self.root / MODELS).glob("*.py"), reverse=True)
        models = {
            str(node.value.value): module.stem
            for module in modules
            for node in ast.walk(parse_python(module))
            if isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Constant)
            and any(isinstance(one, ast.Name) and one.id == "__tablename__" for one in node.targets)
        }
        return Inventory(
            root=self.root,
            services=tuple(self.services()),
            models=models,
            composition=Composition.read(self.root),
            versions=PurePosixPath(self.migrations, "versions"),
            history=History.read(self.versions),
        )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let one process at a time write here; the lock is on the folder, so no file is left."""
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                sys.stderr.write("Waiting for another scaffold that writes in this workspace\n")
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def is_workspace(folder: Path) -> bool:
    """Whether the folder's project file has the scaffold's table; raises ConfigurationError."""
    return find_table(folder) is not None


def next_free_port(port: int, services: Collection[Service]) -> int:
    """Return the nearest port from `port` upwards that no service has."""
    used = {service.port for service in services}
    candidates: tuple[int, ...] = (*range(port, PORTS.stop), *range(PORTS.start, port))
    return next(one for one in candidates if one not in used)


def find_shared_ports(services: Collection[Service]) -> list[str]:
    """Return a sentence for each service that has the port of one before it, with its place."""
    owners: dict[int, Service] = {}
    sentences = []
    for service in services:
        port = service.port
        if port is None:
            continue
        owner = owners.setdefault(port, service)
        if owner is not service:
            sentences.append(
                f"{service.port_place}: port {port} is also that of {owner.called!r} "
                f"({owner.port_place}): give one of them another, such as "
                f"{next_free_port(port, services)}."
            )
    return sentences


def holds_files(folder: Path) -> bool:
    """Whether a folder holds more than what git leaves behind when it removes a service."""
    return any(
        path.is_file()
        and not any(_IGNORED.fullmatch(part) for part in path.relative_to(folder).parts)
        for path in folder.rglob("*")
    )


def _is_service(folder: Path) -> bool:
    """Whether a folder holds a service, half-deleted or whole, and not a frontend or documents."""
    if not folder.is_dir() or folder.name.startswith((".", "__")):
        return False
    return any((folder / name).is_file() for name in _MODULES) or any(
        any((folder / layer).rglob("*.py")) for layer in _LAYERS
    )
