"""The circuit breaker: a service that does not work is left alone, and tried again by one call."""

import logging
import math
from collections.abc import Callable
from typing import Literal

from quart_fleet.errors import UnavailableError

_log = logging.getLogger("quart_fleet.clients")

State = Literal["closed", "open", "half-open"]


class CircuitBreaker:
    """Closed, every call is sent; open, none; half-open, one, whose outcome closes or opens it.

    A call counts once, however often it is sent; a permit lets it be sent again, until others change
    the state.

    Args:
        service: the name of what is called.
        place: where that is, for the log, of one of several.
        clock: returns seconds.
        most_failures: how many calls in a row fail until it opens.
        pause: seconds that it is open for.
    """

    def __init__(
        self,
        service: str,
        clock: Callable[[], float],
        most_failures: int = 5,
        pause: float = 5,
        place: str = "",
    ) -> None:
        self.state: State = "closed"
        self.failures = 0
        """Calls in a row that have failed, until it opens."""
        self._service = service
        self._clock = clock
        self._most_failures = most_failures
        self._pause = pause
        self._place = f"{service} at {place}" if place else service
        self._until = 0.0
        self._round = 0

    def admits(self) -> bool:
        """Whether a call would get a permit now."""
        return self.state == "closed" or (self.state == "open" and self._until <= self._clock())

    def acquire(self, held: int | None = None) -> int:
        """Return a permit to send a call, which `record` is told; raises UnavailableError.

        Args:
            held: the call's own, where it was sent before; it is returned while it still holds.
        """
        if held == self._round:
            return held
        left = self._until - self._clock()
        if self.state == "open" and left <= 0:
            self._change("half-open")
            _log.info("%s: the circuit is half-open, one call tries it", self._place)
        elif self.state != "closed":
            error = UnavailableError(f"The {self._service} is unavailable")
            error.retry_after = max(1, math.ceil(left))
            raise error
        return self._round

    def record(self, permit: int, outcome: bool | None) -> None:
        """Note whether the service works; None where the call has ended without an outcome.

        Of calls whose permit is from before the last change, nothing is noted.
        """
        if permit != self._round:
            return
        if outcome:
            self.failures = 0
            if self.state == "half-open":
                self._change("closed")
                _log.warning("%s: the circuit is closed, it works again", self._place)
        elif outcome is None:
            if self.state == "half-open":  # the next call tries it
                self._change("open")
        elif self.state == "half-open":
            self._until = self._clock() + self._pause
            self._change("open")
            _log.info("%s: the circuit is open for another %g s", self._place, self._pause)
        else:
            self.failures += 1
            if self.failures >= self._most_failures:
                self._until = self._clock() + self._pause
                self._change("open")
                _log.warning(
                    "%s: the circuit is open for %g s, since %d calls in a row have failed",
                    *(self._place, self._pause, self.failures),
                )

    def _change(self, state: State) -> None:
        self.state = state
        self.failures = 0 if state == "closed" else self.failures
        self._round += 1
