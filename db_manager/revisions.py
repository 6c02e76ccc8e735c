"""The revisions on disk, as Alembic reads them."""

from dataclasses import dataclass
from pathlib import Path

from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util import CommandError

from db_manager.errors import ManagerError

PACKAGE = Path(__file__).parent
VERSIONS = PACKAGE / "migrations" / "versions"


@dataclass(frozen=True, slots=True)
class Revision:
    """One step of the schema's history."""

    id: str
    message: str
    file: str
    """The file's name in `migrations/versions`."""
    follows: tuple[str, ...]

    @classmethod
    def of(cls, script: Script) -> "Revision":
        """Read Alembic's own record."""
        down = script.down_revision
        follows = (down,) if isinstance(down, str) else tuple(down or ())
        return cls(script.revision, script.doc, Path(script.path).name, follows)


def make_config() -> Config:
    """Configure Alembic as `alembic.ini` would; the separator lets paths hold any character."""
    config = Config()
    settings = {
        "script_location": PACKAGE,
        "version_locations": VERSIONS,
        "path_separator": "newline",
        "version_path_separator": "newline",
    }
    for name, value in settings.items():
        config.set_main_option(name, str(value).replace("%", "%%"))
    return config


class Revisions:
    """The history as a whole; raises ManagerError where it does not hold together."""

    def __init__(self, config: Config) -> None:
        self._scripts = ScriptDirectory.from_config(config)

    def list_all(self) -> list[Revision]:
        """Return every revision, the newest first."""
        return [Revision.of(script) for script in self._walk("base", "heads")]

    def heads(self) -> tuple[str, ...]:
        """Return the ids that no other revision follows."""
        try:
            return tuple(sorted(self._scripts.get_heads()))
        except (CommandError, RevisionError, SyntaxError) as error:
            raise _unreadable(error) from error

    def get_head(self) -> str | None:
        """Return the newest revision, None where there is none yet; raises on several."""
        heads = self.heads()
        if len(heads) > 1:
            raise ManagerError(
                f"The revisions have {len(heads)} heads: {', '.join(heads)}.\n"
                "Let one follow the other: set its down_revision in db_manager/migrations/versions."
            )
        return heads[0] if heads else None

    def known(self, revision: str) -> bool:
        """Tell whether a file holds the revision with this id."""
        return any(revision == each.id for each in self.list_all())

    def pending(self, current: tuple[str, ...]) -> list[Revision]:
        """Return what a database at `current` lacks, the oldest first."""
        applied = {script.revision for head in current for script in self._ancestry(head)}
        return [each for each in reversed(self.list_all()) if each.id not in applied]

    def _ancestry(self, revision: str) -> list[Script]:
        return self._walk("base", revision) if self.known(revision) else []

    def _walk(self, base: str, head: str) -> list[Script]:
        try:
            return list(self._scripts.walk_revisions(base, head))
        except (CommandError, RevisionError, SyntaxError) as error:
            raise _unreadable(error) from error


def _unreadable(error: Exception) -> ManagerError:
    reason = " ".join(str(error).split())
    return ManagerError(f"The revisions in db_manager/migrations/versions cannot be read: {reason}")
