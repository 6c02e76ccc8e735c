"""Makes the data and starts the server on it, with the server's lock in hand."""

import os
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from quart_fleet.postgres._account import Account
from quart_fleet.postgres._errors import EmbeddedPostgresError
from quart_fleet.postgres._layout import Layout
from quart_fleet.postgres._postmaster import remove_stale_pid_file
from quart_fleet.postgres._process import spawn
from quart_fleet.postgres._programs import Programs, get_programs
from quart_fleet.postgres._shutdown import evict_stranded
from quart_fleet.postgres._sockets import prepare_sockets

_MAX_LOG = 1_000_000
_SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "log_checkpoints": "off",
}
_DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
_FLEETING = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True, slots=True)
class Cluster:
    """The data of one folder and the programs that fit it."""

    layout: Layout
    account: Account
    programs: Programs

    @classmethod
    def of(cls, layout: Layout) -> "Cluster":
        account = Account.for_data(layout.data)
        return cls(layout, account, get_programs(account, find_major(layout)))

    def start(self, lock: int, *, durable: bool) -> None:
        """Returns when the server is on its way; the lock is its from then on."""
        prepare_sockets(self.layout, self.account)
        evict_stranded(self.layout)
        if not self.layout.data.exists():
            self._initialise(lock)
        remove_stale_pid_file(self.layout)
        self._launch(lock, _SETTINGS | (_DURABLE if durable else _FLEETING))

    def _initialise(self, lock: int) -> None:
        """Under another name first: whoever dies half-way leaves no half-made data behind."""
        output = ""
        for locale in ("C.UTF-8", "C"):
            shutil.rmtree(self.layout.draft, ignore_errors=True)
            self.layout.draft.mkdir(mode=0o700)
            if self.account.borrowed:
                os.chown(self.layout.draft, self.account.uid, self.account.gid)
            done, output = self._run_initdb(lock, locale)
            if done:
                self.layout.draft.rename(self.layout.data)
                return
        raise EmbeddedPostgresError(
            f"{self.programs} could not make its data in {self.layout.folder}:\n{_last(output)}"
        )

    def _run_initdb(self, lock: int, locale: str) -> tuple[bool, str]:
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", f"--locale={locale}"]
        options += ["--no-sync", "--no-instructions"]
        with _reach(self.account, self.layout.draft) as reach:
            command = [self.programs["initdb"], "-D", reach.name, *options]
            process = spawn(self.account, command, reach.folder, (lock, *reach.keep))
        with process:
            # For the reaper, should we not live to see the end of it.
            os.pwrite(lock, f"{process.pid}\n".encode(), 0)
            output, _ = process.communicate()
        os.ftruncate(lock, 0)
        return process.returncode == 0, output

    def _launch(self, lock: int, settings: dict[str, str]) -> None:
        settings = settings | {"unix_socket_directories": str(self.layout.sockets)}
        options = shlex.join(
            part for name, value in settings.items() for part in ("-c", f"{name}={value}")
        )
        log = _open_log(self.layout.log)
        with _reach(self.account, self.layout.data) as reach:
            command = [self.programs["pg_ctl"], "start", "--no-wait", "--silent"]
            command += ["-D", reach.name, "-o", options]
            keep = (lock, *reach.keep)
            with spawn(self.account, command, reach.folder, keep, output=log) as process:
                os.close(log)
                process.wait()


@dataclass(frozen=True, slots=True)
class _Reach:
    """How a program gets at a folder: where it starts, what it calls it, what it keeps open."""

    folder: Path
    name: str
    keep: tuple[int, ...] = ()


@contextmanager
def _reach(account: Account, folder: Path) -> Iterator[_Reach]:
    """Another user may not be let through the parents, as in /root: hand it the open folder.

    It starts in the file system's root, because PostgreSQL 15 returns to where it started.
    """
    if not account.borrowed:
        yield _Reach(folder, ".")
        return
    if not Path("/proc/self/fd").is_dir():
        raise EmbeddedPostgresError(
            "PostgreSQL does not run as root, and here cannot be handed to another user.\n"
            "Run as an ordinary user, or set DATABASE_URL."
        )
    opened = os.open(folder, os.O_RDONLY)
    try:
        yield _Reach(Path("/"), f"/proc/self/fd/{opened}", (opened,))
    finally:
        os.close(opened)


def find_major(layout: Layout) -> int | None:
    """The major version that made the data."""
    try:
        return int((layout.data / "PG_VERSION").read_text())
    except (FileNotFoundError, PermissionError):
        return None
    except ValueError:
        raise EmbeddedPostgresError(
            f"{layout.data} is damaged: its PG_VERSION is unreadable.\n"
            "Restore it, or move it away to begin anew."
        ) from None


def _open_log(log: Path) -> int:
    kind = os.O_APPEND
    if log.exists() and log.stat().st_size > _MAX_LOG:
        kind |= os.O_TRUNC
    return os.open(log, os.O_WRONLY | os.O_CREAT | kind, 0o600)


def _last(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if "error" in line or "FATAL" in line]
    return (lines or output.strip().splitlines() or ["it said nothing"])[-1]
