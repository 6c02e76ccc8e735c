"""One service of a fleet that is up: its listener, its processes, and when it gets another one.

The listener is the supervisor's, so that a process takes over from the one before it without a
moment in which the port is closed. It is handed over, and heard of, as systemd does both:
sd_listen_fds(3), sd_notify(3).
"""

import asyncio
import fcntl
import os
import re
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Literal

from scaffold.errors import describe
from scaffold.supervisor.journal import Changes
from scaffold.supervisor.reaper import Reaper

READY_TIMEOUT = 120.0
"""Seconds that a process gets until it serves, unless it is said otherwise."""
SLOW_TIME = 15.0
"""Seconds after which it is told that a process does not serve yet."""
DRAIN_TIMEOUT = 40.0
"""Seconds from SIGTERM to SIGKILL, where a process does not say that it takes longer."""
STEADY_TIME = 10.0
"""Seconds after whose serving a process that ends by itself is followed by another one soon."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds until a process is started again; each one more that ends before STEADY_TIME doubles them."""
LONGEST_LINE = 1024 * 1024
"""Bytes of a line of output."""
_SHOWN_LINES = 5
"""Of a process that is not ready."""
_FRAME = re.compile(r'([ |]*)  File "(.+)", line (\d+)')
"""A place in a traceback, which in that of a group is behind a margin."""
_EXCEPTION = re.compile(r"[A-Za-z_][\w.<>]*(:|$)")
_PIPE_SIZE = 1024 * 1024
"""Bytes of output that may wait for the supervisor: the most that Linux gives without a right."""
CLOSE_TIMEOUT = 5.0
"""Seconds that a process gets to accept no more clients where another one has taken over."""
LAST_LINES_TIMEOUT = 1.0
"""Seconds for which output is read of a process that has ended."""

_HANDING = """
import fcntl, os, sys
go, end = map(int, sys.argv[1:3])
if not os.read(go, 1):
    sys.exit()
os.close(go)
given = [int(each) for each in sys.argv[3:end]]
wanted = range(3, 3 + len(given))
free = [fcntl.fcntl(each, fcntl.F_DUPFD, wanted.stop) for each in given]
for each in {*given} - {*wanted}:
    os.close(each)
for each, number in zip(free, wanted):
    os.dup2(each, number)
    os.close(each)
os.execve(sys.executable, sys.argv[end:], {**os.environ, "LISTEN_PID": str(os.getpid())})
"""
"""Has Python go on in this process with listeners as its files from 3 on, once it is told to: by
then it is known to the reaper, whatever ends the supervisor."""

State = Literal["starting", "ready", "failed", "restarting", "draining", "stopped"]
"""`failed`: its last process ended before it was ready, and none serves; `restarting`: none serves
since one that did has ended. Either is started again by and by."""

_numbers = count()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all services of a fleet share."""

    root: Path
    """The workspace's."""
    reaper: Reaper
    hurry: asyncio.Event
    """Set when they are to end at once."""
    folder: Path
    """Where they say that they serve: a short path."""
    environment: Mapping[str, str]
    ready_timeout: float
    """Seconds that a process gets until it serves."""
    changes: Changes
    """Counts each change of a service's state."""
    show: Callable[[str, str], str]
    """Takes the name of a service and a line of its output; returns what it says."""
    tell: Callable[[str, str], None]
    """Takes the name of a service and what has become of it."""


