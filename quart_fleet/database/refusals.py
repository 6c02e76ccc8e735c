"""What PostgreSQL refuses to write, as the errors that a service answers with: one table.

A service adds entries of its own at import, as in its `infrastructure/database`:

    REFUSALS["ck_products_price"] = lambda _: ValidationFailedError({"price": "Must be positive"})
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from json import dumps
from typing import Any

import asyncpg
from sqlalchemy import Column, Enum, Integer, Numeric, String, Table
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from quart_fleet.database._statement import NO_PARAMETERS, Parameters, checks_of, columns_of
from quart_fleet.database.explanations import is_unavailable
from quart_fleet.errors import (
    AlreadyExistsError,
    ConflictError,
    DatabaseUnavailableError,
    ServiceError,
    ValidationFailedError,
    no_such,
)


@dataclass(frozen=True, slots=True)
class Violation:
    """A refused write, as far as PostgreSQL and the caller tell of it."""

    error: asyncpg.PostgresError
    resource: str
    """What a message calls one row."""
    fields: tuple[str, ...]
    """The columns that it is about; none where that is not known."""
    table: Table | None
    values: Parameters | None
    """By column; None for a deletion."""
    unique_sets: tuple[tuple[str, ...], ...] = ()
    """Columns that are unique together, where a refusal names all of them."""

    @property
    def constraint(self) -> str:
        """The constraint's own name, without the kind and the table that convention puts before."""
        name, table = self.error.constraint_name or "", self.error.table_name or ""
        return re.sub(rf"^(?:[a-z]{{2}}_)?{re.escape(table)}_|_check$", "", name)

    def reject(self, reason: str) -> ValidationFailedError:
        """Return the refusal that names the fields, with the same reason for each."""
        return ValidationFailedError(dict.fromkeys(self.fields, reason))


_INDEXED = 2600
"""Characters that an index holds of a text in any case."""

Refuse = Callable[[Violation], ServiceError | None]
"""Returns None for what is no client's doing."""


def already_exists(violation: Violation) -> ServiceError:
    """Name the column that tells rows apart: in a key of several, the last that refers to none.

    Of a set that the repository has named, it is all of them.
    """
    if violation.fields in violation.unique_sets:
        return AlreadyExistsError(*violation.fields)
    own = [field for field in violation.fields if not field.endswith("_id")]
    return AlreadyExistsError([violation.constraint or "record", *violation.fields, *own][-1])


def refuse_reference(violation: Violation) -> ServiceError:
    """Tell a missing row that is referred to from one that others refer to."""
    error, key = violation.error, "_".join(violation.fields)
    own = (f"fk_{error.table_name}_{key}", f"{error.table_name}_{key}_fkey")
    is_own = bool(key) and str(error.constraint_name).startswith(own)
    is_told = str(error.table_name) in str(error.detail) and not is_own
    if violation.values is None or is_told:
        return is_in_use(violation)
    return ValidationFailedError({field: no_such(field) for field in violation.fields})


def is_in_use(violation: Violation) -> ServiceError:
    """Say that other rows refer to this one."""
    return ConflictError(f"{violation.resource} is in use")


def breaks_a_rule(violation: Violation) -> ServiceError:
    """Say that a rule of the database is broken, of a kind that has no words of its own here."""
    return ConflictError(f"{violation.resource} breaks a rule of the database")


def is_null(violation: Violation) -> ServiceError:
    """Name the column; where a row is deleted, others refer to it by ON DELETE SET NULL."""
    if violation.values is None:
        return is_in_use(violation)
    return violation.reject("Must not be null")


def is_too_long(violation: Violation) -> ServiceError:
    """Name the texts that are longer than their columns."""
    return ValidationFailedError(
        {
            name: f"Must be at most {column.type.length} character{'s'[: column.type.length != 1]}"
            for name, column, value in _written(violation)
            if isinstance(column.type, String)
            and column.type.length
            and len(str(value)) > column.type.length
        }
    )


def is_out_of_range(violation: Violation) -> ServiceError:
    """Name the numbers that their columns do not hold."""
    fields = []
    for name, column, value in _written(violation):
        kind = column.type
        if isinstance(kind, Integer):
            bits = {"BIGINT": 63, "SMALLINT": 15}.get(str(kind.compile()), 31)
            is_outside = not -(2**bits) <= value < 2**bits
        elif isinstance(kind, Numeric) and kind.precision is not None:
            bound = Decimal(10) ** (kind.precision - (kind.scale or 0))
            is_outside = str(value) != "NaN" and abs(value) >= bound
        else:
            is_outside = False
        if is_outside:
            fields.append(name)
    return ValidationFailedError(dict.fromkeys(fields, "Is out of range"))


def has_nul(violation: Violation) -> ServiceError:
    """Name the texts with a character that PostgreSQL does not store."""
    written = [(name, dumps(value, default=str)) for name, _, value in _written(violation)]
    fields = [name for name, text in written if "\\u0000" in text]
    return ValidationFailedError(dict.fromkeys(fields, "Must not contain NUL characters"))


def is_no_value(violation: Violation) -> ServiceError | None:
    """Name labels that an enumeration lacks, and ranges that end before they begin."""
    fields = [
        name
        for name, column, value in _written(violation)
        if (isinstance(column.type, Enum) and value not in column.type.enums)
        or (isinstance(value, Range) and value.lower is not None and value.upper is not None
            and value.lower > value.upper)
    ]  # fmt: skip
    return ValidationFailedError(dict.fromkeys(fields, "Is not valid")) if fields else None


def is_too_long_for_its_index(violation: Violation) -> ServiceError | None:
    """Name the longest text: PostgreSQL indexes some 2,700 bytes, after compression."""
    lengths = {name: len(value) for name, _, value in _written(violation) if isinstance(value, str)}
    if max(lengths.values(), default=0) <= _INDEXED:
        return None
    return ValidationFailedError({max(lengths, key=lengths.__getitem__): "Is too long"})


