"""Where the page is: a port of this machine alone, whose server begins when it is first asked."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, cast

from quart_fleet.conventions import is_served
from scaffold.supervisor.journal import FLEET

if TYPE_CHECKING:
    from scaffold.supervisor.fleet import Fleet

PORT = 8000
_HOST = "127.0.0.1"
_PORTS_TRIED = 20
_BACKLOG = 256

Serve = Callable[["Fleet", socket.socket], Awaitable[None]]


@asynccontextmanager
async def page_of(fleet: "Fleet", port: int = PORT) -> AsyncIterator[str | None]:
    """Have the page during a block, whose value is its address; None where there can be none.

    It is at this port, or at the next one that is free. What it is made of is imported when it is
    first asked: a fleet whose page stays closed has nothing of it in memory.
    """
    loop, asked = asyncio.get_running_loop(), asyncio.Event()
    try:
        listener = _listen(port)
    except OSError as error:  # too many open files, or no address of IPv4
        fleet.tell(FLEET, f"There is no page: {error.strerror}")
        yield None
        return
    loop.add_reader(listener, asked.set)

    async def serve() -> None:
        await asked.wait()
        loop.remove_reader(listener)
        # In a thread, so that the fleet is looked after meanwhile.
        module = await asyncio.to_thread(import_module, "scaffold.supervisor.page.application")
        await cast("Serve", module.serve)(fleet, listener)

    def tell(task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()):
            fleet.tell(FLEET, f"The page has ended: {type(error).__name__}: {error}", "error")

    serving = asyncio.create_task(serve())
    serving.add_done_callback(tell)
    fleet.page = f"http://localhost:{listener.getsockname()[1]}/"
    try:
        yield fleet.page
    finally:
        fleet.page = None
        loop.remove_reader(listener)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        listener.close()


def _listen(port: int) -> socket.socket:
    for candidate in range(port, port + _PORTS_TRIED):
        with suppress(OSError, OverflowError):
            # Not by asking first: another fleet's page would wake up.
            _bound(candidate).close()
            # A browser asks the address of IPv6 first, where another program may be.
            if not is_served(candidate) and not is_served(candidate, "::1"):
                return _bound(candidate)
    return _bound(0)


def _bound(port: int) -> socket.socket:
    listener = socket.create_server((_HOST, port), backlog=_BACKLOG)
    listener.setblocking(False)
    return listener
