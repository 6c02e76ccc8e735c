"""Distributions that a service imports and its requirements.txt does not name.

What quart-fleet itself depends on is installed with it, so that needs no line of its own.
"""

import ast
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from quart_fleet.files import parse_python, read_text
from scaffold.contracts.packages import SHARED, Packages, find_sources
from scaffold.contracts.verdict import BrokenImport
from scaffold.distribution.framework import get_framework

FILE = "requirements.txt"
_TESTS = "tests"


def find_undeclared(packages: Packages) -> Iterator[BrokenImport]:
    """Yield the imports of each service, and of shared/, that its requirements.txt lacks."""
    framework = get_framework()
    provided = {
        canonicalize_name(framework.name),
        *_dependencies(framework.project["dependencies"]),
    }
    distributions = packages_distributions()
    for service in packages.workspace.services():
        requirements = service.folder / FILE
        lines = read_text(requirements).splitlines() if requirements.is_file() else []
        written = (re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line.strip()) for line in lines)
        declared = provided | {canonicalize_name(found[0]) for found in written if found}
        imports = (
            (source.relative_to(folder.parent), source, line, module)
            for folder in (service.folder, packages.folders[SHARED])
            for source in find_sources(folder)
            if _TESTS not in source.relative_to(folder).parts[:-1]
            for line, module in _find_imports(source)
        )
        for path, source, line, module in imports:
            top = module.partition(".")[0]
            names = {canonicalize_name(each) for each in distributions.get(top, [top])}
            if top not in packages.folders and names.isdisjoint(declared):
                lacking = f"{packages.place(requirements)} does not name {min(names)}"
                importer = ".".join(path.with_suffix("").parts)
                yield BrokenImport(packages.place(source), line, importer, module, lacking)


def _dependencies(lines: list[str]) -> set[str]:
    """Return the names of all that these requirements install here, directly or not."""
    found: set[str] = set()
    pending = [(Requirement(line), "") for line in lines]
    seen = set()
    while pending:
        requirement, extra = pending.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        found.add(name)
        for wanted in ("", *requirement.extras):
            if (name, wanted) not in seen:
                seen.add((name, wanted))
                with suppress(PackageNotFoundError):
                    pending += [(Requirement(line), wanted) for line in requires(name) or []]
    return found


@cache
def _find_imports(source: Path) -> list[tuple[int, str]]:
    """Return absolute imports of what is outside the standard library, types' alone left out.

    Once for each file: those of shared/ are asked for by every service.
    """
    found = list[tuple[int, str]]()
    pending: list[ast.AST] = [parse_python(source)]
    while pending:
        node = pending.pop()
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                pending += node.orelse
            case ast.Import():
                modules = [alias.name for alias in node.names]
                found += ((node.lineno, name) for name in modules if _is_foreign(name))
            case ast.ImportFrom(module=str(module), level=0):
                found += [(node.lineno, module)] if _is_foreign(module) else []
            case _:
                pending += ast.iter_child_nodes(node)
    return found


def _is_foreign(module: str) -> bool:
    return module.partition(".")[0] not in sys.stdlib_module_names
