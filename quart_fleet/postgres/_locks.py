"""Kernel locks on files, and patience."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def open_lock(path: Path) -> int:
    """A descriptor that is closed on exec, so that no child of ours keeps the lock by accident."""
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def take_shared(lock: int) -> bool:
    return _take(lock, fcntl.LOCK_SH)


def take_exclusive(lock: int) -> bool:
    return _take(lock, fcntl.LOCK_EX)


def await_exclusive(lock: int) -> None:
    """Sleeps until nobody else holds the lock; newcomers who share it are let in meanwhile."""
    fcntl.flock(lock, fcntl.LOCK_EX)


def is_held(path: Path) -> bool:
    """Whether somebody holds the lock exclusively; touches nothing."""
    try:
        lock = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not take_shared(lock)
    finally:
        os.close(lock)


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """Gives up its own hold at the end; a child that inherited the descriptor keeps its."""
    lock = open_lock(path)
    try:
        yield lock
    finally:
        os.close(lock)


def moments(seconds: float) -> Iterator[None]:
    """Turns of a loop that waits; one more comes when its time is up, however long a turn took."""
    end = time.monotonic() + seconds
    is_last = False
    while not is_last:
        is_last = time.monotonic() >= end
        yield
        time.sleep(0.01)


def _take(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