class Process(asyncio.DatagramProtocol):
    """A process of a service, from its start to its end."""

    process: asyncio.subprocess.Process
    ended: "asyncio.Task[int]"
    """Its exit code."""

    def __init__(self) -> None:
        self.serves = asyncio.Event()
        self.has_closed = asyncio.Event()
        """Set where it accepts no more clients."""
        self.failed = self.served = frozenset[str]()
        """Of several services in it, the packages of those that could not start, and of those that serve."""
        self._refusal = ""
        self._explanation = ""
        """Why it does not serve, as it says itself."""
        self._drain_time = 0.0
        """Seconds that it takes to end, as it says then: by its GRACEFUL_TIMEOUT."""
        self._said = deque[str](maxlen=100)
        self._ends_well = False
        """Whether the last of it is a line of the log that tells no error."""

    async def start(self, service: "SupervisedService") -> None:
        """Start it; raises OSError."""
        self._service, around = service, service.around
        listeners, command = service.listeners, service.command
        loop, address = asyncio.get_running_loop(), str(around.folder / f"{next(_numbers)}")
        reader = asyncio.StreamReader(limit=LONGEST_LINE)
        with ExitStack() as files, ExitStack() as opened:
            output, written = os.pipe()
            files.callback(os.close, written)
            reading = opened.enter_context(os.fdopen(output, "rb", 0))
            waited, go = os.pipe()
            for file in (waited, go):
                files.callback(os.close, file)
            # Where it is full a service waits, and then loses lines.
            with suppress(AttributeError, OSError):  # Linux, and within what one user may have
                fcntl.fcntl(output, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
            # A pipe of our own: asyncio's wait for the end of its process until none has its pipe.
            self._output, _ = await loop.connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(reader), reading
            )
            opened.callback(self._output.close)
            self._hearing, _ = await loop.create_datagram_endpoint(
                lambda: self, local_addr=address, family=socket.AF_UNIX
            )
            opened.callback(self._hearing.close)
            given = map(str, (waited, 3 + len(listeners), *listeners))
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-ISc", _HANDING, *given, *command),
                cwd=service.folder,
                env={
                    **around.environment,
                    "LISTEN_FDS": str(len(listeners)),
                    "NOTIFY_SOCKET": address,
                    **service.variables,
                },
                stdin=asyncio.subprocess.DEVNULL,
                stdout=written,
                stderr=asyncio.subprocess.STDOUT,
                pass_fds=[*listeners, waited],
                start_new_session=True,
            )
            around.reaper.watch(self.process.pid)
            os.write(go, b"1")
            opened.pop_all()
        following = asyncio.create_task(self._follow(reader, service))
        self.ended = asyncio.create_task(self._wait(following))

    def datagram_received(self, data: bytes, _address: object) -> None:
        """Hear what the process says."""
        lines = data.decode("utf-8", "replace").split("\n")
        said = dict(line.split("=", 1) for line in lines if "=" in line)
        with suppress(ValueError, KeyError):
            self._drain_time = float(said["EXTEND_TIMEOUT_USEC"]) / 1e6
        if not self.serves.is_set():
            self._explanation = said.get("X_REFUSED", self._explanation)
        if "X_CLOSED" in said:
            self.has_closed.set()
        self._service.hear(self, said)

    def refuse(self, reason: str) -> None:
        """Have it end, since it is not to take over; the reason is then why it has ended."""
        if not self._refusal:
            self._refusal = reason
            self._signal(signal.SIGTERM)

    def explain(self, root: Path) -> str:
        """Say how it has ended and what it has said last: of an exception, with its line in `root`."""
        if self._refusal:
            return self._refusal
        code = self.ended.result()
        if code >= 0:
            how = f"ended with exit code {code}"
        elif -code in set(signal.Signals):
            how = f"was ended by {signal.Signals(-code).name}"
        else:
            how = f"was ended by signal {-code}"
        if self._explanation and code >= 0:
            return f"{how}: {self._explanation}"
        last = self._said[-1].strip() if self._said else ""
        if code > 0 and not last.startswith("Error: "):
            last = find_exception(self._said, root) or last
        # A signal explains itself, so that a line of the log would only look like its cause.
        if not last or (code < 0 and self._ends_well):
            return how
        if code < 0:
            return f"{how}; its last line: {last}"
        return f"{how}: {last}"

    def last_lines(self) -> str:
        """Return what it has said last, to follow a sentence."""
        lines = [f"\n  {each}" for each in self._said][-_SHOWN_LINES:]
        return f"; its last lines:{''.join(lines)}" if lines else ", and has said nothing"

    async def end(self, around: Surroundings) -> None:
        """Have it answer what it has been asked, and end; what it has started ends with it."""
        if not self.ended.done():
            self._signal(signal.SIGTERM)
            began, left = time.monotonic(), DRAIN_TIMEOUT
            while left > 0 and not await first_of(self.ended, around.hurry, seconds=left):
                left = began + self._drain_time - time.monotonic()
        self._signal(signal.SIGKILL)
        await self.ended
        around.reaper.unwatch(self.process.pid)
        self._hearing.close()
        self._output.close()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    async def _wait(self, following: "asyncio.Task[None]") -> int:
        code = await self.process.wait()
        # What it has started may hold its output for longer.
        await asyncio.wait([following], timeout=LAST_LINES_TIMEOUT)
        following.cancel()
        return code

    async def _follow(self, reader: asyncio.StreamReader, service: "SupervisedService") -> None:
        async for text in lines_of(reader):
            said = service.show(text)
            self._said.append(said)
            self._ends_well = said != text and not said.startswith(("error ", "critical "))


