"""What a revision does to services that run meanwhile: it locks, writes anew, or breaks their code.

A revision's statements are rendered as `sql` prints them, each with its line, and held against rules.
A comment accepts what a rule finds, on the line, the one before it, or at the top of the module for
the whole revision, with a reason; `all` accepts whatever is found:

    # accept drop-column: no release since 2.1 reads it

Held against them are revisions that are marked by a phase, and those that follow a marked one: what was
written before there were marks has been applied long since.
"""

import re
import traceback
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from alembic.ddl.base import AlterColumn
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Numeric, String, Text
from sqlalchemy.types import TypeEngine

from db_manager.comparison import ImplThatAsksTheServer
from db_manager.online import VOLATILE
from db_manager.rendering import stored_type
from db_manager.revisions import make_config

_NAME = r'(?:"[^"]+"|[\w.])+'
_ALTER = (
    r"ALTER (?:(?:FOREIGN )?TABLE|VIEW) (?:IF EXISTS )?(?:ONLY )?"
    rf"(?P<table>{_NAME})(?: ?\* ?| )"
)
_COLUMN = rf"ALTER (?:COLUMN )?(?P<column>{_NAME}) "
_NULL = r"\(*(?:CAST ?\( ?)?NULL\b"
"""A default of nothing."""

_TRUE = r"(?:TRUE|1 ?= ?1)"
_SOME = rf"(?!{_TRUE} ?(?:RETURNING .*)?$)"
"""Of a condition: one that not every row keeps."""
_OF_COLUMN = rf"(?!\d|(?:TRUE|FALSE|NULL)\b){_NAME}"
_EQUALITY = rf"{_OF_COLUMN} ?= ?{_OF_COLUMN}"
_JOINED = rf"\b(?:FROM|USING) [^…]* WHERE {_EQUALITY}(?: AND {_EQUALITY})* ?(?:RETURNING .*)?$"
"""Of an UPDATE or DELETE: rows that another table has, however many."""
_OF_DEFAULT = r"(?:(?!\b(?:CHECK|REFERENCES|UNIQUE|PRIMARY|CONSTRAINT|GENERATED)\b).)*?"
_BRIEF = r"'?(?:(?:[1-9]\d{0,2}|1\d{3}|2000) ?(?:ms)?|(?:0?\.\d+|1(?:\.\d+)?|2) ?s)'?(?:$|[,)])"
"""Of a time: no longer than lock.LOCK_TIMEOUT, two seconds."""
_SERIAL = r"(?:(?:BIG|SMALL)?SERIAL|SERIAL[248])\b"

_MOVED = r"ALTER (?:TABLE|INDEX|MATERIALIZED VIEW) .*\bSET (?:TABLESPACE|ACCESS METHOD)\b"
_KNOWN = (
    r"(?:pg_catalog\.)?(?:set_config|setval|nextval|currval|lastval|pg_\w+|to_reg\w+|count|min|max|sum|avg|every"
    r"|bool_\w+|(?:string|array|jsonb?)_\w+|row_number|rank|dense_rank|lag|lead|gen_random_uuid|uuidv[47]"
    r"|generate_series|unnest|random|now|clock_timestamp|statement_timestamp)|exists|distinct"
)
"""Functions of PostgreSQL that lock no table."""
_TRANSACTION = r"(?:BEGIN|START TRANSACTION|COMMIT|ROLLBACK|ABORT|PREPARE TRANSACTION)\b(?! TO\b)"

