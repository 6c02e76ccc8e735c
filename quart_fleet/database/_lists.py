"""The statements of lists with filters and orders, compiled once for each shape of a query.

A page is read in parts, each a range of one index that is read in its own order, so that nothing is
sorted: rows that have the first values of the last row and go beyond it in the next one, and rows
without a value, which come last even where the index has them first. Conditions for which the index
has no column are checked while it is read.
"""

import operator
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from itertools import count

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Table,
    Text,
    UnaryExpression,
    any_,
    bindparam,
    func,
    or_,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY

from quart_fleet.database._statement import LIMIT, Parameters, Statement, columns_of
from quart_fleet.paging import ListQuery, SortKey

_SHAPES = 256
"""Statements kept for each table; another one is compiled when it is asked for, in a millisecond."""


class Test(Enum):
    """What is asked of a field, or of several as one row."""

    EQUAL = auto()
    AMONG = auto()
    AMONG_OR_NULL = auto()
    NULL = auto()
    NOT_NULL = auto()
    AT_LEAST = auto()
    AT_MOST = auto()
    ABOVE = auto()
    BELOW = auto()
    CONTAINS = auto()
    """One of the fields matches a pattern of LIKE."""


@dataclass(frozen=True, slots=True)
class Clause:
    """A test without the values that it compares with."""

    test: Test
    fields: tuple[str, ...]


Part = list[tuple[Clause, tuple[object, ...]]]
"""Clauses that hold together, with their values."""


class ListStatements:
    """The statements of one table."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._columns = columns_of(table)
        self._page = lru_cache(_SHAPES)(self._compile_page)
        self._count = lru_cache(_SHAPES)(self._compile_count)

    def pages(self, query: ListQuery) -> Iterator[tuple[Statement, Parameters]]:
        """Yield what reads the rows of a page, one after the other until there are enough.

        Each takes the number of rows that are still wanted as the parameter `limit`.
        """
        keys = query.varying
        parts: Iterable[Part] = ([],)
        if query.after is not None:
            parts = self._beyond(keys, query.after)
        elif query.is_backward and keys and self._is_nullable(keys[0]):
            field = (keys[0].field,)
            parts = [(Clause(Test.NOT_NULL, field), ())], [(Clause(Test.NULL, field), ())]
        for part in parts:
            whole = [*_conditions(query), *part]
            yield self._page(_clauses(whole), query.order, query.is_backward), _parameters(whole)

    def total(self, query: ListQuery) -> tuple[Statement, Parameters]:
        """Return what counts the rows that meet the conditions, as `total`."""
        conditions = _conditions(query)
        return self._count(_clauses(conditions)), _parameters(conditions)

    def _beyond(self, keys: Sequence[SortKey], values: Sequence[object]) -> Iterator[Part]:
        """Yield the parts that follow a row which has these values in these keys."""
        if not keys:
            return
        head, rest = keys[0], keys[1:]
        field, value = (head.field,), (values[0],)
        if value == (None,):
            for part in self._beyond(rest, values[1:]):
                yield [(Clause(Test.NULL, field), ()), *part]
            return
        beyond = Test.BELOW if head.descending else Test.ABOVE
        if all(key.descending is head.descending and not self._is_nullable(key) for key in rest):
            yield [(Clause(beyond, tuple(key.field for key in keys)), tuple(values))]
        else:
            for part in self._beyond(rest, values[1:]):
                yield [(Clause(Test.EQUAL, field), value), *part]
            yield [(Clause(beyond, field), value)]
        if self._is_nullable(head):
            yield [(Clause(Test.NULL, field), ())]

    def _is_nullable(self, key: SortKey) -> bool:
        return bool(self._columns[key.field].nullable)

    def _compile_page(
        self, clauses: tuple[Clause, ...], order: tuple[SortKey, ...], is_backward: bool
    ) -> Statement:
        return Statement(
            select(self._table)
            .where(*self._where(clauses))
            .order_by(*(self._ordered(key, is_backward) for key in order))
            .limit(bindparam(LIMIT, type_=BigInteger))
        )

    def _compile_count(self, clauses: tuple[Clause, ...]) -> Statement:
        counted = select(func.count().label("total")).select_from(self._table)
        return Statement(counted.where(*self._where(clauses)))

    def _ordered(self, key: SortKey, is_backward: bool) -> UnaryExpression[object]:
        """Return a key as the index has it, or else PostgreSQL would sort what it reads."""
        column = self._columns[key.field]
        ordered = column.desc() if key.descending else column.asc()
        return ordered.nulls_first() if is_backward else ordered.nulls_last()

    def _where(self, clauses: Iterable[Clause]) -> Iterator[ColumnElement[bool]]:
        names = map(_NAME, count())
        for clause in clauses:
            columns = [self._columns[field] for field in clause.fields]
            column = columns[0]
            match clause.test:
                case Test.NULL:
                    yield column.is_(None)
                case Test.NOT_NULL:
                    yield column.is_not(None)
                case Test.AMONG | Test.AMONG_OR_NULL:
                    some = bindparam(next(names), type_=ARRAY(column.type))
                    among = column == any_(some)
                    is_null = clause.test is Test.AMONG_OR_NULL
                    yield or_(among, column.is_(None)) if is_null else among
                case Test.CONTAINS:
                    pattern = bindparam(next(names), type_=Text())
                    yield or_(*(each.ilike(pattern) for each in columns))
                case test if len(columns) == 1:
                    yield _COMPARE[test](column, bindparam(next(names), type_=column.type))
                case test:
                    row = [bindparam(next(names), type_=each.type) for each in columns]
                    yield _COMPARE[test](tuple_(*columns), tuple_(*row))


_COMPARE = {
    Test.EQUAL: operator.eq,
    Test.AT_LEAST: operator.ge,
    Test.AT_MOST: operator.le,
    Test.ABOVE: operator.gt,
    Test.BELOW: operator.lt,
}
_NAME = "value_{}".format


def _conditions(query: ListQuery) -> Part:
    """Return what the query asks of every row."""
    found: Part = []
    for condition in query.conditions:
        field = (condition.field,)
        values = [value for value in condition.values if value is not None]
        has_null = None in condition.values
        if len(values) > 1 or (values and has_null):
            test = Test.AMONG_OR_NULL if has_null else Test.AMONG
            found.append((Clause(test, field), (values,)))
        elif values:
            found.append((Clause(Test.EQUAL, field), tuple(values)))
        elif has_null:
            found.append((Clause(Test.NULL, field), ()))
        if condition.least is not None:
            found.append((Clause(Test.AT_LEAST, field), (condition.least,)))
        if condition.greatest is not None:
            found.append((Clause(Test.AT_MOST, field), (condition.greatest,)))
    if query.search is not None:
        escaped = re.sub(r"([\\%_])", r"\\\1", query.search.text)
        found.append((Clause(Test.CONTAINS, query.search.fields), (f"%{escaped}%",)))
    return found


def _parameters(part: Part) -> dict[str, object]:
    """Return the values of all clauses by the names that `_where` has for them."""
    return {
        _NAME(number): value
        for number, value in enumerate(value for _, values in part for value in values)
    }


def _clauses(part: Part) -> tuple[Clause, ...]:
    return tuple(clause for clause, _ in part)
