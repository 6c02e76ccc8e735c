"""The workspace that the commands work on: the one around the current folder."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from db_manager.errors import ManagerError
from quart_fleet.conventions import role_of
from quart_fleet.errors import ConfigurationError
from quart_fleet.files import UnreadableFileError, parse_python, shown
from quart_fleet.workspace import Workspace


@cache
def get_workspace() -> Workspace:
    """Return it, found once for the process; raises ManagerError."""
    try:
        return Workspace.find(Path.cwd())
    except ConfigurationError as error:
        raise ManagerError(error.message) from None


def find_service(name: str) -> Path:
    """Return the folder of a service, by any spelling of its name; raises ManagerError."""
    folders = sorted(app.parent for app in get_workspace().root.glob("services/*/app.py"))
    for folder in folders:
        if role_of(folder.name) == role_of(name):
            return folder
    known = ", ".join(folder.name.replace("_", "-") for folder in folders) or "none"
    raise ManagerError(f"There is no service {name!r}. Services: {known}.")


@contextmanager
def told_by_file() -> Iterator[None]:
    """Tell what is wrong in the workspace's own modules by file and line; raises ManagerError."""
    try:
        yield
    except (ConfigurationError, ManagerError):
        raise
    except SyntaxError as error:
        try:
            parse_python(Path(error.filename or ""))
        except (UnreadableFileError, OSError) as unreadable:
            raise ManagerError(str(unreadable)) from None
        raise
    except Exception as error:
        root = get_workspace().root
        frames = [
            frame
            for frame in traceback.extract_tb(error.__traceback__)
            if Path(frame.filename).is_relative_to(root) and "site-packages" not in frame.filename
        ]
        if not frames:
            raise
        where = f"{shown(Path(frames[-1].filename))}: line {frames[-1].lineno}"
        reason = " ".join(str(error).split())
        raise ManagerError(f"{where}: {type(error).__name__}: {reason}") from error
