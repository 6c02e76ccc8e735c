"""What the revisions make, as their files say: by Alembic's operations, or in SQL of their own."""

import ast
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

_UNKNOWN = "\N{SUBSTITUTE}"
"""Stands for what a formatted text is given when it runs."""
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
    rf"(?P<name>{_NAME})",
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
    """What a folder of revisions makes, from the text of its files; later drops are not heeded."""

    versions: Path

    @cached_property
    def tables(self) -> frozenset[tuple[str | None, str]]:
        """The schemas and names of those that Alembic's own operations create or rename."""
        places, found = {"create_table": 0, "rename_table": 1}, set()
        for node in self._nodes:
            match node:
                case ast.Call(func=ast.Attribute(attr=attr), args=arguments) if attr in places:
                    schemas = [_text(each.value) for each in node.keywords if each.arg == "schema"]
                    for name in map(_text, arguments[places[attr] : places[attr] + 1]):
                        if name:
                            found.add(((schemas[0] if schemas else None), name))
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
        """Columns and constraints that statements add to tables: names of tables, and theirs."""
        return frozenset(
            (_split(altered["table"])[0], _split(added["name"])[0])
            for statement in self._texts
            for altered in _ALTERATION.finditer(statement)
            for added in _ADDITION.finditer(altered["actions"])
            if added["kind"] or added["name"].lower() not in _NO_COLUMN
        )

    def names(self, *kinds: str) -> frozenset[str]:
        """Return the names of what statements create of these kinds."""
        return frozenset(each.name for each in self.creations if each.kind in kinds)

    @cached_property
    def _nodes(self) -> list[ast.AST]:
        """Those of every file that can be parsed: of one that cannot, others tell."""
        trees = []
        for file in sorted(self.versions.glob("*.py")):
            try:
                trees.append(ast.parse(file.read_bytes()))
            except (SyntaxError, ValueError):
                continue
        return [node for tree in trees for node in ast.walk(tree)]

    @cached_property
    def _texts(self) -> list[str]:
        formatted = [node for node in self._nodes if isinstance(node, ast.JoinedStr)]
        parts = {id(each) for node in formatted for each in node.values}
        whole = (node for node in self._nodes if isinstance(node, ast.expr))
        texts = (_text(node) for node in whole if id(node) not in parts)
        return [_COMMENT.sub(" ", text) for text in texts if text]


def _text(node: ast.expr) -> str | None:
    """Return the text of a literal; of a formatted one what is known of it."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(_text(each) or _UNKNOWN for each in values)
    return None


def _split(written: str) -> tuple[str, str | None]:
    """Return an identifier as the server keeps it, and its schema."""
    if written.startswith("("):
        return " ".join(written.split()), None
    parts = re.findall(rf"{_NAME}|[-+*/<>=~!@#%^&|`?]+", written)
    plain = [
        each[1:-1].replace('""', '"') if each.startswith('"') else each.lower() for each in parts
    ]
    plain = [each.replace(_UNKNOWN, "*") for each in plain]
    return plain[-1], plain[-2] if len(plain) > 1 else None
