"""Ends whatever is alive of a server."""

import os
import signal
from contextlib import suppress
from pathlib import Path

from quart_fleet.postgres._errors import EmbeddedPostgresError
from quart_fleet.postgres._layout import Layout
from quart_fleet.postgres._locks import moments, take_exclusive
from quart_fleet.postgres._postmaster import answers, find_listener, find_postmaster
from quart_fleet.postgres._sockets import remove_socket

# PostgreSQL's fast shutdown; its immediate one, which costs a recovery but no data; the kernel's.
_ESCALATION = ((signal.SIGINT, 60), (signal.SIGQUIT, 10), (signal.SIGKILL, 5))


def shut_down(layout: Layout, lock: int) -> None:
    """Returns holding the server's lock: proof that nothing is left of it."""
    for request, seconds in _ESCALATION:
        if _end(layout, lock, request, seconds):
            return
    raise EmbeddedPostgresError(f"PostgreSQL does not stop.\nSee {layout.log}.")


def _end(layout: Layout, lock: int, request: signal.Signals, seconds: int) -> bool:
    asked: int | None = None
    for _ in moments(seconds):
        if take_exclusive(lock):
            return True
        postmaster = find_postmaster(layout)
        if postmaster is None:
            _kill_initdb(lock)
        elif postmaster.pid != asked:
            asked = postmaster.pid
            _signal(layout, asked, request)
    return False


def evict_stranded(layout: Layout) -> None:
    """Frees the socket of a server whose folder was deleted, and of one that crashed.

    To be called with the server's lock in hand: then whoever listens there is not ours.
    """
    stranded = find_listener(layout)
    if stranded and answers(layout.socket):
        _signal(layout, stranded.pid, signal.SIGINT)
        for _ in moments(10):
            if not answers(layout.socket):
                break
    remove_socket(layout)


def _signal(layout: Layout, pid: int, request: signal.Signals) -> None:
    """Never trusts the number alone: its file belongs to a lesser user than root may be."""
    with suppress(ProcessLookupError, PermissionError):
        if os.geteuid() != 0 or _owner_of(pid) == layout.owner:
            os.kill(pid, request)


def _owner_of(pid: int) -> int | None:
    with suppress(OSError):
        return Path(f"/proc/{pid}").stat().st_uid
    return None


def _kill_initdb(lock: int) -> None:
    """Its number is in the lock's file while it runs, its children are in its session."""
    with suppress(ValueError, ProcessLookupError):
        os.killpg(int(os.pread(lock, 20, 0)), signal.SIGKILL)