_RULES: tuple[tuple[str, str, str], ...] = (
    (
        "required-column",
        rf"{_ALTER}ADD (?:COLUMN )?(?!CONSTRAINT|CHECK|UNIQUE|PRIMARY|FOREIGN|EXCLUDE)"
        rf"(?=.* NOT NULL)(?!.* (?:DEFAULT (?!{_NULL})|GENERATED\b|IDENTITY\b|{_SERIAL}))",
        "is required without a default: rows that are there have none, and code that runs gives none",
    ),
    (
        "rewrites",
        rf"{_ALTER}ADD (?:COLUMN )?(?!CONSTRAINT)(?=.* (?:DEFAULT {_OF_DEFAULT}{VOLATILE.pattern}|STORED\b|GENERATED "
        rf"(?:BY DEFAULT|ALWAYS) AS IDENTITY|{_SERIAL}))",
        "may have a value of its own for each row: the table is then written anew, and its readers wait meanwhile",
    ),
    (
        "rewrites",
        rf"{_ALTER}(?:SET (?:LOGGED|UNLOGGED|ACCESS METHOD|TABLESPACE)|{_COLUMN}SET EXPRESSION)|{_MOVED}|VACUUM (?:FULL|\([^)]*\bFULL\b)|CLUSTER\b",
        "writes the table anew, and its readers wait meanwhile",
    ),
    (
        "locks-index",
        rf"CREATE (?:UNIQUE )?INDEX (?!CONCURRENTLY)(?:.*? )?ON (?:ONLY )?(?P<table>{_NAME})",
        "blocks writers of the table while it is made: postgresql_concurrently=True, in an autocommit block",
    ),
    (
        "locks-index",
        rf"DROP INDEX (?!CONCURRENTLY)(?P<other>{_NAME})|REINDEX (?!.*CONCURRENTLY)",
        "waits for all who use the table, and all others wait for it: CONCURRENTLY does not",
    ),
    (
        "locks-constraint",
        rf"{_ALTER}ADD (?:CONSTRAINT {_NAME} )?(?:CHECK|FOREIGN KEY)(?!.*NOT VALID)",
        "reads all rows while their writers wait: NOT VALID first, then VALIDATE CONSTRAINT in a "
        "transaction of its own",
    ),
    (
        "locks-constraint",
        rf"{_ALTER}ADD (?:CONSTRAINT {_NAME} )?(?:UNIQUE|PRIMARY KEY|EXCLUDE)(?! USING INDEX)",
        "makes its index while readers of the table wait: make it CONCURRENTLY, then UNIQUE USING INDEX",
    ),
    (
        "locks-constraint",
        rf"{_ALTER}ADD (?:CONSTRAINT {_NAME} )?PRIMARY KEY USING INDEX",
        "reads all rows while their readers wait where a column of it takes nulls: SET NOT NULL before, "
        "with a CHECK that is valid",
    ),
    (
        "locks-constraint",
        rf"{_ALTER}ALTER CONSTRAINT {_NAME} (?:.* )?(?<!NOT )ENFORCED",
        "reads all rows while their writers wait",
    ),
    (
        "locks-constraint",
        rf"CREATE (?:\w+ )?TABLE (?:IF NOT EXISTS )?{_NAME} PARTITION OF (?P<table>{_NAME})",
        "has readers of the whole table wait, and reads all rows of a default partition: make a table, then ATTACH PARTITION",
    ),
    (
        "locks-constraint",
        rf"{_ALTER}ADD (?:COLUMN )?(?!CONSTRAINT|CHECK|UNIQUE|PRIMARY|FOREIGN|EXCLUDE)"
        r".*(?:\bREFERENCES\b|\bUNIQUE\b|\bPRIMARY KEY\b|\bCHECK\s*\()",
        "has a constraint that looks at all rows under a lock: add the column, then the constraint",
    ),
    (
        "locks-constraint",
        rf"{_ALTER}ATTACH PARTITION (?P<other>{_NAME})",
        "reads all rows of the partition, and of a default one, while their readers wait, but where a "
        "valid CHECK says the same of them",
    ),
    (
        "locks-constraint",
        rf"ALTER DOMAIN {_NAME} (?:ADD (?:CONSTRAINT {_NAME} )?CHECK(?!.*NOT VALID)|SET NOT NULL)",
        "reads all rows of all tables that have it while their writers wait: NOT VALID first, then "
        "VALIDATE CONSTRAINT",
    ),
    (
        "locks-table",
        r"LOCK\b|REFRESH MATERIALIZED VIEW (?!CONCURRENTLY)",
        "has others wait for as long as it takes",
    ),
    (
        "locks-table",
        rf"{_ALTER}DETACH PARTITION (?!.*CONCURRENTLY)",
        "has readers of the whole table wait: CONCURRENTLY does not",
    ),
    (
        "locks-table",
        rf"(?:ALTER (?:ROLE|USER|DATABASE|SYSTEM) (?:.* )?)?SET (?:LOCAL |SESSION )?lock_timeout ?(?:=|TO\b)(?! ?{_BRIEF})|RESET (?:lock_timeout|ALL)\b|DISCARD ALL\b"
        rf"|SELECT .*\bset_config ?\( ?'lock_timeout' ?,(?! ?{_BRIEF})",
        "has statements wait for locks for longer than migrate lets them, and others behind them",
    ),
    (
        "changes-rows",
        rf"(?:WITH .*\b)?UPDATE (?:ONLY )?(?P<table>{_NAME}) (?!.* WHERE {_SOME})|MERGE INTO "
        rf"|UPDATE (?:ONLY )?(?P<other>{_NAME}) .*{_JOINED}",
        "changes all rows at once, and who writes one of them waits: do it in batches, each committed",
    ),
    (
        "changes-rows",
        rf"(?:WITH .*\b)?DELETE FROM (?!.* WHERE {_SOME})|DELETE FROM .*{_JOINED}|TRUNCATE ",  # noqa: S608 - a pattern
        "takes all rows from code that reads them",
    ),
    (
        "drop-column",
        rf"{_ALTER}DROP (?:COLUMN )?(?!CONSTRAINT)|ALTER TYPE {_NAME} DROP ATTRIBUTE ",
        "breaks code that reads it",
    ),
    (
        "drop-object",
        r"DROP (?:TABLE|VIEW|MATERIALIZED VIEW|FOREIGN TABLE|TYPE|SCHEMA|FUNCTION|PROCEDURE|ROUTINE"
        r"|AGGREGATE|SEQUENCE|DOMAIN|EXTENSION|SERVER|DATABASE|ROLE|USER|GROUP|OWNED|TRIGGER"
        r"|RULE|POLICY|COLLATION|CONVERSION|OPERATOR|CAST|TRANSFORM|TEXT SEARCH|(?:PROCEDURAL )?LANGUAGE"
        r"|EVENT TRIGGER|PUBLICATION|SUBSCRIPTION|TABLESPACE) "
        r"|ALTER (?:ROLE|USER|GROUP) (?!.*\bSET ).* (?:NO(?:LOGIN|SUPERUSER|CREATE\w+|INHERIT|REPLICATION|BYPASSRLS)|PASSWORD|VALID UNTIL|CONNECTION LIMIT|RENAME TO|DROP USER)\b"
        rf"|{_ALTER}DISABLE (?:TRIGGER|RULE)|REVOKE (?!.* FROM PUBLIC\b)",
        "breaks code that uses it",
    ),
    (
        "renames",
        rf"{_ALTER}(?:RENAME (?:TO|COLUMN|(?!CONSTRAINT)\S+ TO)|SET SCHEMA)|ALTER (?:VIEW|MATERIALIZED VIEW"
        r"|FOREIGN TABLE|SEQUENCE|TYPE|DOMAIN|SCHEMA|FUNCTION|PROCEDURE|ROUTINE) .*(?:\bRENAME (?!CONSTRAINT)"
        r"|SET SCHEMA|\bALTER ATTRIBUTE )",
        "breaks code that runs and code that comes: add the new, keep both, and drop the old later",
    ),
    (
        "mixed",
        _TRANSACTION,
        "ends or begins a transaction, which is the revision's: what is before it stays where the rest fails",
    ),
    (
        "unknown",
        r"EXECUTE (?!FUNCTION|PROCEDURE)",
        "is put together when it runs: see to it by hand",
    ),
    (
        "unknown",
        rf"CALL |(?:SELECT|PERFORM) (?!(?:{_KNOWN}) ?\(){VOLATILE.pattern}",
        "runs a function, whose statements are not known: see to it by hand",
    ),
    (
        "narrows",
        rf"{_ALTER}(?:{_COLUMN}SET NOT NULL|ADD (?:CONSTRAINT {_NAME} )?NOT NULL )",
        "breaks code that writes nulls",
    ),
    (
        "narrows",
        rf"{_ALTER}(?:ENABLE|FORCE) ROW LEVEL SECURITY",
        "hides rows from code that runs, but for those that a policy shows",
    ),
    (
        "narrows",
        rf"CREATE (?:OR REPLACE )?RULE .* TO (?P<table>{_NAME}) .*\bDO INSTEAD\b",
        "has other statements run than those of code that runs",
    ),
    (
        "narrows",
        rf"{_ALTER}{_COLUMN}(?:SET GENERATED ALWAYS|ADD GENERATED ALWAYS)",
        "breaks code that gives a value",
    ),
    (
        "narrows",
        rf"ALTER DOMAIN {_NAME} (?:DROP DEFAULT|SET DEFAULT {_NULL})",
        "breaks code that gives none to a column that is required",
    ),
    (
        "locks-constraint",
        rf"{_ALTER}ADD (?:CONSTRAINT {_NAME} )?NOT NULL (?!.*NOT VALID)",
        "reads all rows while their readers wait: NOT VALID first, then VALIDATE CONSTRAINT",
    ),
)
_COMPILED = tuple((rule, re.compile(form, re.IGNORECASE), why) for rule, form, why in _RULES)
CONTRACTING = frozenset({"drop-column", "drop-object", "narrows"})
"""What may be done when no code needs the old any more: by a revision that is marked so."""
_REMEDY = ': mark the revision, phase = "contract"'
_ADDS = re.compile(rf"{_ALTER}ADD (?:COLUMN )?(?!CONSTRAINT|CHECK|UNIQUE|PRIMARY|FOREIGN|EXCLUDE)|CREATE TABLE ", re.IGNORECASE)  # fmt: skip
_CREATED = re.compile(
    rf"CREATE (?:TEMP(?:ORARY)? |UNLOGGED )?TABLE (?!IF NOT EXISTS)(?P<table>{_NAME})",
    re.IGNORECASE,
)
_NOT_NULL_CHECK = re.compile(
    rf"{_ALTER}ADD CONSTRAINT (?P<name>{_NAME}) CHECK \((?P<column>{_NAME}) IS NOT NULL\) NOT VALID",
    re.IGNORECASE,
)
_VALIDATION = re.compile(rf"{_ALTER}VALIDATE CONSTRAINT (?P<name>{_NAME})", re.IGNORECASE)
_REQUIRED = re.compile(rf"{_ALTER}{_COLUMN}SET NOT NULL", re.IGNORECASE)
_ADDITION = (
    rf"{_ALTER}ADD (?:COLUMN )?(?:IF NOT EXISTS )?"
    rf"(?!CONSTRAINT|CHECK|UNIQUE|PRIMARY|FOREIGN|EXCLUDE)(?P<column>{_NAME}) "
)
_NEW = re.compile(_ADDITION, re.IGNORECASE)
_ADDED = re.compile(rf"{_ADDITION}(?=.*\bDEFAULT (?!{_NULL}))", re.IGNORECASE)
_GETS_DEFAULT = re.compile(
    rf"{_ALTER}{_COLUMN}(?:SET DEFAULT (?!{_NULL})|ADD GENERATED )", re.IGNORECASE
)
_LOSES_DEFAULT = re.compile(
    rf"{_ALTER}{_COLUMN}(?:DROP (?:DEFAULT|IDENTITY|EXPRESSION)\b|SET DEFAULT {_NULL})",
    re.IGNORECASE,
)
_NEW_REQUIRED = re.compile(rf"{_ADDITION}(?=.*\bNOT NULL)", re.IGNORECASE)
_OPTIONAL = re.compile(rf"{_ALTER}{_COLUMN}DROP NOT NULL", re.IGNORECASE)
_TYPE = re.compile(rf"{_ALTER}ALTER (?:COLUMN )?{_NAME} (?:SET DATA )?TYPE ", re.IGNORECASE)
_TOKEN = re.compile(
    r"(?P<comment>--[^\n]*|/\*.*?\*/)|(?P<text>\bE'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*')"
    r"|\$(?P<tag>\w*)\$(?P<body>.*?)\$(?P=tag)\$|(?P<name>\"(?:[^\"]|\"\")*\")|(?P<other>.)",
    re.DOTALL | re.IGNORECASE,
)
_BLOCK = re.compile(
    r"^(?:(?:DECLARE\b.*\bBEGIN|BEGIN|LOOP|ELSE|EXCEPTION|<<\w+>>"
    r"|(?:IF|ELSIF|CASE|WHEN|FOR|FOREACH|WHILE)\b.*?\b(?:THEN|LOOP))\s+)+",
    re.IGNORECASE | re.DOTALL,
)
"""What PL/pgSQL has before a statement."""
_SETTING = re.compile(r"'(?:lock_timeout|\d*\.?\d+ ?\w*)'", re.IGNORECASE)
_CHANGES_ROWS = re.compile(r"\b(?:UPDATE|DELETE|MERGE|TRUNCATE)\b", re.IGNORECASE)
_INNERMOST = re.compile(r"\(([^()]*)\)")
_PRELUDE = re.compile(r"SET |COMMENT ON ", re.IGNORECASE)
_ACCEPTANCE = re.compile(r"#\s*accept\s+(?P<rule>[\w-]+):\s*\S")


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement of a revision."""

    text: str
    line: int
    is_apart: bool
    """Whether it is in an autocommit block."""
    is_rewrite: bool = False
    """Whether it changes a column's type to one that is kept otherwise."""
    is_of_optional: bool = False
    """Whether it is known to be of a column that takes nulls."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a revision does to those who use the database meanwhile."""

    file: str
    line: int
    rule: str
    what: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}: {self.what} [{self.rule}]"


