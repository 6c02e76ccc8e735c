"""The data of one folder and the programs that fit it: how both become a running server."""

import os
import pwd
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from quart_fleet.postgres._errors import EmbeddedPostgresError
from quart_fleet.postgres._layout import Account, Layout
from quart_fleet.postgres._postmaster import evict, remove_stale_pid_file
from quart_fleet.postgres._programs import Programs, get_programs, spawn

_MAX_LOG_SIZE = 1_000_000
"""Bytes above which the log begins anew at the next start."""
_SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "log_checkpoints": "off",
}
_DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True, slots=True)
class Cluster:
    """The data of one folder and the programs that fit it."""

    layout: Layout
    account: Account
    programs: Programs

    @classmethod
    def of(cls, layout: Layout) -> "Cluster":
        """Find the programs; raises EmbeddedPostgresError."""
        account = Account.for_data(layout.data)
        major = None
        with suppress(FileNotFoundError, PermissionError):
            made_by = (layout.data / "PG_VERSION").read_text(errors="replace").strip()
            if not made_by.isdecimal():
                raise EmbeddedPostgresError(
                    f"{layout.data} is damaged: its PG_VERSION is unreadable.\n"
                    "Restore it, or move it away to begin anew."
                )
            major = int(made_by)
        return cls(layout, account, get_programs(account, major))

    def start(self, lock: int, *, durable: bool) -> None:
        """Start the server, which inherits its lock and is not ready yet."""
        self.layout.make_socket_folder(self.account)
        evict(self.layout)
        if not self.layout.data.exists():
            self._initialise(lock)
        remove_stale_pid_file(self.layout)
        settings = _SETTINGS | (_DURABLE if durable else _NOT_DURABLE)
        settings |= {"unix_socket_directories": str(self.layout.sockets)}
        options = shlex.join(
            part for name, value in settings.items() for part in ("-c", f"{name}={value}")
        )
        file = self.layout.log
        is_full = file.exists() and file.stat().st_size > _MAX_LOG_SIZE
        mode = os.O_WRONLY | os.O_CREAT | os.O_APPEND | (os.O_TRUNC if is_full else 0)
        log = os.open(file, mode, 0o600)
        with _handed_over(self.layout.data, self.account) as handed:
            command = [self.programs["pg_ctl"], "start", "--no-wait", "--silent"]
            command += ["-D", handed.name, "-o", options]
            keep = (lock, *handed.descriptors)
            with spawn(self.account, command, handed.folder, keep, output=log) as process:
                os.close(log)
                process.wait()

    def read_log(self, start: int) -> str:
        """Return the line that says why the server ended, from byte `start` of its log."""
        content = self.layout.log.read_bytes()
        text = content[start if start <= len(content) else 0 :].decode(errors="replace")
        return _find_reason(text)

    def _initialise(self, lock: int) -> None:
        """Make the data, under another name first: a killed initdb leaves no half-made data."""
        try:
            pwd.getpwuid(self.account.uid)
        except KeyError:
            raise EmbeddedPostgresError(
                f"PostgreSQL's initdb runs as no user without a name, and uid {self.account.uid} has "
                "none, as with `docker run --user`.\nGive it one in /etc/passwd, run as another user,"
                " or name a server: DATABASE_URL, and TEST_DATABASE_URL for tests."
            ) from None
        output = ""
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8"]
        options += ["--no-sync", "--no-instructions"]
        for locale in ("C.UTF-8", "C"):
            shutil.rmtree(self.layout.draft, ignore_errors=True)
            self.layout.draft.mkdir(mode=0o700)
            if self.account.is_other:
                os.chown(self.layout.draft, self.account.uid, self.account.gid)
            with _handed_over(self.layout.draft, self.account) as handed:
                command = [self.programs["initdb"], "-D", handed.name, *options]
                command.append(f"--locale={locale}")
                process = spawn(self.account, command, handed.folder, (lock, *handed.descriptors))
            with process:
                # The reaper kills it by this number, should this process be killed first.
                os.pwrite(lock, f"{process.pid}\n".encode(), 0)
                output, _ = process.communicate()
            os.ftruncate(lock, 0)
            if process.returncode == 0:
                self.layout.draft.rename(self.layout.data)
                return
        raise EmbeddedPostgresError(
            f"{self.programs} could not make its data in {self.layout.folder}:\n"
            f"{_find_reason(output)}"
        )


@dataclass(frozen=True, slots=True)
class _Handed:
    """A folder as a program is told of it: where to start, its name from there, open descriptors."""

    folder: Path
    name: str
    descriptors: tuple[int, ...] = ()


@contextmanager
def _handed_over(folder: Path, account: Account) -> Iterator[_Handed]:
    """Hand the folder to another user by an open descriptor: its parents may be closed, as /root.

    The program starts in the file system's root, because PostgreSQL 15 returns to where it started.
    """
    if not account.is_other:
        yield _Handed(folder, ".")
        return
    if not Path("/proc/self/fd").is_dir():
        raise EmbeddedPostgresError(
            "PostgreSQL does not run as root, and here cannot be handed to another user.\n"
            "Run as an ordinary user, or set DATABASE_URL."
        )
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield _Handed(Path("/"), f"/proc/self/fd/{descriptor}", (descriptor,))
    finally:
        os.close(descriptor)


def _find_reason(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if "FATAL" in line or "error" in line.lower()]
    return (telling or lines or ["it printed nothing"])[-1]
