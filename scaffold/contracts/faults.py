"""Why imports of a workspace could go unread: each would let a rule pass without being held."""

import ast
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from scaffold.contracts.dangling import find_dangling
from scaffold.contracts.packages import Packages, find_sources
from scaffold.contracts.rules import LAYERS
from scaffold.workspace import Service

_LOADED_BY_PATH = "db_manager/migrations"
"""May go without __init__.py: Alembic reads the revisions as files."""


def find_faults(packages: Packages) -> list[str]:
    """Return a sentence for each fault, with its place."""
    faults = [fault for one in packages.workspace.services() for fault in _service(one, packages)]
    for folder in packages.owned.values():
        faults += [*_unmarked(folder, packages), *_escapes(folder, packages)]
    return faults or [*_strangers(packages)] or [*_dangling(packages)]


def _service(service: Service, packages: Packages) -> Iterator[str]:
    place = packages.place(service.folder)
    gone = [layer for layer in LAYERS if not _holds(service.folder, layer)]
    if not service.package.isidentifier():
        yield f"{place} cannot be imported: rename the folder to a Python name."
    elif gone:
        yield f"{place} has no {', '.join(gone)}: restore what is gone, or remove the folder."


def _holds(folder: Path, layer: str) -> bool:
    return (folder / f"{layer}.py").is_file() or any(find_sources(folder / layer))


def _unmarked(package: Path, packages: Packages) -> Iterator[str]:
    """Yield folders on the way to Python files that no import can go through."""
    folders = {
        folder
        for source in find_sources(package)
        for folder in source.parents
        if folder.is_relative_to(package)
    }
    for folder in sorted({package, *folders}):
        place = packages.place(folder)
        if not (folder / "__init__.py").is_file() and not place.startswith(_LOADED_BY_PATH):
            yield f"{place} has no __init__.py, so its imports cannot be checked: add it."


def _escapes(package: Path, packages: Packages) -> Iterator[str]:
    """Yield relative imports that leave the package: grimp breaks at them, as Python does."""
    for source in find_sources(package):
        depth = len(source.relative_to(package.parent).parts) - 1
        for line in _relative_lines(source, depth):
            yield (
                f"{packages.place(source)}:{line}: a relative import leaves {package.name}, "
                "which Python refuses: write the full name."
            )


def _relative_lines(source: Path, depth: int) -> list[int]:
    """Return the lines of relative imports with more dots than `depth`."""
    content = source.read_bytes()
    if b"from ." not in content:
        return []
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # the linter itself reports it
        return []
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    return sorted(node.lineno for node in imports if node.level > depth)


def _strangers(packages: Packages) -> Iterator[str]:
    """Yield packages that Python would take from another place than the workspace."""
    for name, folder in packages.owned.items():
        spec = find_spec(name)
        places = (spec and spec.submodule_search_locations) or []
        if [Path(place).resolve() for place in places] != [folder.resolve()]:
            yield f"{packages.place(folder)} is hidden by another package {name}: rename it."


def _dangling(packages: Packages) -> Iterator[str]:
    """Yield imports of a service's own modules that are gone."""
    for service in packages.workspace.services():
        for source, line, module in find_dangling(service.folder):
            place = f"{packages.place(source)}:{line}"
            yield f"{place}: {module} does not exist: restore it, or remove the import."
