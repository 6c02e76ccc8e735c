"""What macOS does otherwise than Linux, done here with real processes and sockets."""

import ctypes
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

PATH_OF_A_SOCKET = 103
"""Bytes that `sun_path` has there, without the last, which is 0; on Linux it has 107."""
TEMPORARY_FOLDER = "/var/folders/zz/zyxvpxvq6csfxvn_n0000000000000/T"
"""TMPDIR, as launchd sets it for each user."""
BE_POSTGRES = """
import ctypes, time
ctypes.CDLL(None).prctl(15, b"postgres")
print("named", flush=True)
time.sleep(600)
"""
"""A process that is called as PostgreSQL's are, for `ps`."""

_PR_SET_CHILD_SUBREAPER = 36
_killpg = os.killpg


def states_of(group: int) -> dict[int, str]:
    """Return the process ids of a process group, with their states: Z has ended, unreaped."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text("utf-8", "replace").rpartition(")")[2].split()
            if int(fields[2]) == group:
                found[int(path.parent.name)] = fields[0]
    return found


def killpg(group: int, number: int) -> None:
    """Signal a group as XNU does: it passes over zombies, and without others lacks permission."""
    states = set(states_of(group).values())
    if states == {"Z"}:
        raise PermissionError(1, "Operation not permitted")
    _killpg(group, number)


@contextmanager
def adopting_orphans() -> Iterator[None]:
    """Be the parent of orphaned descendants and reap none, as a busy first process for a while."""
    libc = ctypes.CDLL(None)
    assert libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    try:
        yield
    finally:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


@contextmanager
def listening_everywhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Have a program listen at every address of a port, beside which another may bind one."""
    monkeypatch.setattr(socket, "create_server", partial(socket.create_server, reuse_port=True))
    with socket.create_server(("0.0.0.0", 0)) as listener:
        port = int(listener.getsockname()[1])
        socket.create_server(("127.0.0.1", port)).close()
        yield port
