"""How `python app.py` starts: settings checked, the port taken, hypercorn until a signal."""

import asyncio
import errno
import logging
import signal
import socket
import sys
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from json import JSONDecodeError, loads

import uvloop
from hypercorn.asyncio import serve as serve_asgi
from hypercorn.config import Config
from hypercorn.utils import LifespanFailureError
from quart import Quart

from shared.errors import ConfigurationError
from shared.web.application import PREFIX

GRACEFUL_TIMEOUT = 30.0
"""Seconds that running requests get after SIGTERM."""


def start(factory: Callable[[], Quart]) -> Quart:
    """Make the application, or end the process with the line that says what is misconfigured."""
    try:
        app = factory()
    except ConfigurationError as error:
        sys.exit(str(error))
    logging.basicConfig(
        level=logging.DEBUG if app.debug else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    return app


def serve(app: Quart) -> None:
    """Serve until SIGINT or SIGTERM, then let running requests finish."""
    name, host, port = (app.config[key] for key in ("SERVICE_NAME", "HOST", "SERVICE_PORT"))
    try:
        listener = _listen(host, port)
    except OSError as error:
        sys.exit(_explain(error, host, port))
    print(f"{name} on http://{_shown(host)}:{port}{PREFIX}/ (Ctrl-C stops it)", file=sys.stderr)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_serve_until_signalled(app, listener))
        except LifespanFailureError:
            sys.exit(f"{name} could not start")  # the reason is in the log, just above


async def _serve_until_signalled(app: Quart, listener: socket.socket) -> None:
    signalled = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, signalled.set)
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]  # hypercorn closes it
    config.graceful_timeout = GRACEFUL_TIMEOUT
    config.loglevel = "WARNING"
    await serve_asgi(app, config, shutdown_trigger=signalled.wait)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


def _explain(error: OSError, host: str, port: int) -> str:
    if error.errno != errno.EADDRINUSE:
        return f"Cannot listen on {host}:{port}: {error.strerror} (HOST and SERVICE_PORT set it)"
    owner = _find_owner(port)
    taken_by = f"{owner} is running there" if owner else "another program listens there"
    return (
        f"Port {port} is in use: {taken_by}.\n"
        "Stop it, or start this service elsewhere: SERVICE_PORT=<port> python app.py"
    )


def _find_owner(port: int) -> str | None:
    """Ask who listens: every service of a workspace says its name at the root of its API."""
    connection = HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", f"{PREFIX}/")
        greeting = loads(connection.getresponse().read())["data"]["message"]
    except (OSError, HTTPException, JSONDecodeError, UnicodeDecodeError, LookupError, TypeError):
        return None
    finally:
        connection.close()
    return str(greeting).removeprefix("Welcome to ")


def _shown(host: str) -> str:
    return "localhost" if host in ("127.0.0.1", "0.0.0.0", "::", "::1") else host  # noqa: S104
