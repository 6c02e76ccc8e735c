"""What the base of the repositories does where a table says more than its repository."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
import pytest

from quart_fleet.database._engine import Database
from quart_fleet.database._repository import SQLAlchemyRepository
from quart_fleet.database._statement import Parameters, Row
from quart_fleet.database._transaction import Transaction
from quart_fleet.errors import AlreadyExistsError
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


async def test_of_many_who_ask_at_once_one_is_kept(database: Database) -> None:
    async def register(number: int) -> Person:
        async with Transaction(database) as work:
            person = Person("ada", f"{number}@example.com")
            return await work.commit_with(People(work).add(person))

    outcomes = await asyncio.gather(*map(register, range(20)), return_exceptions=True)

    refusals = [outcome for outcome in outcomes if isinstance(outcome, AlreadyExistsError)]
    assert {str(refusal) for refusal in refusals} == {"Username already exists"}
    assert len(refusals) == 19
    async with Transaction(database) as work:
        assert len(await People(work).list_page(0, 100)) == 1


async def test_when_what_was_in_the_way_is_gone_the_second_try_is_kept(
    database: Database,
) -> None:
    class Late(People):
        """Looks for what was in the way when that is gone."""

        async def _raise_if_taken(self, values: Parameters) -> None:
            async with Transaction(database) as other:
                await other.commit_with(People(other).delete(ada.id or 0))
            await super()._raise_if_taken(values)

    async with Transaction(database) as work:
        ada = await work.commit_with(People(work).add(Person("ada", "ada@example.com")))

    async with Transaction(database) as work:
        other = await work.commit_with(Late(work).add(Person("ada", "other@example.com")))

    async with Transaction(database) as work:
        assert await People(work).list_page(0, 100) == [other]
