"""The workspace that the commands work on: the one around the current folder."""

from functools import cache
from pathlib import Path

from db_manager.errors import ManagerError
from quart_fleet.errors import ConfigurationError
from quart_fleet.workspace import Workspace


@cache
def get_workspace() -> Workspace:
    """Return it, found once for the process; raises ManagerError."""
    try:
        return Workspace.find(Path.cwd())
    except ConfigurationError as error:
        raise ManagerError(error.message) from None
