"""What is done once for a statement: SQLAlchemy compiles it for asyncpg; `_transaction` runs it.

SQLAlchemy's own way to asyncpg compiles, adapts and wraps on every request; the result of the
compilation never changes. Measured on a service's read by id, running the compiled SQL on
asyncpg serves about twice as many requests.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from itertools import chain
from time import perf_counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, cast

import asyncpg
from sqlalchemy import (
    JSON,
    BigInteger,
    BindParameter,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Float,
    Numeric,
    Select,
    Table,
    bindparam,
    delete,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.selectable import ForUpdateArg, SelectBase, TextualSelect
from sqlalchemy.sql.visitors import iterate
from sqlalchemy.types import TypeEngine

from quart_fleet.observation import REQUEST, log_trouble

if TYPE_CHECKING:
    from quart_fleet.database._engine import Database

Parameters = Mapping[str, object]
"""Values by the names of a statement's bind parameters."""
NO_PARAMETERS: Parameters = MappingProxyType({})

AFTER, LIMIT = "after", "limit"
"""The parameters of a page."""

_Processor = Callable[[Any], Any]

# With the driver, which the types of ranges ask for their conversion.
_DIALECT: Dialect = asyncpg_dialect(dbapi=asyncpg_dialect.import_dbapi())  # type: ignore[no-untyped-call]  # has no annotation
_ESCAPES = {"%": "\ue025", "(": "\ue028", ")": "\ue029"}
"""Characters that end a parameter's name in the middle of SQLAlchemy's compilation, and what stands for
them there. SQLAlchemy's own stand-ins for these and others (`a_b` for `a b`) are names of columns too."""


class _Compiler(_DIALECT.statement_compiler):  # type: ignore[name-defined,misc]  # PostgreSQL's own
    bindname_escape_characters = _ESCAPES


_DIALECT.statement_compiler = _Compiler
_CONVERTED_BY_ASYNCPG = (Boolean, Float, Numeric)
"""Types that asyncpg takes and gives as Python has them, without the checks of SQLAlchemy."""


class Row(Protocol):
    """One row of an answer, by column name; asyncpg's Record is one."""

    def __getitem__(self, column: str, /) -> Any: ...


class Effect(Enum):
    """What a statement does to the database."""

    READ = auto()
    LOCK = auto()
    """Reads rows and locks them until the transaction ends."""
    WRITE = auto()
    """Changes rows, or may: text is not parsed."""


class Statement:
    """A Core statement with named parameters, compiled for asyncpg; a Transaction carries it out.

    Values that the statement was written with (`limit(20)`) are kept as defaults; those that
    its columns make in Python (`default=uuid4`) are made for each execution. Types that need a
    conversion in Python, such as enumerations, get it. A list of values is
    `column == any_(bindparam(…))`: an `IN` whose length varies cannot be compiled once.

    A SELECT that calls a function which changes rows looks like a read; written as `text(…)`
    it belongs to the transaction, as all text does.
    """

    def __init__(self, element: ClauseElement) -> None:
        compiled = cast("SQLCompiler", element.compile(dialect=_DIALECT))
        if compiled.post_compile_params:
            raise ValueError("IN with a varying list: write `column == any_(bindparam(...))`")
        self.sql = compiled.string
        self.effect = _effect_of(element)
        original = {escaped: name for name, escaped in compiled.escaped_bind_names.items()}
        self.names = [original.get(name, name) for name in compiled.positiontup or ()]
        """The parameters in the order in which asyncpg takes their values."""
        self.defaults = {
            name: value
            for escaped, value in compiled.params.items()
            for name in (original.get(escaped, escaped),)
            if not compiled.binds[name].required
        }
        """Values of parameters that need not be given."""
        self.factories = dict[str, Callable[[], object]]()
        """By parameter, what makes its value for each execution."""
        # For columns' `default` and `onupdate` SQLAlchemy reserves parameters, which its own
        # engine would fill.
        reserved = [(column, column.default) for column in compiled.insert_prefetch]
        reserved += [(column, column.onupdate) for column in compiled.update_prefetch]
        for column, default in reserved:
            value = getattr(default, "arg", None)
            if callable(value):
                self.factories[column.key] = partial(value, None)  # in place of a context
            else:
                self.defaults[column.key] = value
        self.writers = [
            (position, writer)
            for position, name in enumerate(self.names)
            if (writer := _writer_of(compiled.binds[name].type)) is not None
        ]
        """By position, what converts a value that asyncpg does not take as it is."""
        self.readers = [
            (column.name, reader)
            for column in getattr(element, "exported_columns", ())
            if (reader := _reader_of(column.type)) is not None
        ]
        """By column, what converts a value that asyncpg does not give as it should be."""


