"""Who may go next: so many at once, in the order of asking, and nobody waits for ever."""

import asyncio
from collections import deque


class Turns:
    """A semaphore that serves in order and sets each wait the same bound.

    The bounds therefore end in the order of asking, so that one timer, set for whoever has
    waited longest, does for all. With `asyncio.Semaphore` inside `asyncio.timeout`, where
    requests wait for one another, a read by id took about 5 us of computing time more.

    Args:
        number: how many may go at once.
        patience: seconds to wait for a turn.
    """

    def __init__(self, number: int, patience: float) -> None:
        self._free = number
        self._patience = patience
        self._waiting: deque[tuple[float, asyncio.Future[None]]] = deque()
        self._is_watched = False

    async def take(self) -> None:
        """Wait for a turn, to be given back by `give_back`; raises TimeoutError."""
        if self._free:
            self._free -= 1
            return
        turn = self._queue_up()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled() and turn.exception() is None:
                self.give_back()  # it had come just then
            raise

    def give_back(self) -> None:
        """Let the next one go."""
        while self._waiting:
            _, turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def _queue_up(self) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append((loop.time() + self._patience, turn))
        if not self._is_watched:
            self._watch(loop)
        return turn

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Come back when the one that has waited longest has waited long enough."""
        self._is_watched = bool(self._waiting)
        if self._is_watched:
            loop.call_at(self._waiting[0][0], self._end_long_waits, loop)

    def _end_long_waits(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        while self._waiting and self._waiting[0][0] <= now:
            _, turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(TimeoutError())
        self._watch(loop)
