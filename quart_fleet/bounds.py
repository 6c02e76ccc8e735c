"""What bounds a request: how long it may take as a whole, and a client that waits for it.

The application keeps a `Bound` for each request in progress; the database says in it what the
request is at, so that nothing is cut in the midst that was to be kept.
"""

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

DEADLINE_HEADER = "Connect-Timeout-Ms"
"""Says of a request how many milliseconds its caller waits for the answer: at most ten digits, as
the Connect protocol has it (connectrpc.com, "Protocol Reference"). It is believed where it shortens
REQUEST_TIMEOUT."""


@dataclass(eq=False)
class Bound:
    """One request in progress."""

    task: "asyncio.Task[Any] | None"
    """Runs its handler."""
    request: Any
    """Quart's."""
    started: float
    """When, by the clock of the event loop; later, where a body has come since."""
    ends: float
    """When it is to be answered at the latest, by the same clock."""
    deadline: float = float("inf")
    """When its caller waits no more."""
    waits: set[object] = field(default_factory=set, init=False)
    """Those in progress for a connection or the answer of a read: nothing is lost where they are cut."""
    has_written: bool = field(default=False, init=False)
    """A write was sent: the request is finished, whether its client waits for it or not."""
    observed: Any = field(default=None, init=False)
    """What `quart_fleet.observation` knows of the request, for all tasks and threads of it."""
    scope: Any = field(default=None, init=False)
    """The request's, when it has ended: tasks that it started may go on."""
    has_left: bool = field(default=False, init=False)
    """Whether its client is known to have left."""
    come: int = field(default=-1, init=False)
    """Bytes of the body that had come when it was last looked at, and was being received."""
    came: float = field(default=0.0, init=False)
    """When the last of them were seen."""
    ended_by: Exception | None = field(default=None, init=False)
    """What is answered in place of the handler, which was cancelled."""
    watcher: "asyncio.Task[None] | None" = field(default=None, init=False)
    """Waits for the client to leave."""

    def end(self, error: Exception) -> None:
        """Cancel the handler, and with it the statement that it waits for; answer the error."""
        if self.ended_by is None and self.task is not None:
            self.ended_by = error
            self.task.cancel()


BOUND: ContextVar[Bound | None] = ContextVar("bound", default=None)
"""That of the current request; None outside of requests."""