def lint_all() -> list[Finding]:
    """Return what is found in every new revision, the oldest first."""
    found, new = list[Finding](), set[str]()
    scripts = ScriptDirectory.from_config(make_config())
    for script in reversed([*scripts.walk_revisions()]):
        parents = script.down_revision or ()
        parents = (parents,) if isinstance(parents, str) else parents
        if hasattr(script.module, "phase") or new.intersection(parents):
            new.add(script.revision)
            found += lint(script)
    return found


def find_unmarked(ids: Container[str]) -> list[Finding]:
    """Return what some revisions take away that older code needs, of those that no phase marks."""
    return [
        finding
        for script in ScriptDirectory.from_config(make_config()).walk_revisions()
        if script.revision in ids and not hasattr(script.module, "phase")
        for finding in lint(script)
        if finding.rule in CONTRACTING
    ]


def lint(script: Script) -> list[Finding]:
    """Return what is found in a revision, and not accepted by a comment in it."""
    file = Path(script.path)
    lines = file.read_text("utf-8").splitlines()
    head = next((n for n, line in enumerate(lines) if line.startswith("def ")), len(lines))
    everywhere = _accepted(lines[:head])
    findings = []
    for line, rule, what in _judge(_render(script), getattr(script.module, "phase", None)):
        near = _accepted(lines[max(line - 2, 0) : line])
        if not {rule, "all"} & (everywhere | near):
            findings.append(Finding(file.name, line, rule, what))
    return findings


