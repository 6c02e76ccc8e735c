"""What a running PostgreSQL says about itself."""

import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from quart_fleet.postgres._layout import Layout


@dataclass(frozen=True, slots=True)
class Postmaster:
    """The parent of all processes of one server."""

    pid: int
    started: int
    ready: bool


def find_postmaster(layout: Layout) -> Postmaster | None:
    """The one that the data names, else, when the folder was deleted, the one at the socket."""
    return _find_named(layout.data / "postmaster.pid") or find_listener(layout)


def find_listener(layout: Layout) -> Postmaster | None:
    return _find_named(layout.socket_note)


def find_ready_postmaster(layout: Layout) -> Postmaster | None:
    postmaster = _find_named(layout.data / "postmaster.pid")
    return postmaster if postmaster and postmaster.ready and answers(layout.socket) else None


def answers(address: Path) -> bool:
    """Whether somebody listens there: a file and a number can outlive the server, this cannot."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        try:
            client.connect(str(address))
        except OSError:
            return False
        return True


def remove_stale_pid_file(layout: Layout) -> None:
    """To be called with the server's lock in hand: then nothing of our server is alive.

    The number may since belong to another process, before which PostgreSQL would give way.
    A server that somebody started by hand on this data is left to PostgreSQL's own check.
    """
    named = _find_named(layout.data / "postmaster.pid")
    if named and not _is_postgres(named.pid):
        (layout.data / "postmaster.pid").unlink(missing_ok=True)


def _find_named(file: Path) -> Postmaster | None:
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        # A server in single-user mode, as initdb's, has a negative number.
        return Postmaster(
            pid=abs(int(lines[0])),
            started=int(lines[2]),
            ready=len(lines) > 7 and lines[7].startswith("ready"),
        )
    except (OSError, ValueError, IndexError):
        return None


def _is_postgres(pid: int) -> bool:
    """In doubt yes. A zombie is none: it may stay for long where the first process reaps nothing."""
    if not Path("/proc/self/stat").exists():
        return "postgres" in _get_command(pid)
    try:
        name, _, state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    except OSError:
        return False
    return "postgres" in name and state.split()[0] != "Z"


def _get_command(pid: int) -> str:
    command = ["ps", "-o", "comm=", "-p", str(pid)]
    done = subprocess.run(  # noqa: S603 - the command is ours, the number an integer
        command, capture_output=True, text=True, check=False
    )
    return done.stdout
