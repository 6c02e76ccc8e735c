"""What the pages of a fleet are told, written once for all of them that are open.

Little is told at a time, however much happens: what a page can show, and how much was left out.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

import orjson

from scaffold.supervisor.page.sources import Sources
from scaffold.supervisor.page.view import (
    MOST_LINES,
    MOST_REQUESTS,
    cut,
    describe_entry,
    describe_fleet,
    describe_request,
)

if TYPE_CHECKING:
    from scaffold.supervisor.fleet import Fleet

INTERVAL = 0.25
"""Seconds between two tellings."""
_TICKS = 4
"""Of which each one of so many tells of the services' seconds."""
MOST_FOLLOWERS = 64
MOST_REQUESTS_AT_ONCE, MOST_LINES_AT_ONCE = 30, 60
_KEPT = 40
"""Tellings that a page may be behind; one that is further behind begins anew."""


class Broadcast:
    """Tells all pages that are open what happens."""

    def __init__(self, fleet: "Fleet", sources: Sources) -> None:
        self._fleet = fleet
        self._sources = sources
        self._frames: deque[bytes] = deque(maxlen=_KEPT)
        self._count = 0
        """Of all frames that there were."""
        self._told = asyncio.Event()
        self._followers = 0
        self._is_ending = False
        self._wanted = asyncio.Event()
        self._line = self._request = 0
        """The numbers of the last ones that were told."""

    async def run(self) -> None:
        """Tell what happens for as long as pages are open, until it is cancelled."""
        while True:
            if not self._followers:
                self._wanted.clear()
                await self._wanted.wait()
                self._line, self._request = (
                    self._fleet.journal.last,
                    self._sources.following.last,
                )
            known = -1
            for tick in range(_TICKS):
                text = b"".join(self.take_news())
                if not tick or known != self._fleet.changes.number:
                    text += _written("fleet", describe_fleet(self._fleet, self._sources, seconds=3))
                known = self._fleet.changes.number
                if text:
                    self._frames.append(text)
                    self._count += 1
                    told, self._told = self._told, asyncio.Event()
                    told.set()
                await asyncio.sleep(INTERVAL)

    def end(self) -> None:
        """Tell nothing any more."""
        self._is_ending = True
        self._told.set()

    @property
    def is_full(self) -> bool:
        """Whether no further page is told anything."""
        return self._followers >= MOST_FOLLOWERS

    async def follow(self) -> AsyncIterator[bytes]:
        """Give what a page is told, as server-sent events."""
        self._followers += 1
        self._sources.wanted.set()
        try:
            count = self._count
            yield b"retry: 1000\n\n" + _written("hello", self.greet())
            self._wanted.set()
            while not self._is_ending:
                if count == self._count:
                    await self._told.wait()
                missing = self._count - count
                if missing > len(self._frames):
                    return  # it comes again, and begins anew
                text = b"".join(islice(self._frames, len(self._frames) - missing, None))
                count = self._count
                yield text
        finally:
            self._followers -= 1
            if not self._followers:
                self._sources.wanted.clear()

    def greet(self) -> dict[str, Any]:
        """Return what a page is told first: everything, and the last requests and lines."""
        requests = islice(self._sources.following.after(0), MOST_REQUESTS)
        lines = self._fleet.journal.after(max(0, self._fleet.journal.last - MOST_LINES))
        return {
            "name": cut(self._fleet.workspace.root.name, 100),
            "fleet": describe_fleet(self._fleet, self._sources),
            "requests": [describe_request(each) for each in requests][::-1],
            "lines": [describe_entry(each) for each in lines],
        }

    def take_news(self) -> Iterable[bytes]:
        """Give the requests and lines that came since it was called last."""
        following, journal = self._sources.following, self._fleet.journal
        if count := following.last - self._request:
            found = list(islice(following.after(self._request), MOST_REQUESTS_AT_ONCE))
            self._request = following.last
            told = [describe_request(each) for each in reversed(found)]
            yield _written("requests", {"requests": told, "omitted": count - len(told)})
        if count := journal.last - self._line:
            first = max(self._line, journal.last - MOST_LINES_AT_ONCE)
            lines = [describe_entry(each) for each in journal.after(first)]
            self._line = journal.last
            yield _written("lines", {"lines": lines, "omitted": count - len(lines)})


def _written(kind: str, told: dict[str, Any]) -> bytes:
    """Return a server-sent event; JSON has no line breaks of its own."""
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), orjson.dumps(told))
