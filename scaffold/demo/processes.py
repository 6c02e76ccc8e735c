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

PATIENCE = 10.0
"""Seconds between asking a process to end and killing it."""

_TAIL = 15


@dataclass(frozen=True, slots=True)
class Place:
    """Where commands run, with which environment."""

    folder: Path
    environment: Mapping[str, str]


def start(command: Sequence[str], place: Place, log: Path) -> subprocess.Popen[bytes]:
    """Start a process; Ctrl-C at the terminal does not reach it, `end` does."""
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - the demo's own commands
            command,
            cwd=place.folder,
            env=dict(place.environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def run(command: Sequence[str], place: Place, log: Path, guard: Guard) -> None:
    """Run a command to its end; raises DemoError with its last lines."""
    with ExitStack() as stack:
        with guard.held():
            process = _start_or_explain(command, place, log)
            stack.callback(end, [process])
        code = process.wait()
    if code:
        raise DemoError(f"`{shlex.join(command)}` ended with exit code {code}:\n{tail(log)}")


@contextmanager
def alongside(command: Sequence[str], place: Place, log: Path, guard: Guard) -> Iterator[None]:
    """Run a command while the block runs, and wait for it; how it ends does not matter."""
    with ExitStack() as stack:
        with guard.held():
            process = _start_or_explain(command, place, log)
            stack.callback(end, [process])
        yield
        process.wait()


def end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask all that still run, with all that they started, to end; then wait, then kill."""
    running = [process for process in processes if process.poll() is None]
    for process in running:
        _signal(process, signal.SIGTERM)
    for process in running:
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
        _signal(process, signal.SIGKILL)
        process.wait()


def tail(log: Path) -> str:
    """Return the last lines of what a process said."""
    lines = log.read_text("utf-8", errors="replace").splitlines()[-_TAIL:]
    return "\n".join(f"  {line}" for line in lines) or "  (it said nothing)"


def _start_or_explain(command: Sequence[str], place: Place, log: Path) -> subprocess.Popen[bytes]:
    try:
        return start(command, place, log)
    except OSError as error:
        raise DemoError(f"`{shlex.join(command)}` does not start: {error}") from None


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
