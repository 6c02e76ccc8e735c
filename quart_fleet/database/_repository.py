"""The base of the repositories: what every table answers, in plain Core statements."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Generic, NoReturn, Protocol, TypeVar, cast

import asyncpg
from sqlalchemy import Table
from sqlalchemy.orm import DeclarativeBase

from quart_fleet.database._lists import ListStatements
from quart_fleet.database._pairs import Pairs
from quart_fleet.database._parts import SQLAlchemyParts
from quart_fleet.database._references import find_missing, references_of
from quart_fleet.database._statement import (
    AFTER,
    LIMIT,
    NO_PARAMETERS,
    Parameters,
    Row,
    Statement,
    TableStatements,
)
from quart_fleet.database._transaction import Transaction
from quart_fleet.database.refusals import find_refusal
from quart_fleet.errors import (
    AlreadyExistsError,
    NotFoundError,
    ServiceError,
    ValidationFailedError,
)
from quart_fleet.paging import ListQuery, Page

LARGEST_ID = 2**63 - 1
"""What PostgreSQL's bigint holds; the driver refuses a larger one."""


class Identified(Protocol):
    """An entity: None until the database has given it an id."""

    id: int | None


EntityT = TypeVar("EntityT", bound=Identified)
ModelT = TypeVar("ModelT", bound=DeclarativeBase)