def is_not_valid(violation: Violation) -> ServiceError:
    """Name the columns of a check, or else the check itself."""
    if violation.values is None:
        return is_in_use(violation)
    if violation.fields or not violation.constraint:
        return violation.reject("Is not valid")
    return ValidationFailedError({violation.constraint: "Is not valid"})


REFUSALS: dict[str | type[Exception], Refuse] = {
    asyncpg.UniqueViolationError: already_exists,
    asyncpg.ExclusionViolationError: lambda violation: ConflictError(
        f"{violation.resource} conflicts with another one"
    ),
    asyncpg.ForeignKeyViolationError: refuse_reference,
    asyncpg.RestrictViolationError: is_in_use,
    asyncpg.CheckViolationError: is_not_valid,
    asyncpg.NotNullViolationError: is_null,
    asyncpg.StringDataRightTruncationError: is_too_long,
    asyncpg.NumericValueOutOfRangeError: is_out_of_range,
    asyncpg.DatetimeFieldOverflowError: is_out_of_range,
    asyncpg.IntervalFieldOverflowError: is_out_of_range,
    OverflowError: is_out_of_range,
    asyncpg.CharacterNotInRepertoireError: has_nul,
    asyncpg.UntranslatableCharacterError: has_nul,
    asyncpg.ProgramLimitExceededError: is_too_long_for_its_index,
    asyncpg.DataError: is_no_value,
    asyncpg.IntegrityConstraintViolationError: breaks_a_rule,
    asyncpg.TransactionIntegrityConstraintViolationError: breaks_a_rule,
    asyncpg.WithCheckOptionViolationError: breaks_a_rule,
}
"""By a constraint's name, which comes first, or by the class of what the driver raises; asyncpg
raises OverflowError below its DataError, before it sends a number that no column could hold."""


def find_refusal(
    error: BaseException,
    resource: str = "Record",
    table: Table | None = None,
    values: Parameters | None = NO_PARAMETERS,
    unique_sets: tuple[tuple[str, ...], ...] = (),
) -> ServiceError | None:
    """Return what a client is told of a driver's error; None for one that is no client's doing.

    Args:
        error: what asyncpg has raised.
        resource: what a message calls one row.
        table: the model's, by which the columns of checks and lengths are found.
        values: what was to be written, by column; None for a deletion.
        unique_sets: columns that are unique together.
    """
    if isinstance(error, PoolTimeoutError):
        return DatabaseUnavailableError()  # of `Database.sessions()`, which have their own pool
    if not isinstance(error, asyncpg.PostgresError):
        return None
    kinds = [*type(error.__cause__).__mro__, *type(error).__mro__]
    names = (getattr(error, "constraint_name", None), *kinds)
    refuse = next((REFUSALS[name] for name in names if name in REFUSALS), None)
    if refuse is None:
        if not (error.sqlstate or "").startswith("23"):
            return DatabaseUnavailableError() if is_unavailable(error) else None
        refuse = breaks_a_rule  # of a code that a trigger has made up
    fields = _fields_of(error, table)
    return refuse(Violation(error, resource, fields, table, values, unique_sets))


def find_refusal_among(
    error: BaseException, resource: str, table: Table, rows: Sequence[Parameters], field: str
) -> ServiceError | None:
    """Return the same for rows that were written by one statement, which are parts of another one.

    Fields are named by the row's place: `lines.0.quantity`. Of several rows it is the one with the
    value that PostgreSQL names, else the first that has a wrong one.
    """
    named = re.search(r"\)=\((.*)\)", str(getattr(error, "detail", "")))
    refusal: ServiceError | None = None
    for number, row in enumerate(rows):
        refusal = find_refusal(error, resource, table, row)
        if not isinstance(refusal, ValidationFailedError):
            return refusal
        errors = {
            f"{field}.{number}.{name}": reason
            for name, reason in refusal.errors.items()
            if named is None or named[1] == str(row.get(name))
        }
        if errors:
            return ValidationFailedError(errors)
    return refusal


def _fields_of(error: asyncpg.PostgresError, table: Table | None) -> tuple[str, ...]:
    """Find the columns in what PostgreSQL tells, which is in the server's language."""
    if column := getattr(error, "column_name", None):
        return (column,)
    constraint = getattr(error, "constraint_name", None)
    if domain := getattr(error, "data_type_name", None):
        columns = columns_of(table).items() if table is not None else ()
        return tuple(name for name, column in columns if getattr(column.type, "name", "") == domain)
    # A check's detail is the row, which may hold any text.
    detail = "" if isinstance(error, asyncpg.CheckViolationError) and constraint else error.detail
    key = re.search(r"\((.+?)\) ?= ?\(", detail or "")
    text = key[1] if key else ""
    for each in checks_of(table) if table is not None and not key else ():
        if str(each.name) == constraint:
            text = str(each.sqltext)
    # Of an expression as lower(name::text), what is neither a function, a type nor a text.
    words = re.findall(
        r"(?<!:)\"([^\"]+)\"|(?<![:\w])([A-Za-z_]\w*)(?![\w(])", re.sub(r"'[^']*'", "", text)
    )
    found = dict.fromkeys(quoted or plain for quoted, plain in words)
    return tuple(name for name in found if table is None or name in columns_of(table))


def _written(violation: Violation) -> list[tuple[str, Column[Any], Any]]:
    """Return the columns that were to be written, where the table is known, with their values."""
    if violation.table is None:
        return []
    columns = columns_of(violation.table)
    return [
        (name, columns[name], value)
        for name, value in (violation.values or {}).items()
        if name in columns and value is not None
    ]
