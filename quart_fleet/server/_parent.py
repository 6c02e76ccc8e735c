"""How a worker process ends where its parent was killed, which nobody else tells it."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import parent_process


@contextmanager
def ending_with_parent() -> Iterator[None]:
    """End in good order when the parent dies during a block; a process that has none goes on.

    Left alone, the workers would keep the port, and the next start would find it taken.
    """
    parent = parent_process()
    if parent is None:
        yield
        return
    loop = asyncio.get_running_loop()

    def end() -> None:
        loop.remove_reader(parent.sentinel)
        signal.raise_signal(signal.SIGTERM)

    loop.add_reader(parent.sentinel, end)
    try:
        yield
    finally:
        loop.remove_reader(parent.sentinel)