def mark_phase(file: Path) -> None:
    """Mark a revision that takes away what older code needs."""
    [script] = [
        each
        for each in ScriptDirectory.from_config(make_config()).walk_revisions()
        if Path(each.path) == file
    ]
    if CONTRACTING & {rule for _, rule, _ in _judge(_render(script), None)}:
        text = file.read_text("utf-8")
        file.write_text(text.replace('\nphase = "expand"\n', '\nphase = "contract"\n', 1), "utf-8")


def _accepted(lines: Iterable[str]) -> frozenset[str]:
    return frozenset(found["rule"] for line in lines for found in _ACCEPTANCE.finditer(line))


def _render(script: Script) -> list[Statement] | str:
    """Return the statements of upgrade(), or why they cannot be known."""
    found, state = list[Statement](), _State()
    context = MigrationContext.configure(
        dialect_name="postgresql",
        opts={"as_sql": True, "output_buffer": StringIO(), "literal_binds": True},
    )
    impl = context.impl
    if not isinstance(impl, ImplThatAsksTheServer):
        raise TypeError(f"Alembic took {type(impl).__name__} for PostgreSQL")
    file = Path(script.path)

    def is_rewrite(construct: Any) -> bool:
        new = getattr(construct, "type_", None)
        if not isinstance(construct, AlterColumn) or not isinstance(new, TypeEngine):
            return False
        if construct.existing_type is None:
            return True
        old, new = (stored_type(each, impl.dialect) for each in (construct.existing_type, new))
        if isinstance(old, String) and isinstance(new, String):
            is_any = isinstance(new, Text) or new.length is None
            return not (is_any or (old.length or 10**9) <= (new.length or 0))
        if isinstance(old, Numeric) and isinstance(new, Numeric):
            wider = new.precision is None or (old.precision or 10**9) <= new.precision
            return not (wider and old.scale == new.scale)
        return True

    def take(construct: Any, text: str) -> None:
        frames = traceback.extract_stack()
        line = next((one.lineno for one in reversed(frames) if Path(one.filename) == file), 1)
        for each in statements_of(text):
            is_other = not isinstance(construct, AlterColumn) and _TYPE.match(each) is not None
            is_anew = is_other or is_rewrite(construct)
            is_of_optional = getattr(construct, "existing_nullable", None) is True
            found.append(Statement(each, line or 1, state.is_apart, is_anew, is_of_optional))

    impl.take = take
    context.autocommit_block = state.block  # type: ignore[method-assign]
    try:
        with Operations.context(context):
            script.module.upgrade()
    except Exception as error:  # whatever a revision may raise without a database
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return found


