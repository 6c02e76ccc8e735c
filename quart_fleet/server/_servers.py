"""The ASGI servers that run a service on a port which is taken already."""

import asyncio
import signal
import socket
import sys
from contextlib import suppress
from typing import Any, Protocol

from quart import Quart

GRACEFUL_TIMEOUT = 30
"""Seconds that running requests get after SIGTERM."""


class RunServer(Protocol):
    """Serves until SIGINT or SIGTERM, and then lets running requests finish.

    `path` is where worker processes import the application from, as in `user_service.app:app`.
    """

    def __call__(self, app: Quart, path: str, listener: socket.socket, workers: int) -> None: ...


def run_uvicorn(app: Quart, path: str, listener: socket.socket, workers: int) -> None:
    """Serve with uvicorn, on uvloop and httptools."""
    import uvicorn  # noqa: PLC0415

    # Having stopped in good order, uvicorn sends itself the signal once more.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    options: dict[str, Any] = {
        "lifespan": "on",
        "access_log": False,
        "log_config": None,
        "log_level": "warning",
        "timeout_graceful_shutdown": GRACEFUL_TIMEOUT,
    }
    if workers > 1:
        host, port = listener.getsockname()[:2]
        listener.close()  # the parent of the workers takes it again, and hands it to them
        uvicorn.run(path, host=host, port=port, workers=workers, **options)
        return
    server = uvicorn.Server(uvicorn.Config(app, **options))
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    if not server.started:
        sys.exit(1)


def run_hypercorn(app: Quart, path: str, listener: socket.socket, workers: int) -> None:
    """Serve with hypercorn, on uvloop."""
    import uvloop  # noqa: PLC0415
    from hypercorn.asyncio import serve  # noqa: PLC0415
    from hypercorn.config import Config  # noqa: PLC0415
    from hypercorn.run import run  # noqa: PLC0415
    from hypercorn.utils import LifespanFailureError  # noqa: PLC0415

    config = Config()
    config.bind = [f"fd://{listener.detach()}"]  # hypercorn closes it
    config.graceful_timeout = GRACEFUL_TIMEOUT
    config.loglevel = "WARNING"
    if workers > 1:
        config.application_path, config.workers, config.worker_class = path, workers, "uvloop"
        sys.exit(run(config))

    async def until_signalled() -> None:
        signalled = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, signalled.set)
        await serve(app, config, shutdown_trigger=signalled.wait)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(until_signalled())
        except LifespanFailureError as error:
            sys.exit(str(error))


SERVERS: dict[str, RunServer] = {"uvicorn": run_uvicorn, "hypercorn": run_hypercorn}
