"""Imports of what 0.1.0 had as source in a workspace, moved to the package that has it now.

Only the words that are imported change, where they stand: comments, line ends and the form of a
statement stay as their owner wrote them. So Python's own parser does, and `upgrade` needs nothing
that a workspace has not.
"""

import ast
import re
import warnings
from collections.abc import Iterator
from itertools import accumulate

MODULES = {
    "shared.database.engine": "quart_fleet.database",
    "shared.database.errors": "quart_fleet.database.explanations",
    "shared.database.repository": "quart_fleet.database",
    "shared.database.statement": "quart_fleet.database",
    "shared.database.statements": "quart_fleet.database",
    "shared.database.transaction": "quart_fleet.database",
    "shared.database.unit_of_work": "quart_fleet.database",
    "shared.database.url": "quart_fleet.database_url",
    "shared.dto": "quart_fleet.dto",
    "shared.errors": "quart_fleet.errors",
    "shared.paging": "quart_fleet.paging",
    "shared.web.application": "quart_fleet.web",
    "shared.web.body": "quart_fleet.web",
    "shared.web.server": "quart_fleet.server",
    "db_manager.embedded.errors": "quart_fleet.postgres",
    "db_manager.explanations": "quart_fleet.database.explanations",
    "db_manager.postgres": "quart_fleet.postgres",
    "db_manager.testing": "quart_fleet.testing",
}
"""Where a module's public names are now."""
NAMES = {
    ("shared.config", "SAMPLE_SECRET_KEY"): "quart_fleet.settings",
    ("shared.models.base", "NAMING_CONVENTION"): "quart_fleet.models",
}
"""Names that have left a module that stays."""
GONE = re.compile(
    r"\b(?:shared\.(?:web|database|utils\.streaming)"
    r"|db_manager\.(?:embedded|startup|env|comparison|lock)|scaffold)\b[.\w]*"
)
"""Modules that no import reaches any more."""

_INT = re.compile(r"<int:(?=\w+>)")
_RECORD_ID = "<id:"
"""The converter of ids, which 0.1.0 had by Werkzeug's name for it."""

_Span = tuple[int, int]
"""Where a part begins and ends, in bytes."""


def move_imports(text: str) -> str:
    """Return a module that imports what 0.1.0 had from where it is; one that is no Python as it is."""
    try:
        return _Source(text).move()
    except (SyntaxError, ValueError):
        return text


def find_gone(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the name of each import of a module that is nowhere now."""
    try:
        tree = _parse(text)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(str(module), names, 0):
                found = [module, *(f"{module}.{name.name}" for name in names)]
            case ast.Import(names):
                found = [name.name for name in names]
            case _:
                continue
        if name := next(filter(GONE.fullmatch, found), None):
            yield node.lineno, name


class _Source:
    """A module's text; raises SyntaxError and ValueError."""

    def __init__(self, text: str) -> None:
        self._mark = "\ufeff" if text.startswith("\ufeff") else ""
        self._source = text.removeprefix("\ufeff").encode()
        self._starts = [0, *accumulate(len(line) + 1 for line in self._source.split(b"\n"))]
        self._tree = _parse(text)
        self._parts: dict[_Span, str] = {}
        """What stands in a place from now on."""

    def move(self) -> str:
        """Return the text with its imports moved."""
        for node in ast.walk(self._tree):
            match node:
                case ast.ImportFrom(str(module), names, 0):
                    self._move_names(node, module, names)
                case ast.Import(names):
                    for name in names:
                        if new := MODULES.get(name.name):
                            source = self._read(name).replace(name.name, new, 1)
                            self._parts[self._span(name)] = source
                case ast.Attribute() if new := MODULES.get(ast.unparse(node)):
                    self._parts[self._span(node)] = new
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    for route in node.decorator_list:
                        source = _INT.sub(_RECORD_ID, self._read(route))
                        self._parts |= (
                            {} if source == self._read(route) else {self._span(route): source}
                        )
        moved = self._source
        for (start, stop), text in sorted(self._parts.items(), reverse=True):
            moved = moved[:start] + text.encode() + moved[stop:]
        return self._mark + moved.decode()

    def _move_names(self, node: ast.ImportFrom, module: str, names: list[ast.alias]) -> None:
        """Move a statement as a whole where all its names are in one module, else name by name."""
        moved = [_move_name(module, name) for name in names]
        if all(one == (module, name) for one, name in zip(moved, names, strict=True)):
            return
        source = self._read(node)
        if {new for new, _ in moved} == {MODULES.get(module)}:
            self._parts[self._span(node)] = source.replace(module, MODULES[module], 1)
            return
        indent = " " * node.col_offset
        lines = re.findall(r"#.*", source)
        lines += [ast.unparse(ast.ImportFrom(new, [name], 0)) for new, name in moved]
        end = "\r\n" if b"\r\n" in self._source else "\n"
        self._parts[self._span(node)] = f"{end}{indent}".join(line.rstrip("\r") for line in lines)

    def _read(self, node: ast.expr | ast.stmt | ast.alias) -> str:
        return self._source[slice(*self._span(node))].decode()

    def _span(self, node: ast.expr | ast.stmt | ast.alias) -> _Span:
        stop = self._starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)
        return self._starts[node.lineno - 1] + node.col_offset, stop


def _move_name(module: str, name: ast.alias) -> tuple[str, ast.alias]:
    """Return where a name of a module is now, and what it is imported as."""
    if new := MODULES.get(f"{module}.{name.name}"):  # a module, imported from its package
        package, _, last = new.rpartition(".")
        bound = name.asname or name.name
        return package, ast.alias(last, None if bound == last else bound)
    return NAMES.get((module, name.name)) or MODULES.get(module, module), name


def _parse(text: str) -> ast.Module:
    # A carriage return alone ends a line to Python, and none to an editor.
    plain = re.sub(r"\r(?!\n)", " ", text.removeprefix("\ufeff"))
    with warnings.catch_warnings(action="ignore"):  # of escapes: Python tells them at import
        return ast.parse(plain)
