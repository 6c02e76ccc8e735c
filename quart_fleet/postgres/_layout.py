"""Where the files of one embedded PostgreSQL are, and which user owns them."""

import hashlib
import os
import pwd
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

from quart_fleet.postgres._errors import EmbeddedPostgresError

_UNPRIVILEGED = ("postgres", "nobody")
"""Users that root's server may run as; practically every system has the second."""


@dataclass(frozen=True, slots=True)
class Account:
    """The user that the server runs as: PostgreSQL refuses to run as root."""

    uid: int
    gid: int
    is_other: bool
    """Whether this process, which is root's, must change to it."""

    @classmethod
    def for_data(cls, data: Path) -> Self:
        """Return the user of this process; for root, the owner of the data or its future one."""
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid(), is_other=False)
        if data.exists() and data.stat().st_uid != 0:
            return cls(data.stat().st_uid, data.stat().st_gid, is_other=True)
        for name in _UNPRIVILEGED:
            with suppress(KeyError):
                entry = pwd.getpwnam(name)
                if entry.pw_uid > 0:
                    return cls(entry.pw_uid, entry.pw_gid, is_other=True)
        raise EmbeddedPostgresError(
            "PostgreSQL does not run as root, and this system has neither a user postgres nor "
            "nobody.\nRun as an ordinary user, or set DATABASE_URL."
        )


@dataclass(frozen=True, slots=True)
class Layout:
    """The files inside the server's folder, and the short folder elsewhere for its socket."""

    folder: Path
    sockets: Path
    """Outside of `folder`: the path of a unix socket has 103 bytes at most."""
    owner: int
    """The uid that the server runs as."""

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Return the layout of a folder, which need not exist."""
        resolved = folder.resolve()
        owner = Account.for_data(resolved / "data").uid
        spelling = os.fsencode(resolved)
        for path in (resolved, *resolved.parents):
            other = path.parent / path.name.swapcase()
            if other != path and path.exists():
                # Where case is ignored, as on macOS, one folder has more than one spelling, whose
                # locks and data are the same: so must be the socket.
                if other.exists() and other.samefile(path):
                    spelling = spelling.lower()
                break
        name = hashlib.sha256(spelling).hexdigest()[:12]
        # Not TMPDIR: it differs between the shells that share a server.
        shared = Path("/tmp")  # noqa: S108 - the folder in it is private and its owner is checked
        is_usable = os.access(shared, os.W_OK | os.X_OK)
        short = shared if is_usable else Path(tempfile.gettempdir())
        return cls(resolved, short / f"pg-{owner}-{name}", owner)

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.folder / "data"

    @property
    def draft(self) -> Path:
        """The data directory while initdb fills it; renamed to `data` when complete."""
        return self.folder / "data.new"

    @property
    def lease(self) -> Path:
        """The lock that clients hold shared."""
        return self.folder / "lease.lock"

    @property
    def server(self) -> Path:
        """The lock that the server's processes hold."""
        return self.folder / "server.lock"

    @property
    def reaper(self) -> Path:
        """The lock that the reaper holds."""
        return self.folder / "reaper.lock"

    @property
    def pin(self) -> Path:
        """Names the server that runs without clients too."""
        return self.folder / "pinned"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.folder / "postgres.log"

    @property
    def pid_file(self) -> Path:
        """PostgreSQL's own file of its process id, start time and state."""
        return self.data / "postmaster.pid"

    @property
    def socket(self) -> Path:
        """The socket that the server listens on."""
        return self.sockets / ".s.PGSQL.5432"

    @property
    def socket_pid_file(self) -> Path:
        """PostgreSQL's own file of the process that listens on the socket."""
        return self.sockets / ".s.PGSQL.5432.lock"

    def url(self, user: str) -> str:
        """Where the server is reached, for libpq and asyncpg.

        All of it is said, so that PGPORT and the like, of other servers, are not asked.
        """
        return (
            f"postgresql://{user}@/postgres?host={quote(str(self.sockets))}&port=5432"
            "&sslmode=disable&target_session_attrs=any&passfile=/nonexistent&gsslib=gssapi"
            "&hostaddr=&options="
        )

    def make_folder(self) -> None:
        """Make the server's folder; raises EmbeddedPostgresError."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise EmbeddedPostgresError(
                f"{self.folder} is needed for PostgreSQL and cannot be made: {error.strerror}.\n"
                "Make it writable, or set DATABASE_URL."
            ) from None
        owner = self.folder.stat().st_uid
        if os.geteuid() not in (0, owner):
            raise EmbeddedPostgresError(
                f"{self.folder} belongs to another user (uid {owner}).\n"
                "Work as that user, or set DATABASE_URL."
            )

    def make_socket_folder(self, account: Account) -> None:
        """Make a private folder where every user may write; raises EmbeddedPostgresError."""
        with suppress(FileExistsError):
            self.sockets.mkdir(mode=0o700)
            if account.is_other:
                os.chown(self.sockets, account.uid, account.gid)
        found = self.sockets.lstat()
        is_folder = stat.S_ISDIR(found.st_mode)
        if is_folder and found.st_uid == account.uid and not found.st_mode & 0o077:
            return
        if is_folder and found.st_uid == os.geteuid() == 0:
            # From a start of root's that was killed before it changed the owner.
            os.chown(self.sockets, account.uid, account.gid)
            self.sockets.chmod(0o700)
            return
        raise EmbeddedPostgresError(
            f"{self.sockets} is needed for the socket of PostgreSQL, but is not a private folder "
            f"of its user (uid {account.uid}).\n"
            "Another user made it: remove it, or set DATABASE_URL."
        )

    def remove_socket(self) -> None:
        """Remove the socket of a server that has ended."""
        self.socket.unlink(missing_ok=True)
        self.socket_pid_file.unlink(missing_ok=True)

    def remove_socket_folder(self) -> None:
        """Remove the folder of a server that has ended; a file of another program keeps it."""
        with suppress(OSError):
            self.remove_socket()
            self.sockets.rmdir()
