"""One service of a fleet that is up: its listener, its processes, and when it gets another one.

The listener is the supervisor's, so that a process takes over from the one before it without a
moment in which the port is closed. It is handed over, and heard of, as systemd does both:
sd_listen_fds(3), sd_notify(3).
"""

import asyncio
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from scaffold.supervisor.reaper import Reaper

READY_TIMEOUT = 120.0
"""Seconds that a process gets until it serves."""
DRAIN_TIMEOUT = 40.0
"""Seconds from SIGTERM to SIGKILL: a service's own GRACEFUL_TIMEOUT is 30."""
STEADY_TIME = 10.0
"""Seconds after whose serving a process that ends by itself is followed by another one soon."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds until a process is started again; each one more that ends before STEADY_TIME doubles them."""
_LONGEST_LINE = 1024 * 1024
"""Bytes of a line of output."""

_HANDING = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.execve(sys.executable, sys.argv[2:], {**os.environ, "LISTEN_PID": str(os.getpid())})
"""
"""Has Python go on in this process with a listener as its file 3."""

_numbers = count()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all services of a fleet share."""

    reaper: Reaper
    ending: asyncio.Event
    """Set when all are to end."""
    folder: Path
    """Where they say that they serve: a short path."""
    environment: Mapping[str, str]
    show: Callable[[str, str], str]
    """Takes the name of a service and a line of its output; returns what it says."""
    tell: Callable[[str, str], None]
    """Takes the name of a service and what has become of it."""


class Process(asyncio.DatagramProtocol):
    """A process of a service, from its start to its end."""

    process: asyncio.subprocess.Process
    ended: "asyncio.Task[int]"
    """Its exit code, when its output has been read."""

    def __init__(self) -> None:
        self.serves = asyncio.Event()
        self.output = deque[str](maxlen=15)
        """The last lines of it."""

    async def start(self, service: "SupervisedService") -> None:
        """Start it; raises OSError."""
        around, listener = service.around, service.listener.fileno()
        address = str(around.folder / f"{next(_numbers)}")
        self._hearing, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: self, local_addr=address, family=socket.AF_UNIX
        )
        environment = {
            **around.environment,
            "SERVICE_PORT": str(service.port),
            "LISTEN_FDS": "1",
            "NOTIFY_SOCKET": address,
        }
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-ISc", _HANDING, str(listener), sys.executable, "app.py"),
            cwd=service.folder,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            pass_fds=[listener],
            start_new_session=True,
            limit=_LONGEST_LINE,
        )
        around.reaper.watch(self.process.pid)
        self.ended = asyncio.create_task(self._follow(service))

    def datagram_received(self, data: bytes, _address: object) -> None:
        """Hear what the process says."""
        if b"READY=1" in data.split(b"\n"):
            self.serves.set()

    def explain(self) -> str:
        """Say how it has ended."""
        code = self.ended.result()
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        return f"{how}: {self.output[-1].strip()}" if self.output else how

    async def end(self, reaper: Reaper) -> None:
        """Have it answer what it has been asked, and end; what it has started ends with it."""
        if not self.ended.done():
            self._signal(signal.SIGTERM)
            await asyncio.wait([self.ended], timeout=DRAIN_TIMEOUT)
        self._signal(signal.SIGKILL)
        await self.ended
        reaper.unwatch(self.process.pid)
        self._hearing.close()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    async def _follow(self, service: "SupervisedService") -> int:
        output = self.process.stdout
        assert output is not None
        while True:
            try:
                line = await output.readline()
            except ValueError:  # longer than _LONGEST_LINE: dropped
                continue
            if not line:
                return await self.process.wait()
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            self.output.append(service.around.show(service.name, text))


@dataclass(eq=False)
class SupervisedService:
    """A service that is to run, whatever ends its processes."""

    name: str
    folder: Path
    port: int
    listener: socket.socket
    around: Surroundings
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set where another process is wanted, as for other code."""
    is_ready: asyncio.Event = field(default_factory=asyncio.Event)
    serving: Process | None = None
    _retired: "set[asyncio.Task[None]]" = field(default_factory=set)

    async def run(self) -> None:
        """Keep a process serving until the fleet ends; return when there is none any more."""
        loop, ending, pause = asyncio.get_running_loop(), self.around.ending, 0.0
        began = loop.time()
        while not ending.is_set():
            self.changed.clear()
            new = Process()
            try:
                await new.start(self)
            except OSError as error:  # too many processes, or open files
                self.around.tell(self.name, f"cannot start: {error.strerror}")
                await _first(ending, self.changed, seconds=LONGEST_PAUSE)
                continue
            await _first(ending, new.serves, new.ended, seconds=READY_TIMEOUT)
            if new.serves.is_set() and not new.ended.done():
                began, old, self.serving = loop.time(), self.serving, new
                self.is_ready.set()
                if old is not None:
                    self.around.tell(self.name, f"reloaded, as process {new.process.pid}")
                    self._retire(old)
            else:
                await self._retire(new)
                if self.serving is not None and not ending.is_set():
                    self.around.tell(
                        self.name, f"{new.explain()}\nThe process before it serves on: mend it."
                    )
            if self.serving is not None:
                await _first(ending, self.changed, self.serving.ended)
                if not self.serving.ended.done():
                    continue
                new, self.serving = self.serving, None
                await self._retire(new)
            if ending.is_set():
                break
            is_steady = loop.time() - began > STEADY_TIME
            pause = FIRST_PAUSE if is_steady else min(max(FIRST_PAUSE, 2 * pause), LONGEST_PAUSE)
            self.is_ready.clear()
            self.around.tell(self.name, f"{new.explain()}\nIt is started again in {pause:g} s.")
            await _first(ending, self.changed, seconds=pause)
            began = loop.time()
        if self.serving is not None:
            self._retire(self.serving)
        await asyncio.gather(*self._retired)

    def _retire(self, process: Process) -> "asyncio.Task[None]":
        retiring = asyncio.create_task(process.end(self.around.reaper))
        self._retired.add(retiring)
        retiring.add_done_callback(self._retired.discard)
        return retiring


async def _first(
    *waited: "asyncio.Event | asyncio.Task[int]", seconds: float | None = None
) -> None:
    """Return when one of these is set or done, or after as many seconds."""
    tasks = [
        asyncio.create_task(each.wait()) if isinstance(each, asyncio.Event) else each
        for each in waited
    ]
    await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task, each in zip(tasks, waited, strict=True):
        if isinstance(each, asyncio.Event):
            task.cancel()
