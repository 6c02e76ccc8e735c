"""Signals that end the demo, let through only when whatever was opened will be closed."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from scaffold.signals import ENDING, Interrupted


class Guard:
    """Raises Interrupted for the first signal; later ones must not disturb the cleaning up."""

    def __init__(self) -> None:
        self._holds = 0
        self._received: int | None = None

    @property
    def is_over(self) -> bool:
        """Whether a signal has come."""
        return self._received is not None

    def receive(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal: raise now, or when the last hold ends."""
        if self._received is not None:
            return
        self._received = number
        if not self._holds:
            raise Interrupted(number)

    def hold(self) -> None:
        """Let no signal through any more."""
        self._holds += 1

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let signals wait, so that what is opened here is also noted for closing."""
        before = self._received
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1
        if self._received is not None and self._received != before and not self._holds:
            raise Interrupted(self._received)


@contextmanager
def guarded() -> Iterator[Guard]:
    """Have a guard receive SIGINT, SIGTERM and SIGHUP, and put back what did so before.

    But not once one has come: the process is ending then, and no other is heeded. Python takes
    its handlers away before it is gone, so that a late Ctrl-C would kill it.
    """
    guard = Guard()
    previous = {number: signal.signal(number, guard.receive) for number in ENDING}
    try:
        yield guard
    finally:
        for number, handler in previous.items():
            signal.signal(number, signal.SIG_IGN if guard.is_over else handler)
