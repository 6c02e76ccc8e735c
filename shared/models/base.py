"""The base of every table of the workspace."""

from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase

from quart_fleet.models import NAMING_CONVENTION, TYPE_MAP, StandardColumns


class BaseModel(StandardColumns, DeclarativeBase):
    """A table with `id`, `created_at` and `updated_at`; columns that every table gets go here."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = TYPE_MAP
