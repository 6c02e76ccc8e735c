"""What a process holds at most, and how it says that a limit was reached."""

import logging
import time
from dataclasses import dataclass

REPORT_INTERVAL = 60.0
"""Seconds in which what happens again is counted, and not logged."""


@dataclass(slots=True)
class BodyMemory:
    """The request bodies that are held, in bytes."""

    most: int = 32 * 1024 * 1024
    held: int = 0


class Reports:
    """Logs what happens many times over in one line a minute."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._last: dict[str, float] = {}
        self._count: dict[str, int] = {}

    def add(self, words: str) -> None:
        """Log the words, with the times that they were added since the last line."""
        now = time.monotonic()
        self._count[words] = self._count.get(words, 0) + 1
        if now - self._last.get(words, -REPORT_INTERVAL) >= REPORT_INTERVAL:
            self._last[words] = now
            self._log.warning("%s (%s times)", words, self._count.pop(words))