def statements_of(text: str) -> Iterator[str]:
    """Yield the statements of a text of SQL, and those in the bodies of DO, on a line each.

    Comments and the insides of literals are left out, but the name of a setting and a time; of ALTER
    TABLE each action is a statement.
    """
    parts, depth = [_Part()], 0
    for token in _TOKEN.finditer(text):
        kind, word, part = token.lastgroup, token[0], parts[-1]
        if kind == "other":
            depth += (word == "(") - (word == ")")
        if word == ";":
            parts.append(_Part())
        elif word == "," and depth == 0:
            part.actions.append("")
        elif kind == "text" or token["body"] is not None:
            part.bodies.append(token["body"] or word[word.find("'") + 1 : -1].replace("''", "'"))
            part.actions[-1] += word if _SETTING.fullmatch(word) else "''"
        else:
            part.actions[-1] += " " if kind == "comment" else word
    for part in parts:
        first, *others = (" ".join(each.split()) for each in part.actions)
        first = _BLOCK.sub("", first)
        if found := re.match(_ALTER, first, re.IGNORECASE):
            yield first
            yield from (f"{found[0]}{each}" for each in others)
        elif first:
            yield ", ".join([first, *others])
        if re.match(r"DO\b", first, re.IGNORECASE):
            inner = (each for body in part.bodies for each in statements_of(body))
            yield from (each for each in inner if not re.match(_TRANSACTION, each, re.IGNORECASE))


