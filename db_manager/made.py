"""What the revisions make, as their files say: by Alembic's operations, or in SQL of their own."""

import ast
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

_UNKNOWN = "\N{SUBSTITUTE}"
"""Stands for what a formatted text is given when it runs."""
_PLACEHOLDER = re.compile(r"\{\w*\}|%s|%\(\w+\)s")
_NAME = rf'(?:"(?:[^"]|"")+"|(?:{_UNKNOWN}|[^\W\d])[\w${_UNKNOWN}]*)'
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_CREATION = re.compile(
    r"\bCREATE\s+(?:OR\s+REPLACE\s+)?"
    r"(?:(?:TEMP|TEMPORARY|UNLOGGED|UNIQUE|RECURSIVE|CONSTRAINT|TRUSTED|PROCEDURAL|DEFAULT)\s+)*"
    r"(?P<kind>TABLE|VIEW|MATERIALIZED\s+VIEW|FOREIGN\s+TABLE|SEQUENCE|TYPE|DOMAIN|FUNCTION"
    r"|PROCEDURE|AGGREGATE|OPERATOR\s+CLASS|OPERATOR\s+FAMILY|OPERATOR|COLLATION|CONVERSION"
    r"|EXTENSION|SCHEMA|TEXT\s+SEARCH\s+\w+|STATISTICS|PUBLICATION|SUBSCRIPTION|EVENT\s+TRIGGER"
    r"|FOREIGN\s+DATA\s+WRAPPER|SERVER|INDEX|CAST|TRANSFORM\s+FOR|ACCESS\s+METHOD|LANGUAGE)\s+"
    r"(?:CONCURRENTLY\s+)?(?:IF\s+NOT\s+EXISTS\s+)?(?:AUTHORIZATION\s+)?"
    rf"(?P<name>(?:{_NAME}\s*\.\s*)*(?:{_NAME}|[-+*/<>=~!@#%^&|`?]+)|\([^)]*\))",
    re.IGNORECASE,
)
_ALTERATION = re.compile(
    rf"\bALTER\s+TABLE\s+(?:IF\s+EXISTS\s+)?(?:ONLY\s+)?(?P<table>(?:{_NAME}\.)?{_NAME})\s"
    r"(?P<actions>[^;]*)",
    re.IGNORECASE,
)
_ADDITION = re.compile(
    r"\bADD\s+(?P<kind>CONSTRAINT|COLUMN)?\s*(?:IF\s+NOT\s+EXISTS\s+)?"
    rf"(?P<name>(?>{_NAME}))(?P<is_of_index>\s+UNIQUE\s+USING\s+INDEX\b)?",
    re.IGNORECASE,
)
_NO_COLUMN = frozenset({"check", "unique", "primary", "foreign", "exclude", "constraint", "column"})
_TYPES = frozenset({"Enum", "ENUM", "DOMAIN", "Sequence"})


@dataclass(frozen=True, slots=True)
class Creation:
    """An object that a revision creates."""

    kind: str
    """As in `CREATE kind`, in lower case."""
    name: str
    """Without quotes and without its schema; `*` for what is not known before it runs."""
    schema: str | None = None

    @property
    def is_exact(self) -> bool:
        """Whether the whole name is known before the revision runs."""
        return "*" not in self.name

    def is_of(self, name: str, schema: str | None) -> bool:
        """Say whether this may be the object of a name, whose schema None is the default one."""
        return (
            self.name.strip("*") != ""
            and fnmatchcase(name, self.name)
            and self.schema in (None, schema)
        )


