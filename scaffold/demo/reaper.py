"""The process that clears up after a demo that was killed: python -m scaffold.demo.reaper

It reads from a pipe what there is to clear up. The kernel closes the pipe however the demo ends.
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

PATIENCE = 10.0
"""Seconds between asking what is left to end and killing it; then as many to remove folders."""

_ROOT = Path(__file__).resolve().parents[2]
_PAUSE = 0.05


class Reaper:
    """Told of every session of processes and every folder that begins and ends to be there.

    Runs inside `with`. Who kills it too gets no help, and no trouble either.
    """

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-SP", "-m", "scaffold.demo.reaper"],
            cwd="/",
            env=os.environ | {"PYTHONPATH": str(_ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
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
        """Note a session, by the id of its leader, or a folder."""
        self._say(f"+{left}")

    def forget(self, left: int | Path) -> None:
        """Note that it is gone, or is to stay."""
        self._say(f"-{left}")

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(f"{line}\n".encode())


def reap(lines: Iterable[str]) -> None:
    """Read to the end what there is, then end and remove what is left of it."""
    left = set[str]()
    for line in lines:
        (left.add if line.startswith("+") else left.discard)(line[1:].removesuffix("\n"))
    _end([int(each) for each in left if each.isdecimal()])
    for folder in (Path(each) for each in left if not each.isdecimal()):
        _remove(folder)


def _end(sessions: list[int]) -> None:
    end = time.monotonic() + PATIENCE
    running = [each for each in sessions if _reaches(each, signal.SIGTERM)]
    while running and time.monotonic() < end:
        time.sleep(_PAUSE)
        running = [each for each in running if _reaches(each, 0)]
    for each in running:
        _reaches(each, signal.SIGKILL)


def _reaches(session: int, number: int) -> bool:
    """Send a signal, and tell whether anybody was there to get it."""
    try:
        os.killpg(session, number)
    except (ProcessLookupError, PermissionError):  # gone, and its number perhaps another's
        return False
    return True


def _remove(folder: Path) -> None:
    """Remove it with what a server that is just ending may still write there."""
    end = time.monotonic() + PATIENCE
    while folder.exists() and time.monotonic() < end:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(_PAUSE)


if __name__ == "__main__":
    reap(sys.stdin)