@dataclass(eq=False)
class SupervisedService:
    """A service that is to run, whatever ends its processes."""

    name: str
    folder: Path
    host: str
    port: int
    listener: socket.socket
    around: Surroundings
    environment: dict[str, str] = field(default_factory=dict)
    """Variables of its own."""
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    """Set where it is to end."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set where another process is wanted, as for other code."""
    state: State = "starting"
    since: float = field(default_factory=time.time)
    """When it came into this state, or its process began to serve, in seconds since 1970."""
    restarts: int = 0
    """How often it was started again because its process had ended by itself, or was not ready."""
    reason: str = ""
    """Why its last process ended or is not ready; empty where that one serves."""
    serving: Process | None = None
    coming: Process | None = None
    """The process that is to serve next."""
    _wanted: int = 0
    _tried: int = 0
    """The last of the wanted processes that serves, or does not start."""
    _retired: "set[asyncio.Task[None]]" = field(default_factory=set)

    @property
    def pid(self) -> int | None:
        """The id of the process that serves, or else of the one that is to serve next."""
        process = self.serving or self.coming
        return process.process.pid if process else None

    @property
    def is_taken_over(self) -> bool:
        """Whether a process from which another one took over may answer still."""
        return bool(self._retired)

    @property
    def listeners(self) -> list[int]:
        """The files that its processes get."""
        return [self.listener.fileno()]

    @property
    def command(self) -> list[str]:
        """What its processes run."""
        return [sys.executable, "app.py"]

    @property
    def variables(self) -> dict[str, str]:
        """What its processes are told besides the environment of all."""
        return {"SERVICE_NAME": self.name, "SERVICE_PORT": str(self.port), **self.environment}

    def show(self, line: str) -> str:
        """Show a line of a process; return what it says."""
        return self.around.show(self.name, line)

    def hear(self, process: Process, said: Mapping[str, str]) -> None:
        """Take in what a process says of itself."""
        if said.get("READY") == "1":
            process.serves.set()

    @property
    def url(self) -> str:
        """Where its API begins, for a program of this machine."""
        return f"http://localhost:{self.port}/api/v1/"

    @property
    def is_tried(self) -> bool:
        """Whether it is known of the process that was last wanted if it serves."""
        return self._tried >= self._wanted

    def end(self) -> None:
        """Have it end once what it has been asked is answered."""
        self.ending.set()
        self.around.changes.tell()

    def want_another(self) -> None:
        """Have another process take over, as for other code."""
        self._wanted += 1
        self.changed.set()

    async def restart(self) -> str:
        """Have another process take over; return why it does not once that is known, "" if it does."""
        self.want_another()
        number, changes = self._wanted, self.around.changes
        while self._tried < number and self.state not in ("draining", "stopped"):
            await changes.after(changes.number)
        return self.reason if self._tried >= number else "is ending"

    async def run(self) -> None:
        """Keep a process serving until it is to end; return when there is none any more."""
        pause = 0.0
        while not self.ending.is_set():
            if self.changed.is_set() and self.serving is None:
                self._become("starting")
            began = time.monotonic()
            reason = await self._have_one_serve()
            if self.ending.is_set() or self.changed.is_set():
                continue
            is_steady = time.monotonic() - began > STEADY_TIME
            pause = FIRST_PAUSE if is_steady else min(max(FIRST_PAUSE, 2 * pause), LONGEST_PAUSE)
            self.around.tell(self.name, f"{reason}\nIt is started again in {pause:g} s.")
            await first_of(self.ending, self.changed, seconds=pause)
            self.restarts += not (self.ending.is_set() or self.changed.is_set())
        self._become("draining")
        if self.serving is not None:
            self._retire(self.serving)
        await asyncio.gather(*self._retired)
        self.serving = None
        self.listener.close()
        self._become("stopped")

    async def _have_one_serve(self) -> str:
        """Have another process take over, and wait; return why none serves, where that is so."""
        self.changed.clear()
        wanted, reason = self._wanted, await self._try_another()
        is_judged = not (self.changed.is_set() or self.ending.is_set())
        if is_judged or not reason:
            self._tried = wanted
        if not reason:
            self._become("ready")
        elif is_judged:
            self._become("ready" if self.serving else "failed", reason)
        if (serving := self.serving) is None:
            return reason
        if reason and is_judged:
            self.around.tell(self.name, f"{reason}\nThe process before it serves on: mend it.")
        await first_of(self.ending, self.changed, serving.ended)
        if not serving.ended.done():
            return ""
        self.serving = None
        await self._retire(serving)
        reason = serving.explain(self.around.root)
        self._become("restarting", reason)
        return reason

    def _become(self, state: State, reason: str = "") -> None:
        if state != self.state or not reason:
            self.since = time.time()
        self.state, self.reason = state, reason
        self.around.changes.tell()

    async def _try_another(self) -> str:
        """Have another process take over, and return why it does not; "" where it does."""
        new, around = Process(), self.around
        try:
            await new.start(self)
        except OSError as error:  # too many processes, or open files
            return f"cannot start: {describe(error)}"
        self.coming = new
        around.changes.tell()
        waited = (self.ending, self.changed, new.serves, new.ended)
        left = around.ready_timeout
        if left > SLOW_TIME and not await first_of(*waited, seconds=SLOW_TIME):
            around.tell(self.name, f"is not ready after {SLOW_TIME:g} s{new.last_lines()}")
            left -= SLOW_TIME
        await first_of(*waited, seconds=left)
        self.coming = None
        if not new.serves.is_set() or new.ended.done():
            is_late = not new.ended.done()
            await self._retire(new)
            if is_late:
                return f"is not ready after {around.ready_timeout:g} s{new.last_lines()}"
            return new.explain(around.root)
        old, self.serving = self.serving, new
        if old is not None:
            around.tell(self.name, f"reloaded, as process {new.process.pid}")
            self._retire(old)
            others = (self.ending, self.changed, new.ended, old.ended)
            await first_of(old.has_closed, *others, seconds=CLOSE_TIMEOUT)
        return ""

    def _retire(self, process: Process) -> "asyncio.Task[None]":
        def note(ended: "asyncio.Task[None]") -> None:
            self._retired.discard(ended)
            self.around.changes.tell()

        retiring = asyncio.create_task(process.end(self.around))
        self._retired.add(retiring)
        retiring.add_done_callback(note)
        return retiring


