"""A server as a process: started, awaited, weighed and stopped by its id."""

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks import wire
from benchmarks.errors import BenchmarkError
from benchmarks.machine import pin

TIMEOUT = 180.0
"""Seconds that a start or a stop may take, on a busy machine and under valgrind too."""
LOG = Path(tempfile.gettempdir(), f"bench-{os.getpid()}.log")
"""What the servers of this run say."""
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Server:
    """A process that answers on a port."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def pids(self) -> list[int]:
        """The process and all that descend from it."""
        return [self.process.pid, *_descendants(self.process.pid)]

    def cpu(self) -> float:
        """Return the seconds that the process and its descendants have computed."""
        return sum(cpu_of(pid) for pid in self.pids)

    def memory(self, field: str = "VmRSS") -> float:
        """Return the MiB that the process and its descendants hold, or held at most (VmHWM)."""
        return sum(memory_of(pid, field) for pid in self.pids)


@contextmanager
def running(
    command: Sequence[str | Path],
    port: int,
    folder: Path,
    environment: Mapping[str, str],
    cores: frozenset[int] = frozenset(),
) -> Iterator[Server]:
    """Run a server for the length of a block, from its first answer on."""
    server = Server(spawn(command, folder, environment, cores), port)
    try:
        await_answer(server)
        yield server
    finally:
        stop(server.process)


def spawn(
    command: Sequence[str | Path],
    folder: Path,
    environment: Mapping[str, str],
    cores: frozenset[int] = frozenset(),
) -> subprocess.Popen[bytes]:
    """Start a process on these cores; what it says is kept in `LOG`."""
    with LOG.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - our own words
            [str(word) for word in command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    pin(process.pid, cores)
    return process


def await_answer(server: Server) -> None:
    """Wait until health is answered; raises BenchmarkError where it never is."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise BenchmarkError(f"The server ended: see {LOG}.")
        with suppress(OSError):
            wire.ask(server.port, "GET", "/api/v1/health")
            return
        time.sleep(0.005)
    raise BenchmarkError(f"The server did not answer within {TIMEOUT:.0f} s.")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Have a process end, and end it where it does not."""
    process.terminate()
    try:
        process.wait(TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """Return a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def cpu_of(pid: int) -> float:
    """Return the seconds that one process has computed, its threads together."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def children(pid: int) -> list[int]:
    """Return the processes that this one has started and that still run."""
    with suppress(OSError):
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    return []


def _descendants(pid: int) -> list[int]:
    own = children(pid)
    return [*own, *(below for child in own for below in _descendants(child))]


def memory_of(pid: int, field: str = "VmRSS") -> float:
    """Return the MiB that one process holds; 0 where it has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) / 1024
    return 0.0
