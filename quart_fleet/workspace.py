"""Where the installed framework finds a workspace: `[tool.scaffold]` in the nearest pyproject.toml."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from quart_fleet.conventions import role_of
from quart_fleet.errors import ConfigurationError
from quart_fleet.files import parse_python, parse_toml, shown
from quart_fleet.unfinished import settle

if TYPE_CHECKING:
    from sqlalchemy import MetaData

    from quart_fleet.settings import DatabaseSettings

PROJECT_FILE = "pyproject.toml"
_LONGEST_NAME = 63
"""Bytes that PostgreSQL keeps of a name."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder whose project file has `[tool.scaffold]`, and what that table says.

    The defaults are what `python -m scaffold init` writes.
    """

    root: Path
    metadata: str = "shared.models:load_metadata"
    """The function that returns the metadata of all models, as `module:name`."""
    settings: str = "shared.config:DatabaseConfig"
    """The class that the database manager reads its settings with, as `module:name`."""
    migrations: str = "db_manager/migrations"
    """The folder whose `versions` holds the revisions, below the root."""
    version_table: str = "alembic_version"
    """The table that says at which revision a database is: of two applications in one database each
    needs its own."""
    unmanaged: tuple[str, ...] = ()
    """Patterns of what migrations leave alone: `jobs_*`, `billing.*`, `users.search` for a column,
    the names of indexes and constraints."""

    @classmethod
    def find(cls, start: Path) -> Self:
        """Return the nearest workspace at or above `start`; raises ConfigurationError.

        What a killed generator left half-written there is undone before.
        """
        for folder in (start, *start.parents):
            if (table := find_table(folder)) is not None:
                known = ("metadata", "settings", "migrations", "version_table")
                names = {name: str(table[name]) for name in known if name in table}
                unmanaged = table.get("unmanaged", [])
                place = f"{shown(folder / PROJECT_FILE)}: [tool.scaffold]"
                if not isinstance(unmanaged, list):  # of a text, each character would be a pattern
                    raise ConfigurationError(f'{place} unmanaged is a list: ["jobs_*"].')
                found = cls(folder, **names, unmanaged=tuple(map(str, unmanaged)))
                if not 0 < len(found.version_table.encode()) <= _LONGEST_NAME:
                    raise ConfigurationError(
                        f"{place} version_table has 1 to {_LONGEST_NAME} characters."
                    )
                settle(folder)
                return found
        raise ConfigurationError(
            f"{start} is in no workspace: no {PROJECT_FILE} with [tool.scaffold] here or above.\n"
            "Change to one, or create one: python -m scaffold init DIR"
        )

    @property
    def versions(self) -> Path:
        """The folder of the revisions."""
        return self.root / self.migrations / "versions"

    @property
    def postgres_folder(self) -> Path:
        """Where the workspace's embedded PostgreSQL keeps its data."""
        return self.root / ".postgres"

    def roles(self) -> list[str]:
        """Return the roles that the services log in to the database as: one each."""
        return sorted(role_of(app.parent.name) for app in self.root.glob("services/*/app.py"))

    def load_metadata(self) -> "MetaData":
        """Import every model and return their metadata."""
        with self._unreadable_modules_told(self.metadata):
            return cast("MetaData", _load(self.metadata)())

    def load_settings(self) -> "type[DatabaseSettings]":
        """Return the class of the database's settings."""
        with self._unreadable_modules_told(self.settings):
            return cast("type[DatabaseSettings]", _load(self.settings))

    @contextmanager
    def _unreadable_modules_told(self, name: str) -> Iterator[None]:
        """Raise UnreadableFileError in place of what Python raises at a module it cannot read."""
        try:
            yield
        except (SyntaxError, ValueError):  # the latter, of UTF-16, names no file
            package = name.partition(":")[0].partition(".")[0]
            for path in sorted((self.root / package).rglob("*.py")):
                parse_python(path)
            raise


def find_table(folder: Path) -> dict[str, Any] | None:
    """Return `[tool.scaffold]` of a folder's project file, or None; raises ConfigurationError."""
    project_file = folder / PROJECT_FILE
    try:
        table = parse_toml(project_file).get("tool", {}).get("scaffold")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigurationError(f"{project_file} cannot be read: {error.strerror}") from None
    return cast("dict[str, Any] | None", table)


def _load(name: str) -> Any:
    """Return what `module:name` names."""
    module, _, attribute = name.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ModuleNotFoundError, AttributeError) as error:
        missing = attribute if isinstance(error, AttributeError) else module
        if error.name is None or not f"{missing}.".startswith(f"{error.name}."):
            raise  # by a line of the module itself
        raise ConfigurationError(
            f"{PROJECT_FILE}: [tool.scaffold] names {name}, which there is not: write module:name."
        ) from None