def _levels(text: str) -> Iterator[str]:
    """Yield what is in parentheses, the innermost first, and the statement with `…` for each."""
    before = None
    while text != before:
        before = text
        yield from (found[1].strip() for found in _INNERMOST.finditer(text))
        text = _INNERMOST.sub(
            lambda found: "TRUE" if re.fullmatch(_TRUE, found[1].strip(), re.IGNORECASE) else "…",
            text,
        )
    yield text


@dataclass
class _Part:
    """A statement, by its actions, and the texts in it."""

    actions: list[str] = field(default_factory=lambda: [""])
    bodies: list[str] = field(default_factory=list)


@dataclass
class _State:
    is_apart: bool = False

    @contextmanager
    def block(self) -> Iterator[None]:
        self.is_apart = True
        try:
            yield
        finally:
            self.is_apart = False


def _judge(statements: list[Statement] | str, phase: str | None) -> Iterator[tuple[int, str, str]]:
    """Yield line, rule and words of all that is found."""
    if isinstance(statements, str):
        yield 1, "unknown", f"is not known without a database ({statements}): see to it by hand"
        return
    created = _created(statements)
    yield from _of_transactions(statements)
    drops_table = any(each.text.startswith("DROP TABLE") for each in statements)
    added = _columns_of(_ADDED, statements)
    added |= _columns_of(_NEW, statements) & _columns_of(_GETS_DEFAULT, statements)
    for each in statements:
        levels = [*_levels(each.text)] if _CHANGES_ROWS.search(each.text) else []
        for rule, form, why in _COMPILED:
            texts = levels if rule == "changes-rows" else [each.text]
            found = next(filter(None, map(form.match, texts)), None)
            if found is None:
                continue
            groups = found.groupdict()
            if created & {_plain(groups.get(name) or "") for name in ("table", "other")}:
                continue
            if drops_table and each.text.startswith("DROP INDEX"):
                continue  # which goes with its table
            required = _REQUIRED.match(each.text)
            if required and _key(required) in added:
                continue
            if rule in CONTRACTING and phase == "contract":
                continue
            remedy = _REMEDY if rule in CONTRACTING else ""
            yield each.line, rule, f"{_short(each)} {why}{remedy}"
        yield from _of_columns(each, statements, added, phase)


