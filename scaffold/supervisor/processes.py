"""Child processes that end with their parent, whichever signal ends it.

Each has a session of its own, and its output in a file.
"""

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from scaffold.errors import ScaffoldError
from scaffold.signals import Interrupted, not_ignored
from scaffold.supervisor.reaper import Reaper

TERMINATION_TIMEOUT = 10.0
"""Seconds from SIGTERM to SIGKILL."""

_TAIL = 15
"""Lines of a log that an error shows."""


class SignalGuard:
    """Raises Interrupted for the first signal; later ones do not interrupt the cleanup."""

    def __init__(self) -> None:
        self._deferrals = 0
        self._received: int | None = None

    @property
    def has_fired(self) -> bool:
        """Whether a signal has come."""
        return self._received is not None

    def receive(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal: raise now, or when the last deferral ends."""
        if self._received is not None:
            return
        self._received = number
        if not self._deferrals:
            raise Interrupted(number)

    def ignore(self) -> None:
        """Raise for no signal any more."""
        self._deferrals += 1

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Defer signals, so that what is opened in the block is also registered for closing."""
        before = self._received
        self._deferrals += 1
        try:
            yield
        finally:
            self._deferrals -= 1
        if self._received is not None and self._received != before and not self._deferrals:
            raise Interrupted(self._received)


@contextmanager
def guarded() -> Iterator[SignalGuard]:
    """Have a guard handle the signals that end a process; restore the former handlers.

    After a signal they are ignored instead: the process is about to exit, and Python removes its
    handlers before it has exited, so that a late Ctrl-C would kill it.
    """
    guard = SignalGuard()
    previous = {number: signal.signal(number, guard.receive) for number in not_ignored()}
    try:
        yield guard
    finally:
        for number, handler in previous.items():
            signal.signal(number, signal.SIG_IGN if guard.has_fired else handler)


@dataclass(frozen=True, slots=True)
class Place:
    """The folder and the environment that commands run in."""

    folder: Path
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Processes:
    """Starts and ends processes; the reaper knows at any time which there are."""

    guard: SignalGuard
    reaper: Reaper

    def start(self, command: Sequence[str], place: Place, log: Path) -> subprocess.Popen[bytes]:
        """Start a process; Ctrl-C at the terminal does not reach it, `end` does."""
        with log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603 - the commands of the caller
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
        """Run a command to its end; raises ScaffoldError with the last lines of its output."""
        with self._started(command, place, log) as process:
            code = process.wait()
        if code:
            raise ScaffoldError(
                f"`{shlex.join(command)}` ended with exit code {code}:\n{tail(log)}"
            )

    @contextmanager
    def alongside(self, command: Sequence[str], place: Place, log: Path) -> Iterator[None]:
        """Run a command while the block runs, and wait for it; its exit code does not matter."""
        with self._started(command, place, log) as process:
            yield
            process.wait()

    def end(self, processes: Sequence[subprocess.Popen[bytes]]) -> None:
        """Send SIGTERM to all sessions that still run, wait, then send SIGKILL."""
        running = [process for process in processes if process.poll() is None]
        for process in running:
            _signal(process, signal.SIGTERM)
        for process in running:
            with suppress(subprocess.TimeoutExpired):
                process.wait(TERMINATION_TIMEOUT)
            _signal(process, signal.SIGKILL)
            process.wait()
        for process in processes:
            self.reaper.unwatch(process.pid)

    @contextmanager
    def paused(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        """Let a session do nothing while the block runs; what is sent to it waits."""
        _signal(process, signal.SIGSTOP)
        try:
            yield
        finally:
            _signal(process, signal.SIGCONT)

    @contextmanager
    def _started(
        self, command: Sequence[str], place: Place, log: Path
    ) -> Iterator[subprocess.Popen[bytes]]:
        with ExitStack() as stack:
            try:
                with self.guard.deferred():
                    process = self.start(command, place, log)
                    stack.callback(self.end, [process])
            except OSError as error:
                raise ScaffoldError(f"`{shlex.join(command)}` does not start: {error}") from None
            yield process


def tail(log: Path) -> str:
    """Return the last lines of a process's output, indented."""
    lines = log.read_text("utf-8", errors="replace").splitlines()[-_TAIL:]
    return "\n".join(f"  {line}" for line in lines) or "  (no output)"


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    # macOS refuses permission where all that is left of a session has ended and is not reaped yet.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
