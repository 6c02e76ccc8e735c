"""Folders that are gone when this process is, even if it is killed: a process beside it sees to that."""

import atexit
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from quart_fleet import unfinished


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder for as long as the block runs."""
    folder = Path(tempfile.gettempdir(), f"scaffold-{secrets.token_hex(8)}")
    protect(folder)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def protect(folder: Path) -> None:
    """Have a folder removed at the end of this process, which is about to make it.

    Of a workspace's staging folder, what was moved is put back before.
    """
    with suppress(OSError):  # no more processes, or it was killed: the next command does its work
        guard = _start()
        assert guard.stdin is not None
        guard.stdin.write(os.fsencode(folder) + b"\n")
        guard.stdin.flush()


@cache
def _start() -> subprocess.Popen[bytes]:
    guard = subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, "-I", "-S", unfinished.__file__],
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # no signal of the terminal reaches it
    )
    atexit.register(guard.communicate)
    return guard
