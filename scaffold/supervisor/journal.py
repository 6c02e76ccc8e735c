"""The last lines of a fleet, each with a number, and a way to wait for what comes next."""

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from quart_fleet.conventions import ASKED_BY_PAGE, PROBES

FLEET, DATABASE = "fleet", "database"
"""What lines are of that are no service's."""
MOST_LINES, MOST_CHARACTERS = 10_000, 16 * 1024 * 1024
"""That are kept."""
_APART = frozenset({"timestamp", "level", "logger", "event", "service", "pid"})
"""What a service says of each line; the rest is in `fields`."""


class Changes:
    """Counts changes, so that any number of tasks can wait for one that they have not seen."""

    def __init__(self) -> None:
        self.number = 0
        self._next = asyncio.Event()

    def tell(self) -> None:
        """Count one more."""
        self.reach(self.number + 1)

    def reach(self, number: int) -> None:
        """Count up to this number."""
        self.number = number
        told, self._next = self._next, asyncio.Event()
        told.set()

    async def after(self, number: int) -> int:
        """Return the number of the last change once it is higher than this one."""
        while self.number <= number:
            await self._next.wait()
        return self.number


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a service, or of the supervisor about one."""

    number: int
    """Counted from 1 in the life of the fleet."""
    time: float
    """In seconds since 1970: when the service says that it was, or else when it was read."""
    service: str
    source: str
    """`service` for its own words, `supervisor` for words about it."""
    level: str | None
    """In small letters, as `info`; None for a line that is no JSON of a service's log."""
    message: str
    fields: Mapping[str, Any]
    """What else the line says by name, as `request_id`, `status`, `duration_ms` or `exception`."""

    @property
    def is_of_page(self) -> bool:
        """Whether a service has answered, and well, what the page asks all the time."""
        path = self.fields.get("path")
        if path in PROBES:
            return self.level == "debug"
        return path in ASKED_BY_PAGE and self.fields.get("status") == 200

    def to_json(self) -> dict[str, Any]:
        """Return it as the command `logs --json` prints it."""
        return asdict(self)


class Journal:
    """The last lines of all services, bounded in number and in memory."""

    def __init__(self) -> None:
        self.changes = Changes()
        self.last = 0
        """The number of the last entry."""
        self.is_closed = False
        self._entries: deque[tuple[Entry, int]] = deque()
        self._characters = 0

    def add_line(self, service: str, line: str) -> Entry:
        """Add a line that a service has written; JSON of its log is read."""
        found = None
        if line.startswith("{"):
            with suppress(ValueError, RecursionError):
                found = json.loads(line)
        if not isinstance(found, dict) or "event" not in found:
            return self._add(time.time(), service, "service", None, line, {}, len(line))
        fields = {name: value for name, value in found.items() if name not in _APART}
        level = str(found.get("level") or "info").lower()
        at = time.time()
        with suppress(ValueError, OverflowError):
            at = datetime.fromisoformat(str(found.get("timestamp"))).timestamp()
        return self._add(at, service, "service", level, str(found["event"]), fields, len(line))

    def add_news(self, service: str, message: str, level: str = "info") -> Entry:
        """Add what the supervisor says of a service, of the database or of the fleet."""
        return self._add(time.time(), service, "supervisor", level, message, {}, len(message))

    def after(self, number: int, services: Collection[str] = ()) -> list[Entry]:
        """Return the entries after one that are kept, the oldest first: of these services, or all."""
        found = list[Entry]()
        for entry, _ in reversed(self._entries):
            if entry.number <= number:
                break
            if not services or entry.service in services:
                found.append(entry)
        return found[::-1]

    async def follow(
        self, number: int, services: Collection[str] = (), *, is_endless: bool = True
    ) -> AsyncIterator[list[Entry]]:
        """Give what is kept after an entry, and then what comes, some at a time.

        Whatever is dropped before it was given leaves a gap in the numbers. It ends when the
        journal is closed, or else with what is kept.
        """
        while True:
            seen = self.changes.number
            found, number = self.after(number, services), self.last
            if found:
                yield found
            if not is_endless or (self.is_closed and number == self.last):
                return
            await self.changes.after(seen)

    def close(self) -> None:
        """Say that no entry comes any more."""
        self.is_closed = True
        self.changes.tell()

    def _add(  # noqa: PLR0913 - what an entry has, and its size
        self,
        at: float,
        service: str,
        source: str,
        level: str | None,
        message: str,
        fields: Mapping[str, Any],
        characters: int,
    ) -> Entry:
        entry = Entry(self.last + 1, at, service, source, level, message, fields)
        if entry.is_of_page:  # which is no news
            return entry
        self.last += 1
        self._entries.append((entry, characters))
        self._characters += characters
        while len(self._entries) > MOST_LINES or self._characters > MOST_CHARACTERS:
            self._characters -= self._entries.popleft()[1]
        self.changes.tell()
        return entry
