"""Access to PostgreSQL: the pool of connections, statements, the unit of work, repositories.

Repositories build their statements with SQLAlchemy once, and asyncpg runs them.
"""

from quart_fleet.database._engine import Database, DatabaseServer
from quart_fleet.database._repository import SQLAlchemyRepository
from quart_fleet.database._revision_check import RevisionCheck
from quart_fleet.database._statement import Parameters, Row, Statement, page_of
from quart_fleet.database._transaction import Transaction
from quart_fleet.database._unit_of_work import SQLAlchemyUnitOfWork

__all__ = [
    "Database",
    "DatabaseServer",
    "Parameters",
    "RevisionCheck",
    "Row",
    "SQLAlchemyRepository",
    "SQLAlchemyUnitOfWork",
    "Statement",
    "Transaction",
    "page_of",
]
