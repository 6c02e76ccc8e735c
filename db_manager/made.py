"""What the revisions make, as their files say: by Alembic's operations, or in SQL of their own."""

import ast
import re
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

_UNKNOWN = "\N{SUBSTITUTE}"
"""Stands for what a formatted text is given when it runs."""
_PLACEHOLDER = re.compile(r"\{\w*\}|%s|%\(\w+\)s")
_NAME = rf'(?:"(?:[^"]|"")+"|(?:{_UNKNOWN}|[^\W\d])[\w${_UNKNOWN}]*)'
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_KIND = (
    r"(?P<kind>TABLE|VIEW|MATERIALIZED\s+VIEW|FOREIGN\s+TABLE|SEQUENCE|TYPE|DOMAIN|FUNCTION"
    r"|PROCEDURE|AGGREGATE|OPERATOR\s+CLASS|OPERATOR\s+FAMILY|OPERATOR|COLLATION|CONVERSION"
    r"|EXTENSION|SCHEMA|TEXT\s+SEARCH\s+\w+|STATISTICS|PUBLICATION|SUBSCRIPTION|EVENT\s+TRIGGER"
    r"|FOREIGN\s+DATA\s+WRAPPER|SERVER|INDEX|CAST|TRANSFORM\s+FOR|ACCESS\s+METHOD|LANGUAGE)\s+"
    r"(?:CONCURRENTLY\s+)?"
)
_CREATION = re.compile(
    r"\bCREATE\s+(?:OR\s+REPLACE\s+)?"
    r"(?:(?:TEMP|TEMPORARY|UNLOGGED|UNIQUE|RECURSIVE|CONSTRAINT|TRUSTED|PROCEDURAL|DEFAULT)\s+)*"
    rf"{_KIND}(?P<may_be_there>IF\s+NOT\s+EXISTS\s+)?(?:AUTHORIZATION\s+)?"
    rf"(?P<name>(?:{_NAME}\s*\.\s*)*(?:{_NAME}|[-+*/<>=~!@#%^&|`?]+)|\([^)]*\))",
    re.IGNORECASE,
)
_REMOVAL = re.compile(
    rf"\bDROP\s+{_KIND}(?:IF\s+EXISTS\s+)?"
    rf"(?P<names>(?:{_NAME}\.)?{_NAME}(?:\s*,\s*(?:{_NAME}\.)?{_NAME})*)",
    re.IGNORECASE,
)
_NEW_NAME = re.compile(
    rf"\bALTER\s+TABLE\s+(?:IF\s+EXISTS\s+)?(?P<old>(?:{_NAME}\.)?{_NAME})\s+RENAME\s+TO\s+"
    rf"(?P<new>{_NAME})",
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
_IS_SQL = re.compile(
    r"\s*(?:CREATE|ALTER|DROP|DO|BEGIN|SET|COMMENT|SELECT|INSERT|UPDATE|DELETE|WITH|GRANT|REVOKE)\b",
    re.IGNORECASE,
)
_TELLS = re.compile(
    r"^(?:print|echo|say|log|debug|info|warn|warning|error|exception)$|Error$|Exception$|Warning$"
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
    """None for the default one, which `public` is called here too."""
    may_be_there: bool = False
    """Whether it is made only where it is missing, so that another hand may have made it."""

    @property
    def is_exact(self) -> bool:
        """Whether the whole name is known before the revision runs."""
        return "*" not in self.name

    def is_of(self, name: str, schema: str | None) -> bool:
        """Say whether this may be the object of a name, whose schema None is the default one."""
        return self.name.strip("*") != "" and fnmatchcase(name, self.name) and self.schema == schema


@dataclass(frozen=True)
class Made:
    """What revisions make, from the text of what is in their folder, less what later ones drop.

    A statement may also be in a module or a file of SQL that a revision reads. What goes back,
    `downgrade()`, makes nothing: a table that a revision has dropped may be another's since.
    """

    migrations: Path
    revisions: tuple[Path, ...] | None = None
    """The files of those that count, the oldest first; None for all that are there."""

    @cached_property
    def tables(self) -> frozenset[tuple[str | None, str]]:
        """The schemas and names of those that Alembic's own operations create or rename."""
        return frozenset(self._objects.tables)

    @cached_property
    def has_unnamed_tables(self) -> bool:
        """Whether a table is created whose name is not known before the revision runs."""
        return any(
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "create_table"
            and not any(map(_text, [*node.args[:1], *(each.value for each in node.keywords[:1])]))
            for node in self._nodes
        )

    @cached_property
    def creations(self) -> frozenset[Creation]:
        """What statements create, and the types and sequences that tables were given."""
        return frozenset(self._objects.others)

    @cached_property
    def _objects(self) -> "_Objects":
        found = _Objects()
        for node in self._nodes:
            if isinstance(node, ast.Call):
                found.follow_operation(node)
            for statement in self._statements.get(id(node), ()):
                found.follow_statement(statement)
        return found

    @cached_property
    def parts(self) -> frozenset[tuple[str, str]]:
        """Columns and constraints that statements add to tables: names of tables, and theirs.

        One made of an index, for which Alembic has no operation, is the models' as others are.
        """
        return frozenset(
            (_split(altered["table"])[0], _split(added["name"])[0])
            for found in self._statements.values()
            for statement in found
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
        """Those of every file that can be parsed, in their order: of one that cannot, others tell."""
        versions = self.migrations / "versions"
        files = sorted(self.migrations.rglob("*.py"))
        revisions = self.revisions
        if revisions is None:
            revisions = tuple(each for each in files if each.parent == versions)
        elif not revisions:
            return []
        helpers = [each for each in files if each.parent != versions]
        found = list[ast.AST]()
        for file in [*helpers, *revisions]:
            try:
                module = ast.parse(file.read_bytes())
            except (OSError, SyntaxError, ValueError):
                continue
            module.body = [
                each
                for each in module.body
                if not (isinstance(each, ast.FunctionDef) and each.name == "downgrade")
            ]
            nodes = [*ast.walk(_Constants(module).visit(module))]
            found += sorted(
                nodes, key=lambda node: (getattr(node, "lineno", 0), getattr(node, "col_offset", 0))
            )
        return found

    @cached_property
    def _statements(self) -> dict[int, list[str]]:
        """The texts of SQL by the node that they are; those of files of SQL are the first one's.

        No text that stands by itself is one, as a docstring, nor one that is printed or raised.
        """
        aside = set[int]()
        for node in self._nodes:
            match node:
                case ast.JoinedStr() | ast.BinOp():
                    aside |= {id(each) for each in ast.iter_child_nodes(node)}
                case ast.Expr(value=ast.Constant() as text):
                    aside.add(id(text))
                case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if _TELLS.search(
                    name
                ):
                    aside |= {id(each) for each in ast.walk(node)}
        texts = {
            id(node): [_text(node)]
            for node in self._nodes
            if isinstance(node, ast.expr) and id(node) not in aside
        }
        if self._nodes:
            first = texts.setdefault(id(self._nodes[0]), [])
            for file in sorted(self.migrations.rglob("*.sql")):
                first.append(file.read_text("utf-8", errors="replace"))
        plain = {
            key: [_PLACEHOLDER.sub(_UNKNOWN, _COMMENT.sub(" ", each)) for each in found if each]
            for key, found in texts.items()
        }
        return {
            key: [each for each in found if _IS_SQL.match(each)] for key, found in plain.items()
        }


@dataclass(slots=True)
class _Objects:
    """What there is after operations and statements, followed in their order."""

    tables: set[tuple[str | None, str]] = field(default_factory=set)
    others: set[Creation] = field(default_factory=set)

    def follow_operation(self, node: ast.Call) -> None:
        """Create, drop or rename what a call of Alembic or SQLAlchemy says."""
        name, schema = _argument(node, 0, "table_name"), _argument(node, None, "schema")
        match node.func:
            case ast.Attribute(attr="create_table") if name:
                if not any(each.arg == "if_not_exists" for each in node.keywords):
                    self.tables.add((schema, name))
            case ast.Attribute(attr="drop_table") if name:
                self.tables.discard((schema, name))
            case ast.Attribute(attr="rename_table"):
                if new := _argument(node, 1, "new_table_name"):
                    self.tables.add((schema, new))
                    self._rename(_argument(node, 0, "old_table_name"), schema, new)
            case ast.Attribute(attr=kind) | ast.Name(id=kind) if kind in _TYPES:
                place = 0 if kind in ("DOMAIN", "Sequence") else None
                if name := _argument(node, place, "name"):
                    self.others.add(Creation("sequence" if kind == "Sequence" else "type", name))
            case ast.Attribute(attr="CreateSchema"):
                if name := _argument(node, 0, "element"):
                    self.others.add(Creation("schema", name))

    def follow_statement(self, statement: str) -> None:
        """Drop, rename and create what a text of SQL says."""
        for found in _REMOVAL.finditer(statement):
            kind = _words(found["kind"])
            for each in found["names"].split(","):
                name, schema = _split(each)
                self.tables -= {(schema, name)} if kind == "table" else set()
                self.others -= {one for one in self.others if (one.kind, one.name) == (kind, name)}
        for found in _NEW_NAME.finditer(statement):
            name, schema = _split(found["old"])
            self._rename(name, schema, _split(found["new"])[0])
        for found in _CREATION.finditer(statement):
            name, schema = _split(found["name"])
            may_be_there = found["may_be_there"] is not None
            self.others.add(Creation(_words(found["kind"]), name, schema, may_be_there))

    def _rename(self, old: str | None, schema: str | None, new: str) -> None:
        if old and (schema, old) in self.tables:
            self.tables.remove((schema, old))
            self.tables.add((schema, new))
        for each in [one for one in self.others if (one.kind, one.name) == ("table", old)]:
            self.others.remove(each)
            self.others.add(replace(each, name=new))


def _words(kind: str) -> str:
    return " ".join(kind.lower().split())


def _argument(call: ast.Call, place: int | None, keyword: str) -> str | None:
    """Return the text of an argument that is given by its place or its name."""
    given = [each.value for each in call.keywords if each.arg == keyword]
    if place is not None:
        given += call.args[place : place + 1]
    return next(filter(None, map(_text, given)), None)


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
    schema = plain[-2] if len(plain) > 1 else None
    return plain[-1], None if schema == "public" else schema