def _of_columns(
    statement: Statement,
    statements: list[Statement],
    added: set[tuple[str, str]],
    phase: str | None,
) -> Iterator[tuple[int, str, str]]:
    """Yield what a statement does to columns, of which the revision has added some."""
    words, line = _short(statement), statement.line
    lost = _LOSES_DEFAULT.match(statement.text)
    if lost and not statement.is_of_optional and not _is_harmless(lost, statement, statements):
        if _key(lost) in added:
            why = "leaves a new column without a default: code that runs gives none"
            yield line, "required-column", f"{words} {why}"
        elif phase != "contract":
            why = "breaks code that gives no value: it gets the default now"
            yield line, "narrows", f"{words} {why}{_REMEDY}"
    required = _REQUIRED.match(statement.text)
    if required and _key(required) not in added:
        before = statements[: statements.index(statement)]
        checks = [one for each in before for one in _NOT_NULL_CHECK.finditer(each.text)]
        column = _plain(required["column"])
        names = {each["name"] for each in checks if _plain(each["column"]) == column}
        valid = {one["name"] for each in before for one in _VALIDATION.finditer(each.text)}
        if not names & valid:
            why = (
                "reads all rows while their readers wait: CHECK (… IS NOT NULL) NOT VALID first, "
                "VALIDATE CONSTRAINT, then this"
            )
            yield line, "locks-constraint", f"{words} {why}"
    if statement.is_rewrite:
        yield line, "rewrites", f"{words} writes the table anew, and its readers wait meanwhile"
    if phase == "contract" and _ADDS.match(statement.text):
        why = "comes when code that needs it runs already: write it as a revision before this one"
        yield line, "expands", f"{words} {why}"


def _is_harmless(lost: re.Match[str], statement: Statement, statements: list[Statement]) -> bool:
    """Whether a column that loses its default is optional by this revision, or gets another one at once."""
    column, position = _key(lost), statements.index(statement)
    at_once = [each for each in statements[position:] if not (each.is_apart or statement.is_apart)]
    if column in _columns_of(_OPTIONAL, statements[:position] + at_once):
        return True
    if column in _columns_of(_GETS_DEFAULT, at_once):
        return True
    if column[0] in _created(statements):
        return True
    required = _columns_of(_NEW_REQUIRED, statements) | _columns_of(_REQUIRED, statements)
    return column in _columns_of(_NEW, statements) - required


