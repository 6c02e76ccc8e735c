"""The port that a service listens on, and the ASGI servers that serve there."""

import asyncio
import errno
import os
import signal
import socket
import sys
from contextlib import suppress
from typing import Any, Protocol

from quart import Quart

from quart_fleet.conventions import is_served
from quart_fleet.errors import ConfigurationError

GRACEFUL_TIMEOUT = 30
"""Seconds that running requests get after SIGTERM."""


_BACKLOG = 2048
"""Connections that may wait to be accepted."""
_LOOPBACKS = {"127.0.0.1": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::1": "::1", "::": "::1"}  # noqa: S104 - only looked up
"""Where a program is reached that has the port of an address already."""


def listen(host: str, port: int) -> socket.socket:
    """Listen on the port; raises ConfigurationError, which says what to do about it.

    `::` is every address of this machine, of IPv4 too, whatever the system's default.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        raise ConfigurationError(f"HOST: no such host as {host!r}") from None
    families = {each[0] for each in found}
    family = socket.AF_INET if socket.AF_INET in families else socket.AF_INET6
    both = host == "::" and socket.has_dualstack_ipv6()
    address = next(str(each[4][0]) for each in found if each[0] == family)
    loopback = _LOOPBACKS.get(address)
    try:
        if loopback and is_served(port, loopback):
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        return socket.create_server(
            (host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=both
        )
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            message = (
                f"Port {port} is in use.\nStop the program that listens there, "
                "or choose another port: SERVICE_PORT=<port> python app.py"
            )
        else:
            reason = os.strerror(error.errno or 0)
            place = f"{in_url(host)}:{port}"
            message = f"Cannot listen on {place}: {reason} (HOST and SERVICE_PORT set it)"
        raise ConfigurationError(message) from error


def in_url(host: str) -> str:
    """Return the host as a URL has it: an address of IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


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
        "timeout_keep_alive": app.config["KEEP_ALIVE_TIMEOUT"],
        "proxy_headers": False,  # the application reads them, under every server
    }
    if workers > 1:
        host, port = listener.getsockname()[:2]
        listener.close()  # uvicorn's parent process listens again, for its workers
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
    config.keep_alive_timeout = app.config["KEEP_ALIVE_TIMEOUT"]
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
