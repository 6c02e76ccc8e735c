"""The workspace on disk: which services exist, what they are called and where they listen."""

import fcntl
import os
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from scaffold.errors import ScaffoldError
from scaffold.names import normalise

SERVICES = "services"
PROJECT_FILE = "pyproject.toml"

_HOLDERS = {
    "domain/entities": "",
    "application/use_cases": "_use_cases",
    "infrastructure/adapters": "_repository",
}
"""Where a resource's modules are, and how their names end."""


@dataclass(frozen=True, slots=True)
class Service:
    """A folder below services/, as its files tell it."""

    folder: Path
    names: tuple[str, ...]
    """As its settings say; its own .env may differ from the example that was generated."""
    port: int | None

    @property
    def package(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def called(self) -> str:
        """The best name that it has, for messages."""
        return self.names[0] if self.names else self.package

    @property
    def missing(self) -> list[str]:
        """Files that a service cannot do without and that are gone."""
        return [
            name
            for name in ("__init__.py", "app.py", "bootstrap.py")
            if not (self.folder / name).is_file()
        ]

    @property
    def keeps(self) -> list[str]:
        """Names of the resources that have an entity, use cases or an adapter."""
        found = {
            path.stem.removesuffix(suffix)
            for folder, suffix in _HOLDERS.items()
            for path in (self.folder / folder).glob(f"*{suffix}.py")
        }
        return sorted(found - {"__init__"})

    @property
    def is_bare(self) -> bool:
        """Whether it is made to keep nothing: its bootstrap.py asks for nothing of its own."""
        bootstrap = self.folder / "bootstrap.py"
        if self.keeps or not bootstrap.is_file():
            return False
        return f"from {self.package}." not in bootstrap.read_text("utf-8", errors="replace")

    def owns(self, resource: str) -> bool:
        """Whether this service keeps the resource."""
        return (self.folder / "domain" / "entities" / f"{resource}.py").is_file()


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folder that holds shared/, db_manager/ and services/."""

    root: Path

    @classmethod
    def find(cls, start: Path) -> Self:
        """Return the nearest workspace at or above `start`; raises ScaffoldError."""
        for folder in (start, *start.parents):
            if is_workspace(folder):
                return cls(folder)
        raise ScaffoldError(
            f"{start} is in no workspace: no {PROJECT_FILE} with [tool.scaffold] here or above.\n"
            "Go into one, or make one: python -m scaffold init DIR"
        )

    def services(self) -> list[Service]:
        """Return every service, half-deleted ones too, by folder."""
        parent = self.root / SERVICES
        if not parent.is_dir():
            return []
        folders = (path for path in parent.iterdir() if path.is_dir())
        return [_read_service(path) for path in sorted(folders) if _is_occupied(path)]

    def find_service(self, package: str) -> Service | None:
        """Return the service whose folder has the package's name in any spelling, or None."""
        for service in self.services():
            if normalise(service.package) == package:
                return service
        return None

    def find_owner(self, resource: str) -> Service | None:
        """Return the service that keeps the resource, or None."""
        return next((one for one in self.services() if one.owns(resource)), None)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let one process at a time write here; the lock is on the folder, so no file is left."""
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            _lock(descriptor)
            yield
        finally:
            os.close(descriptor)


def is_workspace(folder: Path) -> bool:
    """Whether the folder's project file has the scaffold's table."""
    try:
        project = tomllib.loads((folder / PROJECT_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return "scaffold" in project.get("tool", {})


def _lock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.stderr.write("Waiting for another scaffold that writes in this workspace\n")
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _is_occupied(folder: Path) -> bool:
    """Whether the folder holds more than caches: git leaves those when it removes a service."""
    if folder.name.startswith((".", "__")):
        return False
    return any(
        path.is_file() and "__pycache__" not in path.parts[len(folder.parts) :]
        for path in folder.rglob("*")
    )


def _read_service(folder: Path) -> Service:
    settings = [_read_settings(folder / name) for name in (".env", ".env.example")]
    names = [one["SERVICE_NAME"] for one in settings if one.get("SERVICE_NAME")]
    port = next((one["SERVICE_PORT"] for one in settings if "SERVICE_PORT" in one), "")
    return Service(
        folder,
        tuple(names),
        int(port) if port.isascii() and port.isdigit() and len(port) < 6 else None,
    )


def _read_settings(path: Path) -> dict[str, str]:
    """Read the lines that can be read; the service itself is strict about the others."""
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    pairs = (line.strip().removeprefix("export ").partition("=") for line in lines)
    return {
        name.strip(): value.partition(" #")[0].strip().strip("'\"")
        for name, equals, value in pairs
        if equals and not name.startswith("#")
    }
