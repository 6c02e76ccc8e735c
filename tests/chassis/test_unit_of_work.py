"""Units of work: how they begin, autocommit and nest, on a real PostgreSQL."""

import pytest

from quart_fleet.database import Database, SQLAlchemyUnitOfWork, Transaction
from tests.chassis.users import ADD, config, count


class Work(SQLAlchemyUnitOfWork):
    """A unit of work whose transaction stands in for its repositories."""

    def _open_repositories(self, transaction: Transaction) -> None:
        self.transaction = transaction


class BrokenUnitOfWork(SQLAlchemyUnitOfWork):
    """A unit of work that cannot open its repositories."""

    def _open_repositories(self, transaction: Transaction) -> None:
        raise ZeroDivisionError


async def test_a_unit_of_work_that_cannot_begin_keeps_no_connection(database_url: str) -> None:
    async with Database(config(database_url, DB_POOL_SIZE=1)) as database:
        with pytest.raises(ZeroDivisionError):
            async with BrokenUnitOfWork(database):
                pass

        await database.ping()


async def test_a_unit_of_work_keeps_what_it_commits(database: Database) -> None:
    async with Work(database) as work:
        await work.transaction.execute(ADD, {"name": "ada"})
        await work.commit()
        await work.transaction.execute(ADD, {"name": "grace"})

    assert await count(database) == 1


async def test_an_autocommit_unit_of_work_keeps_each_statement(database: Database) -> None:
    async with Work(database).autocommit() as work:
        await work.transaction.execute(ADD, {"name": "ada"})

        assert await count(database) == 1


async def test_autocommit_is_refused_inside_the_unit_of_work(database: Database) -> None:
    async with Work(database) as work:
        with pytest.raises(RuntimeError, match="before the unit of work is entered"):
            work.autocommit()


async def test_a_savepoint_of_a_unit_of_work_undoes_its_block_only(database: Database) -> None:
    async with Work(database) as work:
        await work.transaction.execute(ADD, {"name": "ada"})
        with pytest.raises(ZeroDivisionError):
            await add_and_fail(work)
        await work.commit()

    assert await count(database) == 1


async def add_and_fail(work: Work) -> None:
    async with work.savepoint():
        await work.transaction.execute(ADD, {"name": "grace"})
        raise ZeroDivisionError
