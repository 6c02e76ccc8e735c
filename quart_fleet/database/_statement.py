"""How SQL reaches the driver: SQLAlchemy writes a statement once, asyncpg runs it.

SQLAlchemy's own way to asyncpg compiles, adapts and wraps on every request; what it compiles
to never changes. Measured on a service's read by id, running the compiled SQL on asyncpg
serves about twice as many requests.
"""

from collections.abc import Callable, Mapping
from json import loads
from typing import Any, Protocol, cast

from sqlalchemy import JSON, Boolean, Float, Numeric
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

Parameters = Mapping[str, object]
Processor = Callable[[Any], Any]

_DIALECT: Dialect = asyncpg_dialect()  # type: ignore[no-untyped-call]  # has no annotation
_NATIVE = (Boolean, Float, Numeric)
"""Types that asyncpg takes and gives as Python has them, whatever SQLAlchemy would check."""


class Row(Protocol):
    """One row of an answer, by column name; asyncpg's Record is one."""

    def __getitem__(self, column: str, /) -> Any: ...


class Statement:
    """A Core statement with named parameters, ready for asyncpg.

    Values that the statement was written with (`limit(20)`) are kept as defaults. Types that
    need a conversion in Python (enumerations, JSON) get it. A list of values is
    `column == any_(bindparam(…))`: an `IN` whose length varies cannot be compiled once.
    """

    def __init__(self, element: ClauseElement) -> None:
        compiled = cast("SQLCompiler", element.compile(dialect=_DIALECT))
        if compiled.post_compile_params:
            raise ValueError("IN with a varying list: write `column == any_(bindparam(...))`")
        self.sql = compiled.string
        self._names: list[str] = list(compiled.positiontup or ())
        self._defaults = {
            name: value
            for name, value in compiled.params.items()
            if not compiled.binds[name].required
        }
        self._writers = _processors(
            {name: compiled.binds[name].type for name in self._names}, _writer_of
        )
        columns = _columns_of(element)
        self.returns_rows = bool(columns)
        self._readers = _processors(columns, _reader_of)

    def arguments(self, parameters: Parameters) -> list[object]:
        """Return the values in the order in which asyncpg takes them.

        Raises KeyError, which names the parameter and the statement, where one is missing.
        """
        values = {**self._defaults, **parameters}
        try:
            if not self._writers:
                return [values[name] for name in self._names]
            written = {name: write(values[name]) for name, write in self._writers.items()}
        except KeyError as missing:
            raise KeyError(f"no value for {missing} is given to: {self.sql}") from None
        return [written.get(name, values[name]) for name in self._names]

    def rows(self, records: list[Row]) -> list[Row]:
        """Return the records of an answer with their values converted."""
        return [self.row(record) for record in records] if self._readers else records

    def row(self, record: Row) -> Row:
        """Do so with one."""
        if not self._readers:
            return record
        values: dict[str, Any] = dict(cast("Mapping[str, Any]", record))
        return values | {name: read(values[name]) for name, read in self._readers.items()}


def _columns_of(element: ClauseElement) -> dict[str, TypeEngine[Any]]:
    """Return the columns that the statement answers with; none where it returns no rows."""
    columns = getattr(element, "exported_columns", ())
    return {column.name: column.type for column in columns}


def _writer_of(kind: TypeEngine[Any]) -> Processor | None:
    if isinstance(kind, _NATIVE):
        return None
    return kind.dialect_impl(_DIALECT).bind_processor(_DIALECT)


def _reader_of(kind: TypeEngine[Any]) -> Processor | None:
    if isinstance(kind, _NATIVE):
        return None
    if isinstance(kind, JSON):
        return _read_json
    return kind.dialect_impl(_DIALECT).result_processor(_DIALECT, None)


def _read_json(text: str | None) -> object:
    """Read what asyncpg leaves as text; SQLAlchemy's engines install a codec instead."""
    return None if text is None else loads(text)


def _processors(
    types: dict[str, TypeEngine[Any]],
    processor_of: Callable[[TypeEngine[Any]], Processor | None],
) -> dict[str, Processor]:
    found = ((name, processor_of(kind)) for name, kind in types.items())
    return {name: processor for name, processor in found if processor is not None}
