"""The workspace: where it is, and everything in it that a new service has to fit in with."""

import ast
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from io import StringIO
from pathlib import Path, PurePosixPath
from typing import Self

from dotenv import dotenv_values

from quart_fleet import unfinished
from quart_fleet.files import parse_python, read_text
from quart_fleet.revisions import History
from quart_fleet.workspace import Workspace as FrameworkWorkspace
from quart_fleet.workspace import find_table
from scaffold.compose import Composition
from scaffold.errors import MisuseError, ScaffoldError
from scaffold.names import PORTS, ServiceName, normalise

SERVICES = "services"
DOCUMENT = "openapi.json"
"""The committed copy of a service's OpenAPI document, in its folder."""
MODELS = "shared/models"

_SETTINGS_FILES = ("settings.py", ".env", ".env.example")
"""Where a service says its name and port; the first file that says it counts, so that every clone
finds the same: see `Service.as_run`. Services of 0.1.0 have no settings.py."""
_SETTING = re.compile(
    r"^[ \t]*(?:export[ \t]+)?(SERVICE_NAME|SERVICE_PORT|HOST)(?:[ \t]*:[ \t]*\w+)?"
    r"[ \t]*=[ \t]*[\"']?([^\"'\s#]+)",
    re.MULTILINE | re.IGNORECASE,
)
_HOST = "127.0.0.1"
"""Where a service listens by itself."""
_MODULES = ("__init__.py", "app.py", "bootstrap.py", "settings.py")
_LAYERS = ("domain", "application", "infrastructure")
"""What makes a folder below services/ a service: one of these modules, or Python in a layer."""
_IGNORED = re.compile(r"\..*|__pycache__|build|dist|.*\.(egg-info|py[cod])")
"""Names below a service that git ignores, and so leaves behind when a checkout removes the rest."""


@dataclass(frozen=True, slots=True)
class Setting:
    """The value of a setting, and the line of its file."""

    value: str
    line: int


def read_settings(path: Path) -> dict[str, Setting]:
    """Return what a file sets of name and address, by variable; nothing where it is missing.

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
    missing: tuple[str, ...]
    """Files that a service cannot do without and that are gone."""
    host: str = _HOST
    """Where it listens."""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the service in a folder, half-deleted or whole; raises UnreadableFileError."""
        names, ports = [], []
        found = {name: read_settings(folder / name) for name in _SETTINGS_FILES}
        for file, settings in found.items():
            if name := settings.get("SERVICE_NAME"):
                names.append(name.value)
            if port := settings.get("SERVICE_PORT"):
                ports.append((port.value, f"{SERVICES}/{folder.name}/{file}:{port.line}"))
        port_text, port_place = ports[0] if ports else ("", "")
        return cls(
            folder=folder,
            names=tuple(names),
            port=_read_port(port_text),
            port_place=port_place,
            entities=frozenset(path.stem for path in (folder / "domain/entities").glob("*.py")),
            missing=tuple(
                name
                for name in ("__init__.py", "app.py", "bootstrap.py")
                if not (folder / name).is_file()
            ),
        )

    def as_run(self) -> Self:
        """Return it as it runs on this machine, by its .env; raises UnreadableFileError.

        Its name, port and host are not read from the environment, where they would be those of all.
        """
        # A .env that is missing is made of its example.
        files = [self.folder / name for name in (".env", ".env.example")]
        file = next((each for each in files if each.is_file()), None)
        if file is None:
            return self
        own, lines = dotenv_values(stream=StringIO(read_text(file))), read_settings(file)
        found = replace(self, host=own.get("HOST") or self.host)
        if name := own.get("SERVICE_NAME"):
            found = replace(found, names=(name, *self.names))
        if port := own.get("SERVICE_PORT") or own.get("PORT"):
            line = f":{lines['SERVICE_PORT'].line}" if "SERVICE_PORT" in lines else ""
            place = f"{SERVICES}/{self.package}/{file.name}{line}"
            found = replace(found, port=_read_port(port), port_place=place)
        return found

    @property
    def package(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def called(self) -> str:
        """The best name that it has, for messages."""
        return self.names[0] if self.names else self.package

    def refuse_half(self) -> None:
        """Raise ScaffoldError where it cannot run, for want of a file or of a port."""
        if not self.missing and self.port is None and self.port_place:
            raise ScaffoldError(
                f"{self.called} cannot run: its port in {self.port_place} is no number from 1 to "
                f"{PORTS.stop - 1}."
            )
        if self.missing or self.port is None:
            what = ", ".join(self.missing) or "port in its settings.py"
            raise ScaffoldError(f"{self.called} cannot run: it has no {what}.")

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
        """Let one process at a time write here, on what no killed one has left half-written."""
        with unfinished.locked(self.root):
            try:
                unfinished.undo_all(self.root)
            except OSError as error:
                raise ScaffoldError(
                    f"What a killed scaffold left cannot be undone: {error.filename}: {error.strerror}.\n"
                    "Free the disk or its permissions, and run the command again."
                ) from error
            yield


def _read_port(text: str) -> int | None:
    """Return the port that a text is, None where it is none."""
    try:
        port = int(text)
    except ValueError:
        return None
    return port if 0 < port < PORTS.stop else None


def is_workspace(folder: Path) -> bool:
    """Whether the folder's project file has the scaffold's table; raises ConfigurationError."""
    return find_table(folder) is not None


def choose_services(workspace: Workspace, names: Collection[str]) -> list[Service]:
    """Return the services of these names or packages, all without any, as they run here.

    Raises ScaffoldError; MisuseError for a name of none.
    """
    services = [each.as_run() for each in workspace.services()]
    if not services:
        raise ScaffoldError("No service yet. Make one: python -m scaffold user-service 8081")
    by_name = {name: each for each in reversed(services) for name in each.names}
    by_name |= {each.called: each for each in services} | {each.package: each for each in services}
    for name in names:
        if name not in by_name:
            near = find_near(name, by_name)
            known = ", ".join(each.called for each in services)
            hint = f"Did you mean {by_name[near].called}?" if near else f"There are: {known}."
            raise MisuseError(f"There is no service {name!r}. {hint}")
    chosen = [by_name[name] for name in dict.fromkeys(names)] or services
    for each in chosen:
        each.refuse_half()
    return chosen


def find_near(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is meant, if one is near; that both end in `-service` says nothing."""

    def shorten(each: str) -> str:
        return each.replace("_", "-").removesuffix("-service")

    stems = {shorten(each): each for each in known}
    wholes = {f"{stem}-service": each for stem, each in stems.items()}
    near = get_close_matches(shorten(name), stems, n=1)
    # Where what is mistyped is the ending.
    whole = get_close_matches(name.replace("_", "-"), wholes, n=1, cutoff=0.85)
    return stems[near[0]] if near else wholes[whole[0]] if whole else None


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
        if owner is service:
            continue
        free = next_free_port(port, services)
        sentences.append(
            f"{service.port_place}: port {port} is also that of {owner.called!r} "
            f"({owner.port_place}): give one of them another, such as {free}."
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
