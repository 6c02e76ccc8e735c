"""Descriptions of products, revisions between them, and what a database makes of both."""

import itertools
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import asyncpg
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import BigInteger, Column, Connection, MetaData, Table, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase

from quart_fleet.models import NAMING_CONVENTION, TYPE_MAP, StandardColumns
from scaffold.generation.fields import Resource
from scaffold.generation.relations import relate
from scaffold.generation.render import render
from scaffold.generation.services import describe_resource
from scaffold.language.description import (
    FleetDescription,
    ResourceDescription,
    ServiceDescription,
)
from scaffold.language.grammar import parse_field
from scaffold.names import ResourceName, ServiceName
from scaffold.revisions.writing import Revision

SERVICE = ServiceName.parse("product-service")

_TARGETS = tuple(
    ResourceDescription((parse_field("name:str"),), name=name) for name in ("category", "tag")
)
"""What references of products are to."""

_CATALOGUE = text("""
    SELECT 'column', concat_ws(' ', attname, format_type(atttypid, atttypmod),
           CASE WHEN attnotnull THEN 'NOT NULL' END, pg_get_expr(adbin, adrelid), attidentity)
    FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE attrelid = to_regclass(:table) AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT 'constraint', concat_ws(' ', conname, pg_get_constraintdef(oid), convalidated)
    FROM pg_constraint WHERE conrelid = to_regclass(:table) AND contype <> 'n'
    UNION ALL
    SELECT 'index', concat_ws(' ', pg_get_indexdef(indexrelid), indisvalid)
    FROM pg_index WHERE indrelid = to_regclass(:table)
    UNION ALL
    SELECT 'relation', relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'
    ORDER BY 1, 2
""")

_SCHEMA = text("""
    SELECT 'column', concat_ws(' ', attrelid::regclass, attname,
           format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN 'NOT NULL' END,
           pg_get_expr(adbin, adrelid), attidentity)
    FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    JOIN pg_class ON pg_class.oid = attrelid
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'alembic_version'
    AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT 'constraint', concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid),
           convalidated)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
    AND conname <> 'alembic_version_pkc'
    UNION ALL
    SELECT 'index', concat_ws(' ', pg_get_indexdef(indexrelid), indisvalid)
    FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE relnamespace = 'public'::regnamespace AND relname <> 'alembic_version_pkc'
    ORDER BY 1, 2
""")


def products(*specs: str, indexed: Iterable[str] = (), **options: Any) -> Resource:
    """Return the resource of fields and options."""
    fields = [parse_field(each) for each in specs]
    fields = [replace(each, index=each.name in indexed) for each in fields]
    names = ResourceName.of(SERVICE)
    description = ResourceDescription(tuple(fields), name="product", **options)
    related = relate(
        FleetDescription((ServiceDescription("product-service", 1, (description, *_TARGETS)),))
    )
    return Resource(names.singular, names.many, description, "", related["product"])


def apply(connection: Connection, revision: Revision, way: str = "upgrade") -> None:
    """Run one function of a revision, as db_manager does."""
    names: dict[str, Any] = {}
    exec(compile(revision.text, revision.file_name, "exec"), names)
    context = MigrationContext.configure(connection, opts={"transaction_per_migration": True})
    with Operations.context(context), context.begin_transaction(_per_migration=True):
        names[way]()


def statements(revision: Revision, way: str = "upgrade") -> str:
    """Return what one function of a revision runs, as SQL."""
    lines = list[str]()
    context = MigrationContext.configure(
        dialect_name="postgresql",
        opts={"as_sql": True, "literal_binds": True, "transaction_per_migration": True},
    )
    context.impl.static_output = lines.append  # type: ignore[method-assign, assignment]
    names: dict[str, Any] = {}
    exec(compile(revision.text, revision.file_name, "exec"), names)
    with Operations.context(context), context.begin_transaction(_per_migration=True):
        names[way]()
    return "\n".join(lines)


def catalogue(connection: Connection, table: str = "products") -> list[tuple[str, str]]:
    """Return what the database has of a table, in words and no order of columns."""
    with connection.begin():
        return [tuple(row) for row in connection.execute(_CATALOGUE, {"table": table})]


async def read_schema(url: str) -> list[tuple[str, str]]:
    """Return all columns, constraints and indexes of a database, in words and in no order."""
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(url)
    )
    async with engine.connect() as connection:
        found = [tuple(row) for row in await connection.execute(_SCHEMA)]
    await engine.dispose()
    return found


def model_of(resource: Resource) -> str:
    """Return the module of the resource's model, before it is formatted."""
    words = describe_resource(resource, SERVICE.typed) | {"service": {"name": SERVICE.typed}}
    return render("models/_resource_.py.jinja", words)


_modules = itertools.count()


def metadata_of(resource: Resource) -> MetaData:
    """Return what the resource's model says."""

    class Base(StandardColumns, DeclarativeBase):
        metadata = MetaData(naming_convention=NAMING_CONVENTION)
        type_annotation_map = TYPE_MAP

    Table("categories", Base.metadata, Column("id", BigInteger, primary_key=True))
    source = model_of(resource).replace("from shared.models.base import BaseModel\n", "")
    exec(source, {"BaseModel": Base, "__name__": f"model_{next(_modules)}"})
    return Base.metadata
