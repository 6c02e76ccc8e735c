"""What is a set in a Python module, its imports and its lists of names, and how two are joined.

A joined set is written into both generated texts: what was generated last gets the user's, and what
is generated now the result. A merge by lines then finds one change there, which is the result.
"""

import ast
import symtable
import warnings
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Self

Span = tuple[int, int]
"""Where something begins and ends in a module's source, in bytes."""

Path = tuple[str, ...]
"""The name that a value is given to, after those of the classes and functions around it."""


@dataclass(frozen=True, slots=True)
class Import:
    """A statement as written, with its comments and the end of its line."""

    span: Span
    source: str
    module: str
    names: tuple[str, ...]
    """A statement for each name that it brings, such as `from decimal import Decimal`."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A list, tuple or set of names or texts."""

    span: Span
    source: str
    members: tuple[str, ...]

    def join(self, base: Self, theirs: Self) -> str | None:
        """Return what both sides make of `base`, in this form; None where lines are to decide."""
        was, mine, now = ({*each.members} for each in (base, self, theirs))
        members = [each for each in self.members if each in now or each not in was]
        members += [each for each in theirs.members if each not in was | mine]
        if self.source == base.source or now == was or "#" in self.source or not members:
            return None
        if members == [*self.members]:
            return self.source
        opening, closing = self.source[0], self.source[-1]
        *lines, last = self.source.split("\n")
        if lines and last.strip() == closing:
            indent = last.removesuffix(closing)
            return "\n".join([opening, *(f"{indent}    {each}," for each in members), last])
        comma = "," if (opening, len(members)) == ("(", 1) else ""
        return f"{opening}{', '.join(members)}{comma}{closing}"


class Module:
    """A text, parsed; raises SyntaxError and ValueError."""

    def __init__(self, text: str) -> None:
        self.text = text
        text = text.removeprefix("\ufeff").replace("\r\n", "\n").removesuffix("\n") + "\n"
        self._source = text.encode()
        self._lines = self._source.split(b"\n")[:-1]
        self._starts = [0, *accumulate(len(line) + 1 for line in self._lines)]
        # A carriage return alone ends a line to Python, and none to the merge.
        self._parsed = text.replace("\r", " ")
        with warnings.catch_warnings(action="ignore"):  # of escapes: Python tells them at import
            self._tree = ast.parse(self._parsed)
        self.names: set[str] = set()
        """What is imported outside of functions and blocks, in the form of Import.names."""
        self.imports: list[Import] = []
        """The statements at the head, which only blank lines and comments part."""
        has_docstring = ast.get_docstring(self._tree, clean=False) is not None
        self.head = self._tree.body[0].end_lineno or 0 if has_docstring else 0
        """How many lines there are to the end of the docstring and of these imports."""
        is_head = True
        for node in self._tree.body[has_docstring:]:
            if isinstance(node, ast.Import | ast.ImportFrom):
                span = self._starts[node.lineno - 1], self._starts[node.end_lineno or 0]
                module = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
                names = [
                    ast.Import([alias])
                    if isinstance(node, ast.Import)
                    else ast.ImportFrom(node.module, [alias], node.level)
                    for alias in node.names
                ]
                statement = Import(span, self.read(span), module, tuple(map(ast.unparse, names)))
                self.names.update(statement.names)
                is_head = is_head and ";" not in statement.source
                if is_head:
                    self.imports.append(statement)
                    self.head = node.end_lineno or 0
            else:
                is_head = False

    @property
    def names_at_head(self) -> set[str]:
        """Return those of `names` that the imports at the head bring."""
        return {name for each in self.imports for name in each.names}

    @property
    def block(self) -> Span:
        """Where the imports at the head are, or would be, with the blank lines around them."""
        start = stop = self.head
        if self.imports:
            start = self._starts.index(self.imports[0].span[0])
        while start and not self._lines[start - 1].strip():
            start -= 1
        while stop < len(self._lines) and not self._lines[stop].strip():
            stop += 1
        return self._starts[start], self._starts[stop]

    def read(self, span: Span) -> str:
        """Return a part of the source."""
        return self._source[slice(*span)].decode()

    def replace(self, parts: dict[Span, str]) -> str:
        """Return the text, with others in these places."""
        if not parts:
            return self.text
        source = self._source
        for (start, stop), text in sorted(parts.items(), reverse=True):
            source = source[:start] + text.encode() + source[stop:]
        return source.decode()

    @cached_property
    def listings(self) -> dict[Path, Listing]:
        """The lists of names that are assigned or given by keyword, each at a path of its own."""
        displays: dict[Path, list[ast.List | ast.Tuple | ast.Set]] = defaultdict(list)
        nodes: list[tuple[ast.AST, Path]] = [(self._tree, ())]
        while nodes:
            node, path = nodes.pop()
            match node:
                case ast.ClassDef(name) | ast.FunctionDef(name) | ast.AsyncFunctionDef(name):
                    path = (*path, name)
                case (
                    ast.Assign([ast.Name(name)], value)
                    | ast.AnnAssign(ast.Name(name), _, value)
                    | ast.keyword(str(name), value)
                ) if isinstance(value, ast.List | ast.Tuple | ast.Set):
                    displays[*path, name].append(value)
            nodes += [(child, path) for child in ast.iter_child_nodes(node)]
        listings = {}
        for path, (display, *others) in displays.items():
            names = [
                each
                for each in display.elts
                if isinstance(each, ast.Name | ast.Attribute)
                or (isinstance(each, ast.Constant) and isinstance(each.value, str))
            ]
            source, *members = (self.read(self._span(node)) for node in (display, *names))
            if len({*members}) == len(display.elts) and source[0] in "([{" and not others:
                listings[path] = Listing(self._span(display), source, tuple(members))
        return listings

    def find_unbound(self) -> set[str]:
        """Return the names that are read as the module's own, and that it does not make."""
        module = symtable.symtable(self._parsed, "", "exec")
        made = {each.get_name() for each in module.get_symbols() if each.is_local()}
        read: set[str] = set()
        scopes = [module]
        while scopes:
            scope = scopes.pop()
            scopes += scope.get_children()
            symbols = (each for each in scope.get_symbols() if each.is_referenced())
            read.update(each.get_name() for each in symbols if each.is_global())
        return read - made

    def _span(self, node: ast.expr) -> Span:
        stop = self._starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)
        return self._starts[node.lineno - 1] + node.col_offset, stop


