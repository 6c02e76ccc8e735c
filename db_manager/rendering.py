"""How a revision writes the types of columns: as the database keeps them, with what they import.

A revision outlives the code that it was written from: a TypeDecorator is written as the type below
it. A type that only its own module knows is imported from there.
"""

import importlib
import re
from collections.abc import Iterator
from typing import Any

import sqlalchemy
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Dialect, Enum
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import DOMAIN, ENUM
from sqlalchemy.types import ARRAY, TypeDecorator, TypeEngine

from db_manager.errors import ManagerError


def stored_type(type_: TypeEngine[Any], dialect: Dialect) -> TypeEngine[Any]:
    """Return what a type is in PostgreSQL: its variant, the type below a decorator, an ENUM."""
    while True:
        if variant := type_._variant_mapping.get("postgresql"):
            type_ = variant
        elif isinstance(type_, TypeDecorator):
            type_ = type_.load_dialect_impl(dialect)
        elif isinstance(type_, Enum) and type_.native_enum and not isinstance(type_, ENUM):
            return type_.dialect_impl(dialect)
        else:
            return type_


def stored_types(type_: TypeEngine[Any], dialect: Dialect) -> Iterator[TypeEngine[Any]]:
    """Yield it, and what it has items of."""
    stored = stored_type(type_, dialect)
    yield stored
    if isinstance(stored, ARRAY):
        yield from stored_types(stored.item_type, dialect)
    if isinstance(stored, DOMAIN):
        yield from stored_types(stored.data_type, dialect)


def render_item(kind: str, item: Any, context: AutogenContext) -> str | bool:
    """Write a type for a revision; False leaves it to Alembic."""
    if kind != "type":
        return False
    return _render(item, context)


def _render(type_: TypeEngine[Any], context: AutogenContext) -> str | bool:
    dialect = context.dialect or postgresql.dialect()  # type: ignore[no-untyped-call]  # has no annotation
    stored = stored_type(type_, dialect)
    if isinstance(stored, ENUM | DOMAIN):
        context.imports.add("from sqlalchemy.dialects import postgresql")
        schema = f", schema={str(stored.schema)!r}" if stored.schema else ""
        if isinstance(stored, DOMAIN):
            below = _render(stored.data_type, context) or _from_sqlalchemy(
                stored.data_type, context
            )
            return f"postgresql.DOMAIN({str(stored.name)!r}, {below}{schema}, create_type=False)"
        return f"postgresql.ENUM(name={str(stored.name)!r}{schema}, create_type=False)"
    if isinstance(stored, ARRAY) and type(stored).__module__.startswith("sqlalchemy."):
        item = _render(stored.item_type, context) or _from_sqlalchemy(stored.item_type, context)
        dimensions = f", dimensions={stored.dimensions}" if stored.dimensions else ""
        return f"sa.ARRAY({item}{dimensions})"
    if type(stored).__module__.startswith("sqlalchemy."):
        return False if stored is type_ else _from_sqlalchemy(stored, context)
    return _render_foreign(stored, dialect, context)


def _from_sqlalchemy(type_: TypeEngine[Any], context: AutogenContext) -> str:
    """Write it as the first of its classes that has a public name: drivers have types of their own."""
    inner = re.sub(r"=(?=[A-Z]\w*\()", "=sa.", repr(type_))  # as JSONB(astext_type=Text())
    for base in type(type_).__mro__:
        written = re.sub(r"^\w+", base.__name__, inner, count=1)
        if getattr(sqlalchemy, base.__name__, None) is base:
            return f"sa.{written}"
        if getattr(postgresql, base.__name__, None) is base:
            context.imports.add("from sqlalchemy.dialects import postgresql")
            return f"postgresql.{written}"
    return f"sa.{type_!r}"


def _render_foreign(type_: TypeEngine[Any], dialect: Dialect, context: AutogenContext) -> str:
    """Write a class that is not SQLAlchemy's as its base, or by import; raises ManagerError.

    What is written is tried: it must be the same type of column.
    """
    wanted = type_.compile(dialect=dialect)
    for base in type(type_).__mro__[1:]:
        if base.__module__.startswith("sqlalchemy.") and issubclass(base, TypeEngine):
            prefix = "postgresql" if "postgresql" in base.__module__ else "sa"
            name = re.sub(r"^\w+", base.__name__, repr(type_), count=1)
            if _compiles_to(f"{prefix}.{name}", dialect) == wanted:
                if prefix == "postgresql":
                    context.imports.add("from sqlalchemy.dialects import postgresql")
                return f"{prefix}.{name}"
    module = type(type_).__module__
    written = f"{module}.{type_!r}"
    if _compiles_to(written, dialect, module) != wanted:
        raise ManagerError(
            f"A revision cannot be written with the type {module}.{type(type_).__name__}: "
            f"{type_!r} is not how it is made. Give the class a __repr__ that is."
        )
    context.imports.add(f"import {module}")
    return written


def _compiles_to(written: str, dialect: Dialect, module: str | None = None) -> str | None:
    """Return the column's type that a text of Python means, None where it means none."""
    names: dict[str, Any] = {"sa": sqlalchemy, "postgresql": postgresql}
    if module is not None:
        importlib.import_module(module)
        top = module.partition(".")[0]
        names[top] = importlib.import_module(top)
    try:
        type_ = eval(written, names)  # noqa: S307 - the repr of a model's own type
        return str(type_.compile(dialect=dialect))
    except Exception:
        return None
