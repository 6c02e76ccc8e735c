"""Where everything of one embedded PostgreSQL is kept."""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

from quart_fleet.postgres._account import Account


@dataclass(frozen=True, slots=True)
class Layout:
    """The names inside the folder, and the short folder elsewhere that its socket needs.

    The owner is the user (uid) that the server runs as.
    """

    folder: Path
    sockets: Path
    owner: int

    @classmethod
    def of(cls, folder: Path) -> Self:
        resolved = folder.resolve()
        owner = Account.for_data(resolved / "data").uid
        name = hashlib.sha256(os.fsencode(resolved)).hexdigest()[:12]
        return cls(resolved, _find_short_folder() / f"pg-{owner}-{name}", owner)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def draft(self) -> Path:
        """Data in the making; becomes the data by being renamed."""
        return self.folder / "data.new"

    @property
    def lease(self) -> Path:
        return self.folder / "lease.lock"

    @property
    def server(self) -> Path:
        return self.folder / "server.lock"

    @property
    def reaper(self) -> Path:
        return self.folder / "reaper.lock"

    @property
    def pin(self) -> Path:
        return self.folder / "pinned"

    @property
    def log(self) -> Path:
        return self.folder / "postgres.log"

    @property
    def socket(self) -> Path:
        return self.sockets / ".s.PGSQL.5432"

    @property
    def socket_note(self) -> Path:
        """PostgreSQL's own note of who listens at the socket."""
        return self.sockets / ".s.PGSQL.5432.lock"

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/postgres?host={quote(str(self.sockets))}"


def _find_short_folder() -> Path:
    """Always the same one: TMPDIR differs between the shells that share a server."""
    shared = Path("/tmp")  # noqa: S108 - the folder inside is private and its owner is checked
    return shared if os.access(shared, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())
