"""What the processes of a fleet do, followed by their sockets and put together by service.

Each process tells of itself as `quart_fleet/telemetry/live.schema.json` says. What is kept is
bounded, whatever they tell.
"""

import asyncio
from asyncio import LimitOverrunError
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import orjson

MOST_SECONDS = 300
"""Of each service."""
MOST_REQUESTS, MOST_BYTES = 1000, 16 << 20
"""Of all services together: how many of the last ones, and of how many bytes."""
MOST_STATEMENTS = 500
"""Different ones, of which it is known how long they took."""
_LONGEST_EVENT = 4 << 20
"""Bytes: of a request, its steps with their statements."""
_INTERVAL = 0.25
"""Seconds between two looks for new processes."""
_HEAD = b"GET / HTTP/1.1\r\nHost: live\r\n\r\n"

Event = dict[str, Any]


@dataclass(slots=True)
class Second:
    """What a second was like for all processes of a service."""

    time: int
    """When it ended, since 1970."""
    requests: int = 0
    errors: int = 0
    p50: float | None = None
    p99: float | None = None

    def add(self, told: Event) -> None:
        """Add what one process tells.

        Of two medians the one with more requests counts more; the highest of their 99th
        percentiles is an upper bound of the one that they have in common.
        """
        requests = int(told["requests"])
        if (median := told["p50"]) is not None:
            before = self.p50 if self.p50 is not None else median
            both = self.requests + requests
            self.p50 = (before * self.requests + median * requests) / both if both else median
        if (slowest := told["p99"]) is not None:
            self.p99 = max(self.p99 or 0.0, slowest)
        self.requests += requests
        self.errors += int(told["errors"])


@dataclass(slots=True)
class ProcessNow:
    """What a process was like a second ago."""

    framework: str
    memory: int | None = None
    running: int = 0
    lag: float = 0.0
    pool: dict[str, int] | None = None
    bucket: int = 0
    """The second that it has told last."""


@dataclass(slots=True)
class Activity:
    """What the processes of a service do."""

    processes: dict[int, ProcessNow] = field(default_factory=dict)
    """By their ids."""
    seconds: deque[Second] = field(default_factory=lambda: deque(maxlen=MOST_SECONDS))

    def add(self, pid: int, told: Event) -> None:
        """Note what a process was like in the second that has ended."""
        now = self.processes[pid]
        now.memory, now.running = told["memory"], told["running"]
        now.lag, now.pool = told["lag"], told["pool"]
        # Its clock and the whole seconds may beat against each other.
        now.bucket = max(int(told["time"]), now.bucket + 1)
        for second in reversed(self.seconds):
            if second.time <= now.bucket:
                break
        else:
            second = None
        if second is None or second.time != now.bucket:
            second = Second(now.bucket)
            place = sum(each.time < now.bucket for each in self.seconds)
            if len(self.seconds) == MOST_SECONDS:
                if not place:
                    return
                self.seconds.popleft()
                place -= 1
            self.seconds.insert(place, second)
        second.add(told)


@dataclass(slots=True)
class StatementTimes:
    """How long a statement took, of the requests that were told in detail."""

    service: str
    sql: str
    count: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    errors: int = 0


@dataclass(slots=True)
class Told:
    """A request as its service tells it."""

    number: int
    """Counts all that were told."""
    service: str
    pid: int
    event: Event
    size: int
    """Bytes that it was told in."""


class Following:
    """Follows all processes that have a socket in a folder, and keeps the last of what they tell."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._followed: dict[tuple[str, int], asyncio.Task[None]] = {}
        """By path and inode: a process may have the id of one before it."""
        self.services: dict[str, Activity] = {}
        self.requests: deque[Told] = deque()
        self.statements: dict[tuple[str, str], StatementTimes] = {}
        self.lost = 0
        """Events that were told too fast."""
        self._number = 0
        self._bytes = 0

    @property
    def last(self) -> int:
        """The number of the last request."""
        return self._number

    def after(self, number: int) -> Iterator[Told]:
        """Return the requests that were told after one, the newest first."""
        for told in reversed(self.requests):
            if told.number <= number:
                return
            yield told

    def find(self, request_id: str) -> list[Told]:
        """Return what each service tells of a request, the first that got it first."""
        found = [told for told in self.requests if told.event["id"] == request_id]
        return sorted(found, key=lambda told: float(told.event["time"]))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow during a block."""
        looking = asyncio.create_task(self._look())
        try:
            yield
        finally:
            looking.cancel()
            tasks = [looking, *self._followed.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self) -> None:
        while True:
            found = set[tuple[str, int]]()
            with suppress(OSError):  # the folder is made by the first process
                for path in self._folder.glob("*.sock"):
                    with suppress(OSError):  # it has just ended
                        found.add((str(path), path.stat().st_ino))
            for known, task in [*self._followed.items()]:
                if known not in found or task.done():  # one that did not listen yet is tried again
                    self._followed.pop(known).cancel()
            for new in found - self._followed.keys():
                self._followed[new] = asyncio.create_task(self._follow(new[0]))
            await asyncio.sleep(_INTERVAL)

    async def _follow(self, path: str) -> None:
        """Follow a process until it ends; from where it was, where it has cut us off."""
        last = b"0"
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(path, limit=_LONGEST_EVENT)
            except OSError:  # it was killed
                return
            service, pid = "", 0
            try:
                writer.write(_HEAD[:-2] + b"Last-Event-ID: " + last + b"\r\n\r\n")
                await reader.readuntil(b"\r\n\r\n")
                while True:
                    lines = (await reader.readuntil(b"\n\n")).split(b"\n")
                    fields = dict(line.split(b": ", 1) for line in lines if b": " in line)
                    last = fields.get(b"id", last)
                    event = cast("Event", orjson.loads(fields[b"data"]))
                    kind = fields[b"event"]
                    if kind == b"process":
                        service, pid = str(event["service"]), int(event["pid"])
                        self._activity(service).processes[pid] = ProcessNow(event["framework"])
                    elif kind == b"second":
                        self._activity(service).add(pid, event)
                    elif kind == b"request":
                        self._add(service, pid, event, len(fields[b"data"]))
                    elif kind == b"lost":
                        self.lost += int(event["events"])
            except (OSError, ValueError, TypeError, LookupError, EOFError, LimitOverrunError):
                await asyncio.sleep(_INTERVAL)
            finally:
                writer.close()
                if service:
                    self.services[service].processes.pop(pid, None)

    def _activity(self, service: str) -> Activity:
        return self.services.setdefault(service, Activity())

    def _add(self, service: str, pid: int, event: Event, size: int) -> None:
        self._number += 1
        self.requests.append(Told(self._number, service, pid, event, size))
        self._bytes += size
        while self._bytes > MOST_BYTES or len(self.requests) > MOST_REQUESTS:
            self._bytes -= self.requests.popleft().size
        for step in event["statements"] or ():
            key = service, step["sql"]
            times = self.statements.get(key)
            if times is None:
                if len(self.statements) >= MOST_STATEMENTS:
                    del self.statements[
                        min(self.statements, key=lambda each: self.statements[each].seconds)
                    ]
                times = self.statements[key] = StatementTimes(*key)
            times.count += 1
            times.seconds += step["seconds"]
            times.slowest = max(times.slowest, step["seconds"])
            times.errors += step["error"] is not None

    def find_slowest(self, most: int) -> list[StatementTimes]:
        """Return the statements that have taken the most time in all."""
        return sorted(self.statements.values(), key=lambda each: -each.seconds)[:most]