def tell_of(sql: str, started: float, error: BaseException | None, database: "Database") -> None:
    """Tell the observers of a database of a statement that has just ended."""
    seconds, request, observers = perf_counter() - started, REQUEST.get(), database.observers
    statement = (sql, started, seconds, error, request)
    for ended in observers.ended_statements:
        ended.append(statement)
    for observer in observers.of_statements:
        try:
            observer.end_statement(statement, database.place)
        except Exception:
            log_trouble(observer)


@contextmanager
def telling_of(connection: asyncpg.Connection, database: "Database") -> Iterator[None]:
    """Tell of what is sent by the driver's own methods during a block.

    asyncpg logs neither prepared statements nor cursors nor COPY.
    """
    if not database.observers.have_statements:
        yield
        return

    def tell(query: Any) -> None:
        tell_of(query.query, perf_counter() - query.elapsed, query.exception, database)

    connection.add_query_logger(tell)
    try:
        yield
    finally:
        connection.remove_query_logger(tell)


def _effect_of(element: ClauseElement) -> Effect:
    if not isinstance(element, SelectBase) or isinstance(element, TextualSelect):
        return Effect.WRITE
    parts = list(iterate(element))
    if any(isinstance(part, UpdateBase) for part in parts):  # in a CTE
        return Effect.WRITE
    return Effect.LOCK if any(isinstance(part, ForUpdateArg) for part in parts) else Effect.READ


def _writer_of(kind: TypeEngine[Any]) -> _Processor | None:
    if isinstance(kind, _CONVERTED_BY_ASYNCPG):
        return None
    return kind.dialect_impl(_DIALECT).bind_processor(_DIALECT)


def _reader_of(kind: TypeEngine[Any]) -> _Processor | None:
    if isinstance(kind, (*_CONVERTED_BY_ASYNCPG, JSON)):  # JSON: Database installs a codec
        return None
    return kind.dialect_impl(_DIALECT).result_processor(_DIALECT, None)


def columns_of(table: Table) -> dict[str, Column[Any]]:
    """Return columns by their names in the database, beside which a model may give them a `key`."""
    return {column.name: column for column in table.c}


def checks_of(table: Table) -> list[CheckConstraint]:
    """Return a table's checks, also those that are written inside of a column."""
    every = [*table.constraints, *(each for column in table.c for each in column.constraints)]
    return [each for each in every if isinstance(each, CheckConstraint)]


def records_of(
    table: Table, rows: Iterable[Parameters]
) -> tuple[list[str], Iterator[list[object]]]:
    """Return the columns that the first row names, and the rows as COPY takes them."""
    remaining = iter(rows)
    first = next(remaining, None)
    if first is None:
        return [], iter(())
    columns = list(first)
    by_name = columns_of(table)
    writers = [(name, _writer_of(by_name[name].type)) for name in columns]
    records = (
        [row[name] if write is None else write(row[name]) for name, write in writers]
        for row in chain((first,), remaining)
    )
    return columns, records