class SQLAlchemyRepository(ABC, Generic[EntityT, ModelT]):
    """The entities of one table, mapped explicitly in both directions.

    A derived class names its model, what a message calls one entity, the unique fields in the
    order in which a refusal names them, and after them the sets that are unique together.
    """

    model: type[ModelT]
    resource: ClassVar[str]
    unique_fields: ClassVar[tuple[str, ...]] = ()
    unique_sets: ClassVar[tuple[tuple[str, ...], ...]] = ()
    unique_references: ClassVar[tuple[str, ...]] = ()
    """Those of them that are ids of other rows: a refusal calls `category_id` the category."""
    parts: ClassVar[tuple[SQLAlchemyParts[Any, Any] | Pairs, ...]] = ()
    """What is read with each entity, and written with it in one transaction."""
    _statements: ClassVar[TableStatements]
    _lists: ClassVar[ListStatements]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        table = cast("Table", cls.model.__table__)
        cls._statements = TableStatements(table, cls.unique_fields, cls.unique_sets)
        cls._lists = ListStatements(table)

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    @abstractmethod
    def _to_entity(self, row: Row) -> EntityT:
        """Make the entity of a whole row."""

    @abstractmethod
    def _to_row(self, entity: EntityT) -> dict[str, object]:
        """Return values by column.

        A column that has a default may be left out: `add` lets it be filled, `update` leaves it
        as it is. `id`, generated columns and identities that are always generated are the
        database's; values for them are not written.
        """

    async def get(self, record_id: int) -> EntityT:
        """Return the entity with this id; raises NotFoundError."""
        entity = await self._read(self._statements.find, self._chosen(record_id))
        if entity is None:
            raise NotFoundError(self.resource)
        return entity

    async def get_for_update(self, record_id: int) -> EntityT:
        """Return the entity and keep others from changing it until the unit of work ends.

        Raises NotFoundError.
        """
        entity = await self._find(self._statements.find_for_update, self._chosen(record_id))
        if entity is None:
            raise NotFoundError(self.resource)
        return entity

    async def list_page(self, after: int, limit: int) -> list[EntityT]:
        """Return at most `limit` entities whose ids are above `after`, oldest first."""
        return await self._list_page(self._statements.page, after, limit)

    async def list_by(self, query: ListQuery) -> Page[EntityT]:
        """Return what a query asks for; where it asks for the number of all, by another statement."""
        if self.parts:
            return await self._transaction.in_snapshot(lambda: self._list_by(query))
        return await self._list_by(query)

    async def _list_by(self, query: ListQuery) -> Page[EntityT]:
        rows: list[Row] = []
        for page, parameters in self._lists.pages(query):
            wanted = query.limit + 1 - len(rows)
            rows += await self._transaction.fetch(page, {**parameters, LIMIT: wanted})
            if len(rows) > query.limit:
                break
        counted = None
        if query.is_counted:
            counted = await self._transaction.fetch_first(*self._lists.total(query))
        return Page(
            await self._entities_of(rows[: query.limit]),
            tuple(rows[query.limit - 1][key.field] for key in query.varying)
            if len(rows) > query.limit
            else None,
            None if counted is None else counted["total"],
        )

    async def add(self, entity: EntityT) -> EntityT:
        """Insert the entity and return it as stored; raises AlreadyExistsError and other refusals.

        One statement decides, however many ask at once. Only a refusal looks up which field
        it was; should the record in the way be gone by then, the insert is tried again.
        """
        values = self._to_row(entity)
        statements = self._statements.writes[tuple(values)]
        if self.parts:
            await self._transaction.begin()
        try:
            row = await self._transaction.fetch_first(statements.add, values)
            if row is not None:
                return await self._stored(row, entity)
            for field in self.unique_fields:
                if field in values and await self._find_by(field, values[field]) is not None:
                    raise self._already_exists(field)
            for fields in self.unique_sets:
                together = {field: values[field] for field in fields if field in values}
                find = self._statements.find_together[fields]
                if len(together) == len(fields) and await self._transaction.fetch_first(
                    find, together
                ):
                    raise self._already_exists(*fields)
            row = await self._transaction.fetch_first(statements.insert, values)
            return await self._stored(row, entity)
        except (asyncpg.PostgresError, ValidationFailedError) as error:
            self._refuse(error, values, entity)

    def unique_values(self, entity: EntityT) -> list[dict[str, object]]:
        """Return what no other may have of an entity: values by column, null being equal to nothing."""
        row = self._to_row(entity)
        keys = [(field,) for field in self.unique_fields]
        every = [{name: row.get(name) for name in key} for key in (*keys, *self.unique_sets)]
        return [key for key in every if None not in key.values()]

    async def find_any(self, keys: Sequence[Mapping[str, object]]) -> int | None:
        """Return the id of the first entity that has one of these `unique_values`, or None."""
        for key in keys:
            fields = tuple(key)
            find = self._statements.find_together.get(fields) or self._statements.find_by[fields[0]]
            if row := await self._transaction.fetch_first(find, key):
                return int(row["id"])
        return None

    async def update(self, entity: EntityT) -> EntityT:
        """Store the entity's values; raises NotFoundError, AlreadyExistsError and other refusals."""
        values = self._to_row(entity)
        statements = self._statements.writes[tuple(values)]
        parameters = {**values, **self._chosen(entity.id)}
        if self.parts:
            await self._transaction.begin()
        try:
            row = await self._transaction.fetch_first(statements.update, parameters)
            return await self._stored(row, entity, is_new=False)
        except (asyncpg.PostgresError, ValidationFailedError) as error:
            self._refuse(error, values, entity)

    async def delete(self, record_id: int) -> None:
        """Delete the entity with this id; raises NotFoundError, or ConflictError for one in use."""
        parameters = self._chosen(record_id)
        try:
            row = await self._transaction.fetch_first(self._statements.delete, parameters)
        except asyncpg.PostgresError as error:
            self._refuse(error, None)
        if row is None:
            raise NotFoundError(self.resource)

    async def _read(self, statement: Statement, parameters: Parameters) -> EntityT | None:
        """Return what a statement finds, with the parts that it has at the same moment."""
        if self.parts:
            return await self._transaction.in_snapshot(lambda: self._find(statement, parameters))
        return await self._find(statement, parameters)

    async def _find(self, statement: Statement, parameters: Parameters) -> EntityT | None:
        row = await self._transaction.fetch_first(statement, parameters)
        if row is None or not self.parts:
            return None if row is None else self._to_entity(row)
        [entity] = await self._entities_of([row])
        return entity

    async def _list_page(
        self, page: Statement, after: int, limit: int, parameters: Parameters = NO_PARAMETERS
    ) -> list[EntityT]:
        """Return the entities of a statement that `page_of` made, and its other parameters."""
        given = {**parameters, AFTER: after, LIMIT: limit}
        if self.parts:
            return await self._transaction.in_snapshot(lambda: self._list_each(page, given))
        return await self._list_each(page, given)

    async def _list_each(self, statement: Statement, parameters: Parameters) -> list[EntityT]:
        return await self._entities_of(await self._transaction.fetch(statement, parameters))

    async def _entities_of(self, rows: Sequence[Row]) -> list[EntityT]:
        """Make the entities of a list, and read the parts of all of them by one statement a table."""
        entities = [self._to_entity(row) for row in rows]
        if entities:
            ids = [row["id"] for row in rows]
            for parts in self.parts:
                found = await parts.read(self._transaction, ids)
                for entity, record_id in zip(entities, ids, strict=True):
                    setattr(entity, parts.field, found[record_id])
        return entities

    async def _stored(self, row: Row | None, entity: EntityT, *, is_new: bool = True) -> EntityT:
        """Store the parts of an entity whose row is written, and return it with them."""
        if row is None:
            raise NotFoundError(self.resource)
        stored, record_id = self._to_entity(row), row["id"]
        for parts in self.parts:
            before = () if is_new else await parts.fetch(self._transaction, [record_id])
            after = getattr(entity, parts.field)
            written = await parts.write(self._transaction, record_id, after, before)
            setattr(stored, parts.field, written)
        return stored

    async def _find_by(self, field: str, value: object) -> EntityT | None:
        """Return the entity that holds this value of a unique field."""
        if isinstance(value, str) and "\x00" in value:
            return None  # PostgreSQL's text holds no NUL
        return await self._read(self._statements.find_by[field], {field: value})

    def _refuse(
        self,
        error: asyncpg.PostgresError | ValidationFailedError,
        values: Parameters | None = None,
        entity: EntityT | None = None,
    ) -> NoReturn:
        """Raise what `quart_fleet.database.REFUSALS` has for the error, else the error.

        A refusal that names a missing reference names all of them once the transaction has ended.
        """
        refusal: ServiceError | None = None
        if isinstance(error, asyncpg.PostgresError):
            table = cast("Table", self.model.__table__)
            refusal = find_refusal(error, self.resource, table, values, self.unique_sets)
        if isinstance(refusal, AlreadyExistsError):
            refusal = self._already_exists(refusal.field, *refusal.others)
        told, cause = refusal or error, error if refusal else error.__cause__
        is_reference = isinstance(cause, asyncpg.ForeignKeyViolationError)
        if is_reference and isinstance(told, ValidationFailedError) and entity and values:
            self._transaction.afterwards = partial(self._tell_missing, told, values, entity)
        if refusal is None:
            raise error
        raise refusal from error

    async def _tell_missing(
        self, refusal: ValidationFailedError, values: Parameters, entity: EntityT
    ) -> None:
        """Have a refusal name every reference to nothing."""
        found = [*references_of(cast("Table", self.model.__table__), values)]
        for parts in self.parts:
            found += parts.references(getattr(entity, parts.field))
        refusal.errors = await find_missing(self._transaction, found) | refusal.errors

    def _already_exists(self, *fields: str) -> AlreadyExistsError:
        """Return the refusal of values that another entity has."""
        references = self.unique_references
        names = (each.removesuffix("_id") if each in references else each for each in fields)
        return AlreadyExistsError(*names)

    def _chosen(self, record_id: int | None) -> Parameters:
        """Return the parameter of a statement by id; raises NotFoundError for what no id can be."""
        if record_id is None or not -LARGEST_ID <= record_id <= LARGEST_ID:
            raise NotFoundError(self.resource)
        return {"id": record_id}
