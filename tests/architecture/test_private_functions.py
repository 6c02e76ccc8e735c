"""A private function that is used once exists only where its name says more than its lines."""

import ast
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.workspace import FRAMEWORK

LIMITS = {"quart_fleet": 12, "scaffold": 12, "db_manager": 12}
"""The percentage of a package's functions that may be private and used once; only ever lowered.

The goal is 12 for each.
"""


@dataclass(frozen=True, slots=True)
class Function:
    """A function or a method, and the module that defines it."""

    name: str
    module: Path
    line: int

    @property
    def is_private(self) -> bool:
        """Whether its name begins with one underscore."""
        return self.name.startswith("_") and not self.name.startswith("__")


@pytest.mark.parametrize("package", LIMITS)
@pytest.mark.slow
def test_few_functions_are_private_and_used_once(package: str) -> None:
    modules = {
        path: ast.parse(path.read_text())
        for path in sorted((FRAMEWORK / package).rglob("*.py"))
        if "templates" not in path.parts
    }
    functions = [each for path, tree in modules.items() for each in _functions(path, tree)]
    uses = {path: _uses(tree) for path, tree in modules.items()}

    defined = {path: {each.name for each in functions if each.module == path} for path in modules}

    def count_uses(function: Function) -> int:
        """Count them in its module, and in others where the name can mean no other function."""
        return sum(
            uses[path][function.name]
            for path in modules
            if path == function.module or function.name not in defined[path]
        )

    once = [each for each in functions if each.is_private and count_uses(each) == 1]

    share = 100 * len(once) / len(functions)
    listed = "\n".join(f"{each.module}:{each.line}: {each.name}" for each in once)
    assert share <= LIMITS[package], f"{len(once)} of {len(functions)}: {share:.1f} %\n{listed}"


def _functions(path: Path, tree: ast.Module) -> list[Function]:
    """Return what is defined in the module or in a class of it, but not inside of functions."""
    bodies = [tree.body, *(node.body for node in ast.walk(tree) if isinstance(node, ast.ClassDef))]
    return [
        Function(node.name, path, node.lineno)
        for body in bodies
        for node in body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def _uses(tree: ast.Module) -> Counter[str]:
    """Count the names and attributes that are read in a module."""
    return Counter(
        node.id if isinstance(node, ast.Name) else node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load)
    )
