"""Ends whatever is alive of a server."""

import os
import signal
from contextlib import suppress

from db_manager.embedded.errors import EmbeddedPostgresError
from db_manager.embedded.layout import Layout
from db_manager.embedded.locks import moments, take_exclusive
from db_manager.embedded.postmaster import find_postmaster

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
            _signal(asked, request)
    return False


def _signal(pid: int, request: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, request)


def _kill_initdb(lock: int) -> None:
    """Its number is in the lock's file while it runs, its children are in its session."""
    with suppress(ValueError, ProcessLookupError):
        os.killpg(int(os.pread(lock, 20, 0)), signal.SIGKILL)
