"""A request for a service, checked against the workspace: a draft of it, or a refusal."""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import PathFinder
from itertools import chain
from pathlib import Path, PurePosixPath

from scaffold import compose
from scaffold.errors import ScaffoldError
from scaffold.fields import Resource
from scaffold.names import ServiceName
from scaffold.workspace import (
    MODELS,
    SERVICES,
    Inventory,
    Service,
    holds_files,
    is_workspace,
    next_free_port,
)

_IN_EVERY_SERVICE = frozenset(
    {"app", "bootstrap", "settings", "domain", "application", "infrastructure"}
)
"""Importable in a service's own folder, where `python app.py` runs."""
_OF_PYTHON = sys.stdlib_module_names | {"test"} | set(sys.builtin_module_names)
_OF_THE_WORKSPACE = frozenset({"scaffold", "shared", "db_manager", "services", "tests"})
_ROLES = re.compile("fleet|postgres(_.*)?|public|none|(pg|cnpg)_.*|streaming_replica")
"""Roles that no service can log in as: the owner, the superuser, PostgreSQL's and its operator's own."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A service that was asked for and that the workspace can take."""

    inventory: Inventory
    name: ServiceName
    port: int
    resource: Resource | None
    """What it keeps; None for a bare service."""

    @property
    def folder(self) -> PurePosixPath:
        """Where the service goes, below the workspace's root."""
        return PurePosixPath(SERVICES, self.name.package)

    @property
    def existing(self) -> Service | None:
        """The service that is there already."""
        return self.inventory.find_service(self.name.package)


def draft_service(
    inventory: Inventory, name: ServiceName, port: int, resource: Resource | None
) -> Draft:
    """Return the draft of a service; raises ScaffoldError where the workspace cannot take it."""
    draft = Draft(inventory, name, port, resource)
    for conflict in chain(_find_conflicts(draft), _find_resource_conflicts(draft)):
        raise ScaffoldError(conflict)
    return draft


def describe_import(package: str, root: Path) -> str | None:
    """Return what `import package` finds besides the workspace's services, None for nothing."""
    if package in _OF_PYTHON:
        return "a module of Python"
    if package in _OF_THE_WORKSPACE or (root / f"{package}.py").exists():
        return "a part of the workspace"
    if (root / package).is_dir():
        return f"the folder {package}/ of the workspace"
    if package in _IN_EVERY_SERVICE:
        return "a part of every service"
    # Entries for the current folder, a workspace or its services say nothing of what is installed.
    folders = {entry: Path(entry).resolve() for entry in sys.path}
    path = [
        entry
        for entry, folder in folders.items()
        if folder != Path.cwd()
        and not is_workspace(folder.parent if folder.name == SERVICES else folder)
    ]
    others = (finder for finder in sys.meta_path if finder is not PathFinder)
    if PathFinder.find_spec(package, path) or any(one.find_spec(package, None) for one in others):
        return "an installed package"
    return None


def _find_conflicts(draft: Draft) -> Iterator[str]:
    """Yield what speaks against the service: its kind, its name and its port."""
    name, service, composition = draft.name, draft.existing, draft.inventory.composition
    advice = f"Choose another name, such as {name.image}-service."
    if service and service.is_bare and draft.resource:
        yield (
            f"{SERVICES}/{service.package} keeps nothing, and what is in it would not fit a "
            "service that does.\nAdd --bare, or remove the folder first."
        )
    if service and service.resources and not draft.resource:
        yield (
            f"{SERVICES}/{service.package} keeps {', '.join(service.resources)}, of which --bare "
            "would leave pieces.\nLeave out --bare, or remove the folder first."
        )
    if meaning := describe_import(name.package, draft.inventory.root):
        yield (
            f"{name.typed!r} cannot name a service: 'import {name.package}' means {meaning}. "
            f"{advice}"
        )
    if service and not service.is_called(name):
        yield (
            f"{name.typed!r} would be the package {name.package}, which the service "
            f"{service.called!r} has ({SERVICES}/{service.package}). Choose another name."
        )
    if name.image in composition.containers and not composition.uses(name.package):
        yield (
            f"{name.typed!r} cannot name a service: {compose.FILE} has a {name.image!r} of another "
            f"kind. {advice}"
        )
    if _ROLES.fullmatch(name.package):
        yield (
            f"{name.typed!r} cannot name a service, which logs in to the database by its name: "
            f"{name.package!r} is another role there. Choose another name."
        )
    if not service and holds_files(draft.inventory.root / draft.folder):
        yield f"{draft.folder} is no service, and holds other files. {advice}"
    for other in draft.inventory.services:
        if other.port == draft.port and other.package != name.package:
            yield (
                f"Port {draft.port} belongs to the service {other.called!r} "
                f"({SERVICES}/{other.package}). Choose another port, such as "
                f"{next_free_port(draft.port, draft.inventory.services)}."
            )


def _find_resource_conflicts(draft: Draft) -> Iterator[str]:
    """Yield what speaks against the resource: its name, its table, and a model that is gone."""
    resource, inventory, typed = draft.resource, draft.inventory, repr(draft.name.typed)
    if resource is None:
        return
    model = f"{MODELS}/{resource.name}.py"
    advice = "Choose another name, or add --bare for a service that keeps nothing."
    owner = inventory.find_owner(resource.name)
    if owner and owner.package != draft.name.package:
        yield (
            f"{typed} would keep {resource.plural_label_lower}, which the service "
            f"{owner.called!r} already does ({model}). {advice}"
        )
    if resource.name in ("base", "__init__"):
        yield f"{typed} cannot name a service: {model} is the base of every model. {advice}"
    module = inventory.models.get(resource.table, resource.name)
    if module != resource.name:
        yield (
            f"The table {resource.table!r} of {typed} exists already in {MODELS}/{module}.py. "
            f"{advice}"
        )
    if resource.is_shipped and resource.fields != Resource.of(draft.name).fields:
        yield (
            f"{typed} is built on {model}, which came with the workspace: other fields for it are "
            "not generated yet.\nLeave out the fields."
        )
    if resource.is_shipped and not (inventory.root / model).is_file():
        yield (
            f"{typed} is built on {model}, which came with the workspace and is not there.\n"
            "Restore it from version control, or copy it from a new one: python -m scaffold init DIR"
        )