def page_of(rows: Select[Any], key: ColumnElement[int] | InstrumentedAttribute[int]) -> Statement:
    """Make the statement that reads a part of `rows`: those after a key, up to a limit.

    It costs the same at any depth, where an OFFSET would count all rows before it. Raises
    ValueError where `rows` has parameters of the names `after` or `limit`, which are the page's.
    """
    taken = {part.key for part in iterate(rows) if isinstance(part, BindParameter)}
    if taken & {AFTER, LIMIT}:
        raise ValueError(f"a page binds {AFTER!r} and {LIMIT!r} itself: rename your bindparam()")
    after = bindparam(AFTER, type_=BigInteger)
    limit = bindparam(LIMIT, type_=BigInteger)
    return Statement(rows.where(key > after).order_by(key).limit(limit))


@dataclass(frozen=True, slots=True)
class WriteStatements:
    """The writes of one set of columns; each returns the whole row."""

    add: Statement
    """Returns no row where a unique field refuses it."""
    insert: Statement
    """Fails where a unique field refuses it."""
    update: Statement


class TableWrites(dict[tuple[str, ...], WriteStatements]):
    """The writes of a table by the columns that they set, compiled when they are first asked for.

    A column that the database or SQLAlchemy can fill may be left out. Generated columns and
    identities that are always generated are never set, whether named or not. Raises KeyError for
    a column that is left out without a default, and for a name of none.
    """

    def __init__(self, table: Table, has_id: ColumnElement[bool]) -> None:
        super().__init__()
        self._table = table
        self._has_id = has_id

    def __missing__(self, columns: tuple[str, ...]) -> WriteStatements:
        table = self._table
        for name in columns:
            if name not in columns_of(table):
                raise KeyError(f"{table.name} has no column {name!r}")
        for column in table.c:
            fills = (column.default, column.server_default, column.onupdate, column.server_onupdate)
            is_filled = column is table.autoincrement_column or fills.count(None) < len(fills)
            if column.name not in columns and not is_filled:
                raise KeyError(f"no value for {column.name!r} is given to a row of {table.name}")
        values: dict[Column[Any], BindParameter[Any]] = {
            column: bindparam(column.name)
            for column in table.c
            if column.name in columns
            and column.computed is None
            and not (column.identity is not None and column.identity.always)
        }
        changes = {column: value for column, value in values.items() if column.name != "id"}
        new = insert(table).values(values)
        made = self[columns] = WriteStatements(
            add=Statement(new.on_conflict_do_nothing().returning(*table.c)),
            insert=Statement(new.returning(*table.c)),
            update=Statement(update(table).where(self._has_id).values(changes).returning(*table.c)),
        )
        return made


class TableStatements:
    """The statements that every repository needs, built once for each table.

    Their parameters are named by column, so that no column can clash with another parameter.
    """

    def __init__(
        self,
        table: Table,
        unique_fields: tuple[str, ...],
        unique_sets: tuple[tuple[str, ...], ...] = (),
    ) -> None:
        rows, by_name = select(table), columns_of(table)
        # Wider than the column may be: an id that it cannot hold is simply not found.
        has_id = table.c.id == bindparam("id", type_=BigInteger)
        self.find = Statement(rows.where(has_id))
        # No key is changed: rows that refer to this one need not wait, nor deadlock with it.
        locked = rows.where(has_id).with_for_update(key_share=True)
        self.find_for_update = Statement(locked)
        self.page = page_of(rows, table.c.id)
        self.delete = Statement(delete(table).where(has_id).returning(table.c.id))
        self.writes = TableWrites(table, has_id)
        self.find_by = {
            field: Statement(rows.where(by_name[field] == bindparam(field)))
            for field in unique_fields
        }
        """For each unique field, the row that holds a value of it."""
        self.find_together = {
            fields: Statement(rows.where(*(by_name[each] == bindparam(each) for each in fields)))
            for fields in unique_sets
        }
        """The same of fields that are unique together."""
