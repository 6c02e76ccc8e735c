"""Kernel locks on files (flock), and loops with a timeout."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_INTERVAL = 0.01
"""Seconds between two attempts."""


def open_lock(path: Path) -> int:
    """Return a descriptor that is closed on exec: a child process keeps no lock by accident."""
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def open_existing_lock(path: Path) -> int:
    """Return a descriptor of a lock that is there; raises FileNotFoundError."""
    return os.open(path, os.O_RDWR)


def find_folder(lock: int) -> Path | None:
    """Return where an open lock is now, wherever its folder was moved; None where it was deleted."""
    try:
        if hasattr(fcntl, "F_GETPATH"):  # macOS
            path = Path(os.fsdecode(fcntl.fcntl(lock, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0")))
        else:
            path = Path(f"/proc/self/fd/{lock}").readlink()
        return path.parent if os.path.samestat(path.stat(), os.fstat(lock)) else None
    except OSError:
        return None


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """Open a lock for a block; a child that inherited the descriptor holds the lock beyond it."""
    lock = open_lock(path)
    try:
        yield lock
    finally:
        os.close(lock)


def take_shared(lock: int) -> bool:
    """Take the lock beside other shared holders; False where it is held exclusively."""
    return _take(lock, fcntl.LOCK_SH)


def take_exclusive(lock: int) -> bool:
    """Take the lock alone; False where it is held."""
    return _take(lock, fcntl.LOCK_EX)


def await_exclusive(lock: int) -> None:
    """Take the lock alone, however long that takes; shared holders may still come meanwhile."""
    fcntl.flock(lock, fcntl.LOCK_EX)


def is_held(path: Path) -> bool:
    """Whether a process holds the lock exclusively; makes no file and takes nothing for long."""
    try:
        lock = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not take_shared(lock)
    finally:
        os.close(lock)


def attempts(timeout: float) -> Iterator[None]:
    """Yield until `timeout` seconds are over, and once more then.

    The last attempt begins after the timeout, even if a slow machine spent all of it in the one
    before: a condition that came true in time is seen.
    """
    end = time.monotonic() + timeout
    is_last = False
    while not is_last:
        is_last = time.monotonic() >= end
        yield
        time.sleep(_INTERVAL)


def _take(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
