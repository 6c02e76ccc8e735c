"""Access to PostgreSQL: the pool of connections, statements, units of work, repositories.

`Database`
    opened once for each process; its connections are the pool's.
`SQLAlchemyUnitOfWork`
    one business transaction; a service derives one, which opens its repositories. `commit`
    keeps the writes, `autocommit()` each one at once, `savepoint()` undoes a part.
`SQLAlchemyRepository`
    the entities of one table; a service derives one for each.
`SQLAlchemyParts`
    what belongs to the entities of a table, and is read and written with them.
`Pairs`
    the ids of other rows that entities are connected with, in a table of pairs.
`Statement`, `page_of`
    SQLAlchemy's statements, compiled once, for a repository's own queries.
`Transaction`
    what a repository sends them to, as `self._transaction`: `fetch`, `fetch_first`, `execute`
    (a count), `execute_many`, `copy`, `savepoint`, `session` (the ORM) and `connection` (the
    driver), all inside the unit of work.
`REFUSALS`, `Violation`
    what a client is told of a write that PostgreSQL refuses, by constraint or by kind.
`RevisionCheck`
    warns at the start of a database whose revision is not the code's.

Repositories build their statements with SQLAlchemy once, and asyncpg runs them:

    _ADULTS = Statement(
        select(func.count().label("adults"))
        .select_from(UserModel)
        .where(UserModel.age >= bindparam("age"))
    )

    async def count_adults(self) -> int:
        row = await self._transaction.fetch_first(_ADULTS, {"age": 18})
        return row["adults"] if row else 0
"""

from quart_fleet.database._engine import Database, DatabaseServer
from quart_fleet.database._pairs import Pairs
from quart_fleet.database._parts import SQLAlchemyParts
from quart_fleet.database._repository import SQLAlchemyRepository
from quart_fleet.database._revision_check import RevisionCheck
from quart_fleet.database._statement import Parameters, Row, Statement, page_of
from quart_fleet.database._transaction import SQLAlchemyUnitOfWork, Transaction
from quart_fleet.database.refusals import REFUSALS, Violation

__all__ = [
    "REFUSALS",
    "Database",
    "DatabaseServer",
    "Pairs",
    "Parameters",
    "RevisionCheck",
    "Row",
    "SQLAlchemyParts",
    "SQLAlchemyRepository",
    "SQLAlchemyUnitOfWork",
    "Statement",
    "Transaction",
    "Violation",
    "page_of",
]
