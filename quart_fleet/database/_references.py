"""Which rows that a refused write refers to are missing: all of them, where PostgreSQL names the first."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from sqlalchemy import BigInteger, Column, Table, bindparam, column, exists, func, select, table
from sqlalchemy.dialects.postgresql import ARRAY

from quart_fleet.database._statement import Parameters, Statement, columns_of
from quart_fleet.database._transaction import Transaction
from quart_fleet.errors import no_such

_IDS, _SOUGHT = "ids", "sought_id"


@dataclass(frozen=True, slots=True)
class Reference:
    """An id that a row has of another one."""

    key: str
    """Where it is in a body: `category_id`, `lines.0.product_id`."""
    target: str
    """The column that should have it, behind its table: `products.id`."""
    id: int
    missing: str
    """What is said where there is none."""


def references_of(table: Table, row: Parameters, prefix: str = "") -> Iterator[Reference]:
    """Yield the references of a row that is to be written, each by the name of its column."""
    for name, each in columns_of(table).items():
        value = row.get(name)
        if isinstance(value, int):
            for target in targets_of(each):
                yield Reference(f"{prefix}{name}", target, value, no_such(name))


def targets_of(column: Column[object]) -> list[str]:
    """Return what the foreign keys of one column refer to."""
    return [
        key.target_fullname
        for key in column.foreign_keys
        if key.constraint is not None and len(key.constraint.columns) == 1
    ]


async def find_missing(transaction: Transaction, references: Iterable[Reference]) -> dict[str, str]:
    """Return what is said of each reference to nothing, by its key: one statement for each table."""
    by_target = dict[str, list[Reference]]()
    for each in references:
        by_target.setdefault(each.target, []).append(each)
    errors = dict[str, str]()
    for target, found in by_target.items():
        ids = sorted({each.id for each in found})
        absent = {row[_SOUGHT] for row in await transaction.fetch(_absent(target), {_IDS: ids})}
        errors |= {each.key: each.missing for each in found if each.id in absent}
    return errors


@cache
def _absent(target: str) -> Statement:
    """Return what yields those of some ids that a table has not."""
    place, _, key = target.rpartition(".")
    schema, _, name = place.rpartition(".")
    other = table(name, column(key), schema=schema or None)
    given = func.unnest(bindparam(_IDS, type_=ARRAY(BigInteger))).column_valued(_SOUGHT)
    return Statement(select(given).where(~exists().where(other.c[key] == given)))
