"""What a workspace cannot take: conflicts of new services and resources with what is there."""

import re
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

from scaffold import compose
from scaffold.engine.baseline import DESCRIBED, RESTORE
from scaffold.errors import ScaffoldError
from scaffold.generation.fields import Resource
from scaffold.generation.fleet import Fleet, PlannedService
from scaffold.generation.shipped import MODEL
from scaffold.workspace import (
    MODELS,
    SERVICES,
    Inventory,
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


def refuse_conflicts(inventory: Inventory, before: Fleet, after: Fleet) -> None:
    """Raise ScaffoldError where the workspace cannot take what `after` has and `before` has not."""
    leaving = {service.name.package for service in before.without(after)}
    for service in after.services:
        known = before.find_service(service.name.package)
        if known is None:
            for conflict in _find_conflicts(inventory, service):
                raise ScaffoldError(conflict)
        if known is None or known.port != service.port:
            for other in inventory.services:
                is_other = other.package not in (service.name.package, *leaving)
                if other.port == service.port and is_other:
                    raise ScaffoldError(
                        f"Port {service.port} belongs to the service {other.called!r} "
                        f"({SERVICES}/{other.package}). Choose another port, such as "
                        f"{next_free_port(service.port, inventory.services)}."
                    )
        for resource in service.resources:
            if before.find_resource(service.name.package, resource.singular) is None:
                for conflict in _find_resource_conflicts(inventory, service, resource):
                    raise ScaffoldError(conflict)


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


def _find_conflicts(inventory: Inventory, service: PlannedService) -> Iterator[str]:
    """Yield what speaks against the name of a new service."""
    name, composition = service.name, inventory.composition
    existing = inventory.find_service(name.package)
    advice = f"Choose another name, such as {name.image}-service."
    if meaning := describe_import(name.package, inventory.root):
        yield (
            f"{name.typed!r} cannot name a service: 'import {name.package}' means {meaning}. "
            f"{advice}"
        )
    if existing and not existing.is_called(name):
        yield (
            f"{name.typed!r} would be the package {name.package}, which the service "
            f"{existing.called!r} has ({SERVICES}/{existing.package}). Choose another name."
        )
    if existing:
        yield (
            f"{service.folder} exists already, and {DESCRIBED} does not say what was generated of "
            f"it; nothing was written.\nWhere that was lost: {RESTORE}.\n"
            "Else move the folder away, or choose another name."
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
    if holds_files(inventory.root / service.folder):
        yield f"{service.folder} is no service, and holds other files. {advice}"


def _find_resource_conflicts(
    inventory: Inventory, service: PlannedService, resource: Resource
) -> Iterator[str]:
    """Yield what speaks against a new resource: its name, its table, and a model that is gone."""
    named = f"{service.name.typed}'s {resource.label_lower}"
    owner = inventory.find_owner(resource.name)
    if owner and owner.package != service.name.package:
        yield (
            f"{service.name.typed!r} would keep {resource.plural_label_lower}, which the service "
            f"{owner.called!r} already does ({resource.model}). Choose another name, or add --bare "
            "for a service that keeps nothing."
        )
    if resource.name in ("base", "__init__"):
        yield (
            f"{service.name.typed!r} cannot keep {resource.plural_label_lower}: {resource.model} is "
            "the base of every model. Choose another name."
        )
    module = inventory.models.get(resource.table, resource.name)
    if module != resource.name:
        yield (
            f"The table {resource.table!r} of {named} exists already in {MODELS}/{module}.py. "
            "Choose another name, or add --bare for a service that keeps nothing."
        )
    if resource.model == MODEL and not (inventory.root / resource.model).is_file():
        yield (
            f"{service.name.typed!r} is built on {resource.model}, which came with the workspace "
            "and is not there.\n"
            "Restore it from version control, or copy it from a new one: python -m scaffold init DIR"
        )
