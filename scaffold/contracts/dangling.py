"""Imports that lead nowhere: the linter passes over them, and Python fails at them."""

import ast
from collections.abc import Iterator
from pathlib import Path

from scaffold.contracts.packages import find_sources


def find_dangling(package: Path) -> Iterator[tuple[Path, int, str]]:
    """Yield the imports of modules that the package itself lacks: file, line, module."""
    for source in find_sources(package):
        for line, module in _imported(source, package.parent):
            if module.startswith(f"{package.name}.") and not _is_there(package.parent, module):
                yield source, line, module


def _imported(source: Path, root: Path) -> Iterator[tuple[int, str]]:
    try:
        tree = ast.parse(source.read_bytes())
    except (SyntaxError, ValueError):  # the linter itself reports it
        return
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names, lineno=line):
                yield from ((line, alias.name) for alias in names)
            case ast.ImportFrom(module=module, level=level, lineno=line):
                base = source.relative_to(root).parts[:-level] if level else ()
                yield line, ".".join([*base, *filter(None, [module])])


def _is_there(root: Path, module: str) -> bool:
    path = root.joinpath(*module.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()
