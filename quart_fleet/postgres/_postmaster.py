"""A running server: how it is found, kept running without clients, and shut down."""

import os
import signal
import socket
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from quart_fleet.postgres._errors import EmbeddedPostgresError
from quart_fleet.postgres._layout import Layout
from quart_fleet.postgres._locks import attempts, take_exclusive

_SHUTDOWN = ((signal.SIGINT, 60), (signal.SIGQUIT, 10), (signal.SIGKILL, 5))
"""Signals with their timeouts in seconds: PostgreSQL's fast shutdown; its immediate one, which
costs a recovery but no data; the kernel's."""
_CONNECT_TIMEOUT = 5.0
_PROC = Path("/proc")
_EVICTION_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Postmaster:
    """The parent of all processes of one server."""

    pid: int
    started: int
    """Seconds since 1970."""
    is_ready: bool

    @property
    def name(self) -> str:
        """What distinguishes it from every other server, past and future."""
        return f"{self.pid} {self.started}\n"


def find_postmaster(layout: Layout) -> Postmaster | None:
    """Return the server that the data names, else, as the folder was deleted, the socket's."""
    return _read(layout.pid_file) or _read(layout.socket_pid_file)


def find_ready_postmaster(layout: Layout) -> Postmaster | None:
    """Return the server if it takes connections."""
    postmaster = _read(layout.pid_file)
    return postmaster if postmaster and postmaster.is_ready and _accepts(layout.socket) else None


def find_unreachable_postmaster(layout: Layout) -> Postmaster | None:
    """Return a server that runs and says that it is ready, where nothing is at its socket's place.

    The folder for the socket was cleaned away, or the server's own folder was moved, by which the
    socket is called.
    """
    postmaster = _read(layout.pid_file)
    is_there = postmaster is not None and postmaster.is_ready and _is_postgres(postmaster.pid)
    return postmaster if is_there and not layout.socket.exists() else None


def find_pid(layout: Layout) -> int | None:
    """Return the process of the server, ready or not; cheap, as it connects to nothing."""
    found = find_postmaster(layout)
    return found.pid if found is not None and _is_postgres(found.pid) else None


def remove_stale_pid_file(layout: Layout) -> None:
    """Remove the file of a server that has ended; the caller holds the server's lock.

    It may be empty, as a full disk leaves it, or name a process that is another one's since, be it
    a server of other data: PostgreSQL would refuse to start. A server that was started by hand on
    this data is left to PostgreSQL's own check.
    """
    named = _read(layout.pid_file)
    if named is None or not _is_postgres(named.pid) or _serves_other_data(layout, named.pid):
        layout.pid_file.unlink(missing_ok=True)


def pin(layout: Layout, postmaster: Postmaster) -> None:
    """Keep this server running without clients; a later one, after a crash, is not meant."""
    layout.pin.write_text(postmaster.name)


def unpin(layout: Layout) -> None:
    """Let the server end with its last client."""
    layout.pin.unlink(missing_ok=True)


def is_pinned(layout: Layout) -> bool:
    """Whether the running server is to run without clients."""
    postmaster = find_ready_postmaster(layout)
    return postmaster is not None and is_pin_of(layout, postmaster)


def is_pin_of(layout: Layout, postmaster: Postmaster) -> bool:
    """Whether the pin names this server."""
    with suppress(FileNotFoundError):
        return layout.pin.read_text() == postmaster.name
    return False


def end_unreachable(layout: Layout, lost: Postmaster, lock: int) -> bool:
    """End a server that no client can reach; return whether its lock is held now.

    Another client may do the same, and have started the next one, which is not meant.
    """
    for request, timeout in _SHUTDOWN:
        _signal(layout, lost.pid, request)
        for _ in attempts(timeout):
            if take_exclusive(lock):
                return True
            found = find_postmaster(layout)
            if found is not None and found.name != lost.name:
                return False
    return False


def shut_down(layout: Layout, lock: int) -> None:
    """Return holding the server's lock, which proves that no process of it is left."""
    for request, timeout in _SHUTDOWN:
        signalled: int | None = None
        for _ in attempts(timeout):
            if take_exclusive(lock):
                return
            postmaster = find_postmaster(layout)
            if postmaster is None:
                # initdb and its children are a session; the lock's file holds its number.
                # macOS refuses permission where all of them have ended and none is reaped yet.
                with suppress(ValueError, ProcessLookupError, PermissionError):
                    os.killpg(int(os.pread(lock, 20, 0)), signal.SIGKILL)
            elif postmaster.pid != signalled:
                signalled = postmaster.pid
                _signal(layout, signalled, request)
    raise EmbeddedPostgresError(f"PostgreSQL does not stop.\nSee {layout.log}.")


def evict(layout: Layout) -> None:
    """Free the socket from a server whose folder was deleted, or that crashed.

    The caller holds the server's lock: what listens on the socket is no server of this folder.
    """
    stranded = _read(layout.socket_pid_file)
    if stranded and _accepts(layout.socket):
        _signal(layout, stranded.pid, signal.SIGINT)
        for _ in attempts(_EVICTION_TIMEOUT):
            if not _accepts(layout.socket):
                break
    layout.remove_socket()


def _read(file: Path) -> Postmaster | None:
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        return Postmaster(
            pid=abs(int(lines[0])),  # negative in single-user mode, as initdb uses it
            started=int(lines[2]),
            is_ready=len(lines) > 7 and lines[7].startswith("ready"),
        )
    except (OSError, ValueError, IndexError):
        return None


def _accepts(address: Path) -> bool:
    """Whether a process listens there: a file and a process id can outlive the server."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_CONNECT_TIMEOUT)
        try:
            client.connect(str(address))
        except OSError:
            return False
        return True


def _is_postgres(pid: int) -> bool:
    """In doubt yes. A zombie is none: it may stay for long where the first process reaps nothing."""
    if not (_PROC / "self/stat").exists():  # as on macOS
        done = subprocess.run(  # noqa: S603 - the command is ours, the number an integer
            ["ps", "-o", "stat=", "-o", "comm=", "-p", str(pid)],  # noqa: S607 - as PATH has it
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        return "postgres" in done.stdout and not done.stdout.lstrip().startswith("Z")
    try:
        name, _, state = (_PROC / str(pid) / "stat").read_text("utf-8", "replace").rpartition(")")
    except OSError:
        return False
    return "postgres" in name and state.split()[0] != "Z"


def _serves_other_data(layout: Layout, pid: int) -> bool:
    """In doubt not. A server stands in the folder of its data, which its user owns."""
    try:
        folder = _PROC / str(pid) / "cwd"
        return not folder.samefile(layout.data)
    except PermissionError:
        return (_PROC / str(pid)).stat().st_uid != layout.owner
    except OSError:
        return False


def _signal(layout: Layout, pid: int, request: signal.Signals) -> None:
    """Signal a process, for root only if the server's user owns it: that user writes the file."""
    with suppress(OSError):
        if os.geteuid() != 0 or (_PROC / str(pid)).stat().st_uid == layout.owner:
            os.kill(pid, request)