def _created(statements: list[Statement]) -> set[str]:
    return {_plain(found["table"]) for each in statements for found in _CREATED.finditer(each.text)}


def _columns_of(form: re.Pattern[str], statements: Iterable[Statement]) -> set[tuple[str, str]]:
    return {_key(found) for each in statements for found in form.finditer(each.text)}


def _key(found: re.Match[str]) -> tuple[str, str]:
    """Return a column, by its table and its name."""
    return _plain(found["table"]), _plain(found["column"])


def _of_transactions(statements: list[Statement]) -> Iterator[tuple[int, str, str]]:
    """Yield what is wrong with the parts that are committed."""
    apart = [each for each in statements if each.is_apart]
    others = [each for each in statements if not each.is_apart and not _PRELUDE.match(each.text)]
    if apart and others:
        yield (
            apart[0].line,
            "mixed",
            (
                "an autocommit block among other statements has the revision committed in parts: write it "
                "as a revision of its own"
            ),
        )
    yield from _of_held_locks(statements)
    added = {found["name"] for each in others for found in _NOT_VALID.finditer(each.text)}
    for each in others:
        validated = _VALIDATION.match(each.text)
        if validated and validated["name"] in added:
            yield (
                each.line,
                "locks-constraint",
                (
                    f"{_short(each)} keeps the lock of its ADD CONSTRAINT for as long as it takes: do it in "
                    "an autocommit block"
                ),
            )
        if re.match(r"(?:CREATE|DROP|REINDEX|ALTER)\s.*\bCONCURRENTLY\b", each.text, re.IGNORECASE):
            yield each.line, "not-in-transaction", f"{_short(each)} wants an autocommit block"


def _of_held_locks(statements: list[Statement]) -> Iterator[tuple[int, str, str]]:
    """Yield what takes its time while readers of a table wait for the rest of the transaction."""
    created, holder = _created(statements), ""
    for each in statements:
        held = _HOLDS.match(each.text)
        if each.is_apart:
            holder = ""
        elif held and _plain(held["table"] or held["other"]) not in created:
            holder = holder or _short(each)
        elif holder and _LONG.match(each.text):
            why = f"runs while readers wait for {holder}: do it in a revision of its own"
            yield each.line, "changes-rows", f"{_short(each)} {why}"


_ONE_ROW = r"\bWHERE \(?(?:\w+\.)?id = (?:\d+|'[^']*')\)?(?: RETURNING\b|$)"
_HOLDS = re.compile(
    rf"{_ALTER}(?!VALIDATE |SET \(|RESET \(|.*\bSET STATISTICS\b|ADD .*\bFOREIGN KEY\b|CLUSTER |SET WITHOUT CLUSTER)|DROP TABLE (?:IF EXISTS )?(?P<other>{_NAME})",
    re.IGNORECASE,
)
"""What keeps a table from its readers until the transaction ends."""
_LONG = re.compile(
    rf"(?:WITH .*\b)?(?:UPDATE|DELETE FROM|MERGE INTO|INSERT INTO .*\b(?:SELECT\b.*\bFROM|TABLE)) (?!.*{_ONE_ROW})"
    rf"|CREATE (?:\w+ )?(?:TABLE|MATERIALIZED VIEW) (?:IF NOT EXISTS )?{_NAME} (?:\(.*\) ?)?AS ?\(*(?:SELECT|WITH|TABLE) ",
    re.IGNORECASE,
)
"""What reads or writes rows, however many."""
_NOT_VALID = re.compile(rf"{_ALTER}ADD CONSTRAINT (?P<name>{_NAME}) .*NOT VALID", re.IGNORECASE)


def _plain(name: str) -> str:
    return name.replace('"', "").removeprefix("public.").lower()


def _short(statement: Statement) -> str:
    return f"{statement.text[:60]}{'…' if statement.text[60:] else ''}"
