"""What a workspace cannot take: names and ports that something else already has."""

import ast
import sys
from importlib.machinery import PathFinder
from pathlib import Path

from scaffold import compose
from scaffold.compose import ComposeFile
from scaffold.errors import ScaffoldError
from scaffold.names import PORTS, ResourceName, ServiceName
from scaffold.workspace import SERVICES, Service, Workspace, is_workspace

MODELS = "shared/models"

_INSIDE_A_SERVICE = frozenset({"app", "bootstrap", "domain", "application", "infrastructure"})
"""Importable in a service's own folder, where `python app.py` runs."""
_UNLISTED = {"test"} | set(sys.builtin_module_names)
"""Python's own too, though not among its standard library's names."""
_OF_THE_WORKSPACE = frozenset({"scaffold", "shared", "db_manager", "services", "tests"})


def refuse_taken_import(workspace: Workspace, name: ServiceName) -> None:
    """Raise ScaffoldError if importing the package would find something else."""
    taken = _find_importable(workspace, name.package)
    if taken:
        raise ScaffoldError(
            f"{name.typed!r} cannot name a service: 'import {name.package}' means {taken}. "
            f"Choose another name, such as {name.image}-service."
        )


def refuse_other_spelling(workspace: Workspace, name: ServiceName) -> None:
    """Raise ScaffoldError if a service of another name has the package."""
    other = workspace.find_service(name.package)
    if other is None:
        return
    if other.package != name.package or name.typed not in (other.names or [name.typed]):
        raise ScaffoldError(
            f"{name.typed!r} would be the package {name.package}, which the service "
            f"{other.called!r} has ({SERVICES}/{other.package}). Choose another name."
        )


def refuse_bare_service(workspace: Workspace, name: ServiceName) -> None:
    """Raise ScaffoldError if the service is there and was made to keep nothing."""
    service = workspace.find_service(name.package)
    if service is not None and service.is_bare:
        raise ScaffoldError(
            f"{SERVICES}/{service.package} keeps nothing, and what is in it would not fit a "
            "service that does.\nAdd --bare, or remove the folder first."
        )


def refuse_keeping_service(workspace: Workspace, name: ServiceName) -> None:
    """Raise ScaffoldError if the service is there and keeps something."""
    service = workspace.find_service(name.package)
    if service is not None and service.keeps:
        raise ScaffoldError(
            f"{SERVICES}/{service.package} keeps {', '.join(service.keeps)}, of which --bare would "
            "leave pieces.\nLeave out --bare, or remove the folder first."
        )


def refuse_taken_container(workspace: Workspace, name: ServiceName) -> None:
    """Raise ScaffoldError if compose.yaml calls something else by the name."""
    composition = ComposeFile.read(workspace.root)
    if composition.has(name.image) and not composition.extends(name.package):
        raise ScaffoldError(
            f"{name.typed!r} cannot name a service: {compose.FILE} has a {name.image!r} of another "
            f"kind. Choose another name, such as {name.image}-service."
        )


def refuse_taken_port(workspace: Workspace, name: ServiceName, port: int) -> None:
    """Raise ScaffoldError if another service listens on the port."""
    services = workspace.services()
    for other in services:
        if other.port == port and other.package != name.package:
            free = _next_free(port, services)
            raise ScaffoldError(
                f"Port {port} belongs to the service {other.called!r} "
                f"({SERVICES}/{other.package}). Choose another port, such as {free}."
            )


def refuse_taken_resource(
    workspace: Workspace, name: ServiceName, resource: ResourceName, table: str
) -> None:
    """Raise ScaffoldError if the model's module or table has another owner."""
    owner = workspace.find_owner(resource.name)
    if owner is not None and owner.package != name.package:
        raise ScaffoldError(
            f"{name.typed!r} would keep {resource.plural_label_lower}, which the service "
            f"{owner.called!r} already does ({MODELS}/{resource.name}.py). "
            "Choose another name, or add --bare for a service that keeps nothing."
        )
    if resource.name in ("base", "__init__"):
        raise ScaffoldError(
            f"{name.typed!r} cannot name a service: {MODELS}/{resource.name}.py is the base of "
            "every model. Choose another name, or add --bare for a service that keeps nothing."
        )
    model = _find_model(workspace.root / MODELS, table)
    if model is not None and model.stem != resource.name:
        raise ScaffoldError(
            f"The table {table!r} of {name.typed!r} exists already in {MODELS}/{model.name}. "
            "Choose another name, or add --bare for a service that keeps nothing."
        )


def refuse_missing_model(workspace: Workspace, name: ServiceName, resource: ResourceName) -> None:
    """Raise ScaffoldError if the model, which is not generated, is gone."""
    model = f"{MODELS}/{resource.name}.py"
    if not (workspace.root / model).is_file():
        raise ScaffoldError(
            f"{name.typed!r} is built on {model}, which came with the workspace and is not there.\n"
            "Restore it from version control, or copy it from a new one: python -m scaffold init DIR"
        )


def _next_free(port: int, services: list[Service]) -> int:
    taken = {service.port for service in services}
    candidates: tuple[int, ...] = (*range(port, PORTS.stop), *range(PORTS.start, port))
    return next(one for one in candidates if one not in taken)


def _find_importable(workspace: Workspace, package: str) -> str | None:
    """Return a description of what the import finds, the service's own folder left out."""
    if package in sys.stdlib_module_names or package in _UNLISTED:
        return "a module of Python"
    if package in _OF_THE_WORKSPACE or (workspace.root / f"{package}.py").exists():
        return "a part of the workspace"
    if (workspace.root / package).is_dir():
        return f"the folder {package}/ of the workspace"
    if package in _INSIDE_A_SERVICE:
        return "a part of every service"
    return "an installed package" if _is_installed(package) else None


def _is_installed(package: str) -> bool:
    path = [entry for entry in sys.path if not _belongs_to_a_workspace(Path(entry))]
    if PathFinder.find_spec(package, path) is not None:
        return True
    others = (finder for finder in sys.meta_path if finder is not PathFinder)
    return any(finder.find_spec(package, None) is not None for finder in others)


def _belongs_to_a_workspace(entry: Path) -> bool:
    """Whether sys.path names a workspace, its services or merely the current folder."""
    folder = entry.resolve()
    current = folder == Path.cwd()
    return (
        current or is_workspace(folder) or (folder.name == SERVICES and is_workspace(folder.parent))
    )


def _find_model(models: Path, table: str) -> Path | None:
    """Return the module that gives a model this table, or None."""
    for path in sorted(models.glob("*.py")):
        if table in _tables(path):
            return path
    return None


def _tables(path: Path) -> set[str]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return set()
    return {
        str(node.value.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Constant)
        and any(isinstance(one, ast.Name) and one.id == "__tablename__" for one in node.targets)
    }