def find_exception(lines: Iterable[str], root: Path) -> str:
    """Return the last exception whose traceback is in some lines, after its place in a folder.

    That is the first line of what it says; "" where there is none.
    """
    found = place = ""
    margin: str | None = None
    is_ignored = False
    for line in lines:
        if frame := _FRAME.match(line):
            margin, path = frame[1], Path(frame[2])
            if path.is_relative_to(root) and "site-packages" not in path.parts:
                place = f"{path.relative_to(root)}:{frame[3]}: "
        elif line.startswith("Exception ignored "):  # as in a __del__: it ends nothing
            is_ignored = True
        elif margin is not None and line.startswith(margin) and _EXCEPTION.match(line, len(margin)):
            if not is_ignored:
                found = place + line[len(margin) :].strip()
            place, margin, is_ignored = "", None, False
    return found


async def lines_of(reader: asyncio.StreamReader) -> AsyncIterator[str]:
    """Give the lines of an output until its end; of one that is longer than its limit, the rest."""
    while True:
        try:
            line = await reader.readline()
        except ValueError:
            continue
        if not line:
            return
        yield line.decode("utf-8", "replace").rstrip("\r\n")


async def first_of(
    *waited: "asyncio.Event | asyncio.Task[Any]", seconds: float | None = None
) -> bool:
    """Return when one of these is set or done, or after as many seconds; say whether one is."""
    tasks = [
        asyncio.create_task(each.wait()) if isinstance(each, asyncio.Event) else each
        for each in waited
    ]
    try:
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task, each in zip(tasks, waited, strict=True):
            if isinstance(each, asyncio.Event):
                task.cancel()
    return bool(done)
