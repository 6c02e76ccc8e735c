"""The sets in Python modules, which are imports and lists of names, and how two changes are joined.

Where a generated set changed that the user wrote anew, it is made the user's in what was generated last, and the result in
what is generated now: a merge by lines then finds one change there, which is the result.
"""

import ast
import symtable
import warnings
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
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
        """Return what both sides make of `base`, in the user's form; None where lines decide."""
        was, mine, now = (set(each.members) for each in (base, self, theirs))
        if self.source == base.source or now == was or "#" in self.source:
            return None
        members = [each for each in self.members if each in now or each not in was]
        members += [each for each in theirs.members if each not in was | mine]
        if members == list(self.members):
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
        self._lines = [0, *(at for at, byte in enumerate(self._source, 1) if byte == ord("\n"))]
        """Where each line begins, and the end."""
        # A carriage return alone ends a line to Python, and none to the merge.
        self._parsed = text.replace("\r", " ")
        with warnings.catch_warnings(action="ignore"):  # of escapes: Python tells them at import
            self._tree = ast.parse(self._parsed)
        statements = self._tree.body
        self.names = {
            name
            for node in statements
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in _names(node)
        }
        """What is imported outside of blocks and functions, in the form of Import.names."""
        self.imports: list[Import] = []
        """The statements at the head, which only blank lines and comments part."""
        has_docstring = ast.get_docstring(self._tree, clean=False) is not None
        self.head = statements[0].end_lineno or 0 if has_docstring else 0
        """How many lines there are to the end of the docstring and of these imports."""
        for node in statements[has_docstring:]:
            span = self._lines[node.lineno - 1], self._lines[node.end_lineno or 0]
            source = self.read(span)
            if not isinstance(node, ast.Import | ast.ImportFrom) or ";" in source:
                break
            module = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
            self.imports.append(Import(span, source, module, tuple(_names(node))))
            self.head = node.end_lineno or 0

    @property
    def names_at_head(self) -> set[str]:
        """Return the names that the imports at the head bring."""
        return {name for each in self.imports for name in each.names}

    @property
    def block(self) -> Span:
        """Where the imports at the head are, or would be, with the blank lines around them."""
        lines = self._source.split(b"\n")
        start, stop = self.head, self.head
        if self.imports:
            start = self._lines.index(self.imports[0].span[0])
        while start and not lines[start - 1].strip():
            start -= 1
        while stop < len(lines) - 1 and not lines[stop].strip():
            stop += 1
        return self._lines[start], self._lines[stop]

    def read(self, span: Span) -> str:
        """Return a part of the source."""
        return self._source[slice(*span)].decode()

    def replace(self, parts: dict[Span, str]) -> str:
        """Return the text, or the source with other texts in these places."""
        if not parts:
            return self.text
        source = self._source
        for (start, stop), text in sorted(parts.items(), reverse=True):
            source = source[:start] + text.encode() + source[stop:]
        return source.decode()

    def find_listings(self) -> dict[Path, Listing]:
        """Return the lists of names by their paths, but for those that share one."""
        found: dict[Path, list[Listing]] = defaultdict(list)
        for path, value in _find_values(self._tree, ()):
            if isinstance(value, ast.List | ast.Tuple | ast.Set):
                members = tuple(
                    self.read(self._span(each))
                    for each in value.elts
                    if isinstance(each, ast.Name | ast.Attribute)
                    or (isinstance(each, ast.Constant) and isinstance(each.value, str))
                )
                source = self.read(self._span(value))
                if len(set(members)) == len(value.elts) and source[0] in "([{":
                    found[path].append(Listing(self._span(value), source, members))
        return {path: listings[0] for path, listings in found.items() if len(listings) == 1}

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
        stop = self._lines[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)
        return self._lines[node.lineno - 1] + node.col_offset, stop


def join(base: Module, ours: Module, theirs: Module) -> tuple[str, str]:
    """Return the sources of `base` and `theirs` with every set joined that both sides wrote anew."""
    before: dict[Span, str] = {}
    now: dict[Span, str] = {}
    is_written_anew = ours.read(ours.block) != base.read(base.block)
    is_parted = not ours.names & base.names <= ours.names_at_head
    if is_written_anew and theirs.names != base.names and not is_parted:
        before[base.block], now[theirs.block] = _join_imports(base, ours, theirs)
    listings = base.find_listings(), ours.find_listings(), theirs.find_listings()
    for path in set.intersection(*map(set, listings)):
        was, mine, new = (each[path] for each in listings)
        joined = mine.join(was, new)
        if joined is not None:
            before[was.span], now[new.span] = mine.source, joined
    return base.replace(before), theirs.replace(now)


def find_lost(merged: Module, base: Module, ours: Module, theirs: Module) -> list[str]:
    """Return the imports that one side removed and that the code of the other still reads."""
    removed = base.names & (ours.names | theirs.names) - merged.names
    if not removed:
        return []
    unbound = merged.find_unbound() - ours.find_unbound() - theirs.find_unbound()
    return sorted(name for name in removed if _get_bound(name) in unbound)


def _get_bound(name: str) -> str:
    """Return what code calls an import of one name by."""
    return name.rsplit(maxsplit=1)[-1].partition(".")[0]


def _join_imports(base: Module, ours: Module, theirs: Module) -> tuple[str, str]:
    """Return the imports that the head of `base` is to have, and those of `theirs`.

    A statement that the user left alone is taken as it is generated now. Others stay, but for the
    names that are generated no more; with a comment, they stay whole.
    """
    own = ours.names - base.names
    new = theirs.names - base.names - ours.names
    if {_get_bound(each) for each in own} & {_get_bound(each) for each in new}:
        return "", theirs.read(theirs.block)  # one name for two things: a conflict
    missing = new | ours.names_at_head & (own | theirs.names)

    def write(statement: Import) -> str:
        """Return what is still missing of a statement."""
        fresh = [name for name in statement.names if name in missing]
        missing.difference_update(fresh)
        whole = len(fresh) == len(statement.names)
        return statement.source if whole else "".join(f"{name}\n" for name in fresh)

    left_alone = {each.source for each in base.imports}
    futures = [one for one in theirs.imports if one.module == "__future__" and new & {*one.names}]
    block, statement, stop = "".join(map(write, futures)), "", ours.block[0]
    for each in ours.imports:
        block += statement + ours.read((stop, each.span[0]))
        stop = each.span[1]
        others = [one for one in theirs.imports if one.module == each.module]
        if each.source in left_alone:
            statement = "".join(map(write, [*others, each]))
        else:
            if "#" in each.source:
                missing.update(each.names)
            statement = "".join(map(write, [each, *others]))
    # Before the last statement, it does not touch what the user wrote right below that.
    block += "".join(map(write, theirs.imports)) + statement
    return ours.read(ours.block), block + ours.read((stop, ours.block[1]))


def _names(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    for alias in node.names:
        if isinstance(node, ast.Import):
            yield ast.unparse(ast.Import([alias]))
        else:
            yield ast.unparse(ast.ImportFrom(node.module, [alias], node.level))


def _find_values(node: ast.AST, path: Path) -> Iterator[tuple[Path, ast.expr | None]]:
    """Yield what is assigned to a name or given by keyword, with its path."""
    for child in ast.iter_child_nodes(node):
        inner = path
        match child:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                inner = (*path, child.name)
            case ast.Assign([ast.Name(name)], value) | ast.keyword(str(name), value):
                yield (*path, name), value
            case ast.AnnAssign(ast.Name(name), _, value):
                yield (*path, name), value
        yield from _find_values(child, inner)