@dataclass(frozen=True)
class Made:
    """What revisions make, from the text of what is in their folder; later drops are not heeded.

    A statement may also be in a module or a file of SQL that a revision reads.
    """

    migrations: Path

    @cached_property
    def tables(self) -> frozenset[tuple[str | None, str]]:
        """The schemas and names of those that Alembic's own operations create or rename."""
        places = {"create_table": (0, "table_name"), "rename_table": (1, "new_table_name")}
        found = set()
        for node in self._nodes:
            match node:
                case ast.Call(func=ast.Attribute(attr=attr), args=arguments) if attr in places:
                    place, keyword = places[attr]
                    given = {each.arg: _text(each.value) for each in node.keywords}
                    names = [given.get(keyword), *map(_text, arguments[place : place + 1])]
                    found |= {(given.get("schema"), name) for name in names if name}
        return frozenset(found)

    @cached_property
    def creations(self) -> frozenset[Creation]:
        """What statements create, and the types and sequences that tables were given."""
        found = {
            Creation(" ".join(match["kind"].lower().split()), *_split(match["name"]))
            for statement in self._texts
            for match in _CREATION.finditer(statement)
        }
        for node in self._nodes:
            match node:
                case ast.Call(func=ast.Attribute(attr=attr) | ast.Name(id=attr)) if attr in _TYPES:
                    named = [each.value for each in node.keywords if each.arg == "name"]
                    first = node.args[:1] if attr in ("DOMAIN", "Sequence") else []
                    kind = "sequence" if attr == "Sequence" else "type"
                    found |= {Creation(kind, name) for name in map(_text, named + first) if name}
                case ast.Call(func=ast.Attribute(attr="CreateSchema"), args=[name, *_]):
                    found |= {Creation("schema", text) for text in [_text(name)] if text}
        return frozenset(found)

    @cached_property
    def parts(self) -> frozenset[tuple[str, str]]:
        """Columns and constraints that statements add to tables: names of tables, and theirs.

        One made of an index, for which Alembic has no operation, is the models' as others are.
        """
        return frozenset(
            (_split(altered["table"])[0], _split(added["name"])[0])
            for statement in self._texts
            for altered in _ALTERATION.finditer(statement)
            for added in _ADDITION.finditer(altered["actions"])
            if not added["is_of_index"]
            if added["kind"] or added["name"].lower() not in _NO_COLUMN
        )

    def names(self, *kinds: str) -> frozenset[str]:
        """Return the names of what statements create of these kinds."""
        return frozenset(each.name for each in self.creations if each.kind in kinds)

    @cached_property
    def _nodes(self) -> list[ast.AST]:
        """Those of every file that can be parsed: of one that cannot, others tell."""
        trees = []
        for file in sorted(self.migrations.rglob("*.py")):
            try:
                module = ast.parse(file.read_bytes())
            except (OSError, SyntaxError, ValueError):
                continue
            trees.append(_Constants(module).visit(module))
        return [node for tree in trees for node in ast.walk(tree)]

    @cached_property
    def _texts(self) -> list[str]:
        composed = [node for node in self._nodes if isinstance(node, ast.JoinedStr | ast.BinOp)]
        parts = {id(each) for node in composed for each in ast.iter_child_nodes(node)}
        whole = (node for node in self._nodes if isinstance(node, ast.expr))
        texts = [_text(node) for node in whole if id(node) not in parts]
        files = sorted(self.migrations.rglob("*.sql"))
        texts += [file.read_text("utf-8", errors="replace") for file in files]
        return [_PLACEHOLDER.sub(_UNKNOWN, _COMMENT.sub(" ", text)) for text in texts if text]


class _Constants(ast.NodeTransformer):
    """Puts the texts of a module's own constants in the place of their names."""

    def __init__(self, module: ast.Module) -> None:
        self._values = {
            target.id: each.value
            for each in module.body
            if isinstance(each, ast.Assign) and _text(each.value) is not None
            for target in each.targets
            if isinstance(target, ast.Name)
        }

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._values.get(node.id, node) if isinstance(node.ctx, ast.Load) else node


def _text(node: ast.expr) -> str | None:
    """Return the text of a literal; of a formatted one what is known of it."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.FormattedValue(value=inner) | ast.Call(func=ast.Attribute(attr="f"), args=[inner]):
            return _text(inner)
        case ast.JoinedStr(values=values):
            return "".join(_text(each) or _UNKNOWN for each in values)
        case ast.BinOp(left=left, op=ast.Add(), right=right) if _text(left) or _text(right):
            return (_text(left) or _UNKNOWN) + (_text(right) or _UNKNOWN)
        case ast.BinOp(left=left, op=ast.Mod()):
            return _text(left)
    return None


def _split(written: str) -> tuple[str, str | None]:
    """Return an identifier as the server keeps it, and its schema."""
    if written.startswith("("):
        return " ".join(written.lower().split()), None
    parts = re.findall(rf"{_NAME}|[-+*/<>=~!@#%^&|`?]+", written)
    plain = [
        each[1:-1].replace('""', '"') if each.startswith('"') else each.lower() for each in parts
    ]
    plain = [each.replace(_UNKNOWN, "*") for each in plain]
    return plain[-1], plain[-2] if len(plain) > 1 else None
