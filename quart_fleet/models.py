"""What every table has: the common columns, the names of constraints, and the types of annotations."""

import enum
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Enum, Identity, Table, func
from sqlalchemy.orm import Mapped, mapped_column

from quart_fleet.conventions import role_of

NAMING_CONVENTION = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
"""A constraint's name is the same in every database, so that migrations can drop it
(Alembic's manual, "The Importance of Naming Constraints")."""

TYPE_MAP: dict[Any, Any] = {enum.Enum: Enum(enum.Enum, native_enum=False)}
"""Enumerations are columns of text: Alembic neither creates PostgreSQL's own enumeration type for a
new column nor adds values to it."""


class StandardColumns:
    """An id and two times that the database sets, in its own clock; a mixin for a declarative base."""

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True, sort_order=-1)
    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), sort_order=1
    )
    updated_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), onupdate=func.now(), sort_order=2
    )


def owning_roles(tables: Iterable[Table]) -> dict[Table, str]:
    """Return the role of the service that owns each table, for those whose model says it:

    __table_args__ = {"info": {"service": "user-service"}}
    """
    return {each: role_of(str(each.info["service"])) for each in tables if "service" in each.info}
