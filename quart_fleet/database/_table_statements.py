"""The statements that every repository needs, built once for each table."""

from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Select,
    Table,
    bindparam,
    delete,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import InstrumentedAttribute

from quart_fleet.database._statement import Statement

AFTER, LIMIT = "after", "limit"
"""The parameters of a page."""
SET_BY_DATABASE = frozenset({"id", "created_at", "updated_at"})
RECORD_ID = "record_id"
"""The parameter of an id: `id` itself is a column's name, which an UPDATE reserves."""


@dataclass(frozen=True, slots=True)
class Statements:
    """Statements with bound parameters, named by column; each returns whole rows."""

    find: Statement
    find_for_update: Statement
    page: Statement
    add: Statement
    """Returns no row where a unique field refuses it."""
    insert: Statement
    """Fails where a unique field refuses it."""
    update: Statement
    delete: Statement
    find_by: dict[str, Statement]
    """For each unique field, the row that holds a value of it."""
    unique_constraints: dict[str, str]
    """The constraint's name to the field that it keeps unique."""

    @classmethod
    def of(cls, table: Table, unique_fields: tuple[str, ...]) -> Self:
        """Build the statements of `table`."""
        chosen = table.c.id == bindparam(RECORD_ID)
        values: dict[str, BindParameter[object]] = {
            c.name: bindparam(c.name) for c in table.c if c.name not in SET_BY_DATABASE
        }
        rows = select(table)
        new = insert(table).values(values)
        return cls(
            find=Statement(rows.where(chosen)),
            find_for_update=Statement(rows.where(chosen).with_for_update()),
            page=page_of(rows, table.c.id),
            add=Statement(new.on_conflict_do_nothing().returning(*table.c)),
            insert=Statement(new.returning(*table.c)),
            update=Statement(update(table).where(chosen).values(values).returning(*table.c)),
            delete=Statement(delete(table).where(chosen).returning(table.c.id)),
            find_by={f: Statement(rows.where(table.c[f] == bindparam(f))) for f in unique_fields},
            unique_constraints={f"uq_{table.name}_{f}": f for f in unique_fields},
        )


def page_of(rows: Select[Any], key: ColumnElement[int] | InstrumentedAttribute[int]) -> Statement:
    """Make the statement that reads a part of `rows`: those after a key, up to a limit.

    It costs the same at any depth, where an OFFSET would count all rows before it.
    """
    after = bindparam(AFTER, type_=BigInteger)
    limit = bindparam(LIMIT, type_=BigInteger)
    return Statement(rows.where(key > after).order_by(key).limit(limit))
