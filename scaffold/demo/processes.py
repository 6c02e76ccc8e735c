"""Processes that the demo starts: each in a session of its own, its output in a file."""

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from scaffold.demo.errors import DemoError
from scaffold.demo.interruption import Guard
from scaffold.demo.reaper import Reaper

PATIENCE = 10.0
"""Seconds between asking a process to end and killing it."""

_TAIL = 15


@dataclass(frozen=True, slots=True)
class Place:
    """Where commands run, with which environment."""

    folder: Path
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Processes:
    """Starts and ends them; the reaper knows at any time which there are."""

    guard: Guard
    reaper: Reaper

    def start(self, command: Sequence[str], place: Place, log: Path) -> subprocess.Popen[bytes]:
        """Start a process; Ctrl-C at the terminal does not reach it, `end` does."""
        with log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603 - the demo's own commands
                command,
                cwd=place.folder,
                env=dict(place.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.reaper.watch(process.pid)
        return process

    def run(self, command: Sequence[str], place: Place, log: Path) -> None:
        """Run a command to its end; raises DemoError with its last lines."""
        with ExitStack() as stack:
            process = self._open(stack, command, place, log)
            code = process.wait()
        if code:
            raise DemoError(f"`{shlex.join(command)}` ended with exit code {code}:\n{tail(log)}")

    @contextmanager
    def alongside(self, command: Sequence[str], place: Place, log: Path) -> Iterator[None]:
        """Run a command while the block runs, and wait for it; how it ends does not matter."""
        with ExitStack() as stack:
            process = self._open(stack, command, place, log)
            yield
            process.wait()

    def end(self, processes: Sequence[subprocess.Popen[bytes]]) -> None:
        """Ask all that still run, with all that they started, to end; then wait, then kill."""
        running = [process for process in processes if process.poll() is None]
        for process in running:
            _signal(process, signal.SIGTERM)
        for process in running:
            with suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)
            _signal(process, signal.SIGKILL)
            process.wait()
        for process in processes:
            self.reaper.forget(process.pid)

    def _open(
        self, stack: ExitStack, command: Sequence[str], place: Place, log: Path
    ) -> subprocess.Popen[bytes]:
        """Start a process that ends with the stack, or explain why it does not start."""
        try:
            with self.guard.held():
                process = self.start(command, place, log)
                stack.callback(self.end, [process])
        except OSError as error:
            raise DemoError(f"`{shlex.join(command)}` does not start: {error}") from None
        return process


def tail(log: Path) -> str:
    """Return the last lines of what a process said."""
    lines = log.read_text("utf-8", errors="replace").splitlines()[-_TAIL:]
    return "\n".join(f"  {line}" for line in lines) or "  (it said nothing)"


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
