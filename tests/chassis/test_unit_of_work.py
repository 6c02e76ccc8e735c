"""How a unit of work begins."""

import pytest

from quart_fleet.database._engine import Database
from quart_fleet.database._transaction import Transaction
from quart_fleet.database._unit_of_work import SQLAlchemyUnitOfWork
from quart_fleet.settings import DatabaseSettings


class BrokenUnitOfWork(SQLAlchemyUnitOfWork):
    """One whose author has made a mistake."""

    def _open_repositories(self, transaction: Transaction) -> None:
        raise ZeroDivisionError


async def test_one_that_cannot_begin_keeps_no_connection(database_url: str) -> None:
    config = DatabaseSettings.model_validate({"DATABASE_URL": database_url, "DB_POOL_SIZE": 1})
    async with Database(config) as database:
        with pytest.raises(ZeroDivisionError):
            async with BrokenUnitOfWork(database):
                pass

        await database.ping()
