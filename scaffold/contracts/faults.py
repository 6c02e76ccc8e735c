"""Why imports of a workspace could go unread: each would let a rule pass without being held."""

import ast
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from quart_fleet.files import UnreadableFileError, parse_python
from scaffold.contracts.packages import Packages, find_sources
from scaffold.contracts.rules import LAYERS

_LOADED_BY_PATH = "db_manager/migrations"
"""May go without __init__.py: Alembic reads the revisions as files."""


def find_faults(packages: Packages) -> list[str]:
    """Return a sentence for each fault, with its place; those that follow from another are not."""
    faults = []
    for service in packages.workspace.services():
        place = packages.place(service.folder)
        gone = [
            layer
            for layer in LAYERS
            if not (service.folder / f"{layer}.py").is_file()
            and not any(find_sources(service.folder / layer))
        ]
        if not service.package.isidentifier():
            faults.append(f"{place} cannot be imported: rename the folder to a Python name.")
        elif gone:
            names = ", ".join(gone)
            faults.append(f"{place} has no {names}: restore what is gone, or remove the folder.")
    for folder in packages.owned.values():
        faults += _find_unread(folder, packages)
    for name, folder in {} if faults else packages.owned.items():
        spec = find_spec(name)
        found = (spec and spec.submodule_search_locations) or []
        if [Path(each).resolve() for each in found] != [folder.resolve()]:
            place = packages.place(folder)
            faults.append(f"{place} is hidden by another package {name}: rename it.")
    return faults or [
        f"{packages.place(source)}:{line}: {module} does not exist: restore it, or remove the import."
        for service in packages.workspace.services()
        for source, line, module in _find_dangling(service.folder)
    ]


def _find_unread(package: Path, packages: Packages) -> Iterator[str]:
    """Yield what neither Python nor the linter can read or reach in a package."""
    folders = {package}
    for source in find_sources(package):
        folders |= {folder for folder in source.parents if folder.is_relative_to(package)}
        try:
            tree = parse_python(source)
        except UnreadableFileError as error:
            yield error.message
            continue
        depth = len(source.relative_to(package.parent).parts) - 1
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level > depth:
                yield (
                    f"{packages.place(source)}:{node.lineno}: a relative import leaves "
                    f"{package.name}, which Python refuses: write the full name."
                )
    for folder in sorted(folders):
        place = packages.place(folder)
        if not (folder / "__init__.py").is_file() and not place.startswith(_LOADED_BY_PATH):
            yield f"{place} has no __init__.py, so its imports cannot be checked: add it."


def _find_dangling(package: Path) -> Iterator[tuple[Path, int, str]]:
    """Yield the imports of modules that the package itself lacks: file, line, module.

    The linter passes over them, and Python fails at them.
    """
    root = package.parent
    for source in find_sources(package):
        for node in ast.walk(parse_python(source)):
            match node:
                case ast.Import(names=names):
                    modules = [alias.name for alias in names]
                case ast.ImportFrom(module=module, level=level):
                    base = source.relative_to(root).parts[:-level] if level else ()
                    modules = [".".join([*base, *filter(None, [module])])]
                case _:
                    continue
            for module in modules:
                path = root.joinpath(*module.split("."))
                is_there = path.is_dir() or path.with_suffix(".py").is_file()
                if module.startswith(f"{package.name}.") and not is_there:
                    yield source, node.lineno, module
