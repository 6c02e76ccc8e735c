"""The base of every table: one metadata, names for its constraints, and the common columns."""

import enum
from datetime import datetime

from sqlalchemy import BigInteger, DateTime, Enum, Identity, MetaData, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMING_CONVENTION = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
"""A constraint's name is the same in every database, so that migrations can drop it
(Alembic's manual, "The Importance of Naming Constraints")."""


class BaseModel(DeclarativeBase):
    """A table with an id and two times that the database sets, in its own clock."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    # As text: Alembic neither creates PostgreSQL's own type for a new column nor lets it grow.
    type_annotation_map = {enum.Enum: Enum(enum.Enum, native_enum=False)}  # noqa: RUF012

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True, sort_order=-1)
    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), sort_order=1
    )
    updated_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), onupdate=func.now(), sort_order=2
    )
