"""Every table of the workspace, in one metadata that the database manager migrates."""

from importlib import import_module
from pkgutil import iter_modules

from sqlalchemy import MetaData

from shared.models.base import BaseModel


def load_metadata() -> MetaData:
    """Import every module of this package and return the metadata that they share."""
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    return BaseModel.metadata
