"""Users in a database, for the tests that write and count them."""

from sqlalchemy import bindparam, func, select
from sqlalchemy.dialects.postgresql import insert

from quart_fleet.database._engine import Database
from quart_fleet.database._statement import Statement
from quart_fleet.database._transaction import Transaction
from quart_fleet.settings import DatabaseSettings
from shared.models.user import UserModel

ADD = Statement(
    insert(UserModel)
    .values(username=bindparam("name"), email=bindparam("name"))
    .returning(UserModel.__table__)
)
COUNT = Statement(select(func.count().label("users")).select_from(UserModel))


def config(url: str | None, **settings: object) -> DatabaseSettings:
    return DatabaseSettings.model_validate({"DATABASE_URL": url, **settings})


async def count(database: Database) -> int:
    async with Transaction(database) as transaction:
        row = await transaction.fetch_first(COUNT, {})
    assert row is not None
    return int(row["users"])


async def close_others(database: Database) -> None:
    """Have the server close every other connection to this database, as a restart does."""
    async with database.connect() as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        )