def join(base: Module, ours: Module, theirs: Module) -> tuple[str, str]:
    """Return `base` and `theirs` with every set joined that changed and that the user wrote anew."""
    before: dict[Span, str] = {}
    now: dict[Span, str] = {}
    is_written_anew = ours.read(ours.block) != base.read(base.block)
    is_whole = ours.names & base.names <= ours.names_at_head
    if is_written_anew and is_whole and theirs.names != base.names:
        before[base.block], now[theirs.block] = _join_imports(base, ours, theirs)
    for path, was in base.listings.items():
        mine, new = ours.listings.get(path), theirs.listings.get(path)
        joined = mine and new and mine.join(was, new)
        if mine and new and joined:
            before[was.span], now[new.span] = mine.source, joined
    return base.replace(before), theirs.replace(now)


def find_lost(merged: Module, base: Module, ours: Module, theirs: Module) -> list[str]:
    """Return the imports that one side removed and that the code of the other still reads."""
    removed = base.names & (ours.names | theirs.names) - merged.names
    if not removed:
        return []
    unbound = merged.find_unbound() - ours.find_unbound() - theirs.find_unbound()
    return sorted(name for name in removed if _get_bound(name) in unbound)


def _join_imports(base: Module, ours: Module, theirs: Module) -> tuple[str, str]:
    """Return the block of imports for `base`, which is the user's, and that for `theirs`.

    A statement that the user left alone is taken as it is generated now. Others lose the names that
    are generated no more, unless they have a comment. Where both sides bring one name from two
    modules, the block is a conflict.
    """
    own = ours.names - base.names
    new = theirs.names - base.names - ours.names
    if {_get_bound(each) for each in own} & {_get_bound(each) for each in new}:
        return "", theirs.read(theirs.block)
    # What the user imports below other code stays there.
    missing = new | ours.names_at_head & (own | theirs.names)

    def write(statement: Import) -> str:
        """Return what is still missing of a statement."""
        fresh = [name for name in statement.names if name in missing]
        missing.difference_update(fresh)
        is_complete = len(fresh) == len(statement.names)
        return statement.source if is_complete else "".join(f"{name}\n" for name in fresh)

    left_alone = {each.source for each in base.imports}
    futures = [one for one in theirs.imports if one.module == "__future__" and new & {*one.names}]
    block, statement, stop = "".join(map(write, futures)), "", ours.block[0]
    for each in ours.imports:
        gap = ours.read((stop, each.span[0]))
        # The blank lines behind a statement go with it.
        block += statement + (gap if statement or gap.strip() or each is ours.imports[0] else "")
        stop = each.span[1]
        others = [one for one in theirs.imports if one.module == each.module]
        if each.source in left_alone:
            statement = "".join(map(write, [*others, each]))
        else:
            if "#" in each.source:
                missing.update(each.names)
            statement = "".join(map(write, [each, *others]))
    # Before the last statement, what comes does not touch what the user wrote right below that.
    block += "".join(map(write, theirs.imports)) + statement
    return ours.read(ours.block), block + ours.read((stop, ours.block[1]))


def _get_bound(name: str) -> str:
    """Return what code calls an import of one name by."""
    return name.rsplit(maxsplit=1)[-1].partition(".")[0]
