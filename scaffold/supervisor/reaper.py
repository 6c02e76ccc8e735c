"""The process that ends children and removes folders when their parent was killed.

It reads from a pipe which there are. The kernel closes the pipe however the parent ends. It runs
as a file by itself, on the standard library alone.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

_TERMINATION_TIMEOUT = 10.0
"""Seconds from SIGTERM to SIGKILL."""
_REMOVAL_TIMEOUT = 10.0
"""Seconds in which a folder is removed again and again."""
_POLL_INTERVAL = 0.05


class Reaper:
    """Keeps the list of sessions of processes and of folders that must not outlive this process.

    Runs inside `with`. Where the reaper itself is killed, only its help is lost.
    """

    def __init__(self, *held: int) -> None:
        """Take descriptors that the reaper keeps open, so that their locks last until its end."""
        self._held = held

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(  # noqa: S603 - this very file
            [sys.executable, "-SP", str(Path(__file__).resolve())],
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=self._held,
            bufsize=0,
            start_new_session=True,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.communicate()

    def watch(self, left: int | Path) -> None:
        """Add a session, by the id of its leader, or a folder."""
        self._write(f"+{left}")

    def unwatch(self, left: int | Path) -> None:
        """Drop a session or a folder that has gone."""
        self._write(f"-{left}")

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(f"{line}\n".encode())


def reap(lines: Iterable[str]) -> None:
    """Read the list to its end, then end and remove what is left of it."""
    left = set[str]()
    for line in lines:
        (left.add if line.startswith("+") else left.discard)(line[1:].removesuffix("\n"))
    end = time.monotonic() + _TERMINATION_TIMEOUT
    sessions = [int(each) for each in left if each.isdecimal()]
    running = [each for each in sessions if _signal(each, signal.SIGTERM)]
    while running and time.monotonic() < end:
        time.sleep(_POLL_INTERVAL)
        running = [each for each in running if _signal(each, 0)]
    for each in running:
        _signal(each, signal.SIGKILL)
    for folder in (Path(each) for each in left if not each.isdecimal()):
        end = time.monotonic() + _REMOVAL_TIMEOUT
        # A server that is just ending may still write there. A folder of this name that is there
        # after the removal is another's.
        while time.monotonic() < end:
            try:
                shutil.rmtree(folder)
            except OSError as error:
                if isinstance(error, FileNotFoundError) and error.filename == str(folder):
                    break
                time.sleep(_POLL_INTERVAL)
            else:
                break


def _signal(session: int, number: int) -> bool:
    """Send a signal, and return whether the session has a process that received it."""
    try:
        os.killpg(session, number)
    except (ProcessLookupError, PermissionError):  # it has ended, and another has its id perhaps
        return False
    return True


if __name__ == "__main__":
    reap(sys.stdin)
