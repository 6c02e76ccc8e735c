"""What the base of the repositories does where a table says more than its repository."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
import pytest

from shared.database.engine import Database
from shared.database.repository import SQLAlchemyRepository
from shared.database.statement import Row
from shared.database.transaction import Transaction
from shared.errors import AlreadyExistsError
from shared.models.user import UserModel


@dataclass
class Person:
    username: str
    email: str
    age: int | None = None
    id: int | None = None


class People(SQLAlchemyRepository[Person, UserModel]):
    """Users, of which the repository knows one unique field only."""

    model = UserModel
    resource = "Person"
    unique_fields = ("username",)

    def _to_entity(self, row: Row) -> Person:
        return Person(row["username"], row["email"], row["age"], row["id"])

    def _to_row(self, entity: Person) -> dict[str, object]:
        empty = dict.fromkeys(("first_name", "last_name"))
        values = {"username": entity.username, "email": entity.email, "age": entity.age}
        return {**empty, **values, "is_active": True}


@pytest.fixture
async def people(database: Database) -> AsyncIterator[People]:
    async with Transaction(database) as transaction:
        yield People(transaction)


async def test_a_unique_field_that_the_repository_names_is_refused_by_name(
    people: People,
) -> None:
    await people.add(Person("ada", "ada@example.com"))

    with pytest.raises(AlreadyExistsError, match="Username already exists"):
        await people.add(Person("ada", "other@example.com"))


async def test_a_unique_field_that_it_does_not_name_fails_and_ends(people: People) -> None:
    await people.add(Person("ada", "ada@example.com"))

    with pytest.raises(asyncpg.UniqueViolationError, match="uq_users_email"):
        await people.add(Person("grace", "ada@example.com"))


async def test_a_column_that_is_given_no_value_is_named(database: Database) -> None:
    class Forgetful(People):
        def _to_row(self, entity: Person) -> dict[str, object]:
            return {"username": entity.username, "email": entity.email}

    async with Transaction(database) as transaction:
        with pytest.raises(KeyError, match="first_name"):
            await Forgetful(transaction).add(Person("ada", "ada@example.com"))
