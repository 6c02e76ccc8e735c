"""How `python app.py` starts: the settings are checked, the port is taken, a server runs."""

import argparse
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from types import FrameType
from typing import TYPE_CHECKING, cast

from quart import Quart

from quart_fleet import __version__
from quart_fleet.conventions import PREFIX
from quart_fleet.errors import ConfigurationError
from quart_fleet.server._lifecycle import (
    collecting_requests_only,
    draining_on_signal,
    ending_with_parent,
)
from quart_fleet.server._proxies import believe_proxies
from quart_fleet.server._servers import SERVERS, in_url, listen

if TYPE_CHECKING:
    from quart_fleet.asgi._application import ServiceApplication

MAX_WORKERS = 128
_LOCAL = ("127.0.0.1", "0.0.0.0", "::", "::1")  # noqa: S104 - only compared with
"""Hosts that a browser on this machine reaches as localhost."""


def start(factory: Callable[[], Quart]) -> Quart:
    """Make the application; settings that cannot be used end the process with their message."""
    try:
        app = factory()
    except ConfigurationError as error:
        sys.exit(error.message)

    @app.while_serving
    async def run_process() -> AsyncGenerator[None, None]:
        drain = cast("ServiceApplication", app).drain
        with collecting_requests_only(), draining_on_signal(drain), ending_with_parent():
            yield

    believe_proxies(app)
    logging.basicConfig(
        level=logging.DEBUG if app.debug else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    return app


def serve(app: Quart, path: str) -> None:
    """Serve as the command line says: `--server`, `--workers`; or tell `--routes`, `--version`.

    `path` is where worker processes import the application from, as in `user_service.app:app`.
    """
    parser = argparse.ArgumentParser(description="Run the service.")
    parser.add_argument(
        "--server",
        choices=SERVERS,
        default="uvicorn",
        help="the ASGI server (default: %(default)s)",
    )
    parser.add_argument(
        "--workers",
        type=_number_of_workers,
        default=1,
        metavar="N",
        help="processes that share the port (default: %(default)s)",
    )
    parser.add_argument(
        "--routes",
        action="store_true",
        help="print every route as JSON, and end without serving",
    )
    version = f"{app.config.get('SERVICE_NAME', app.name)} on quart-fleet {__version__}"
    parser.add_argument("--version", action="version", version=version)
    options = parser.parse_args()
    if options.routes:
        rules = sorted(app.url_map.iter_rules(), key=lambda rule: (rule.rule, rule.endpoint))
        routes = [
            {
                "rule": rule.rule,
                "methods": sorted(rule.methods or ()),
                "websocket": rule.websocket,
                "endpoint": rule.endpoint,
            }
            for rule in rules
        ]
        print(json.dumps(routes, indent=2))
        return
    name, host, port = (app.config[key] for key in ("SERVICE_NAME", "HOST", "SERVICE_PORT"))
    shown = "localhost" if host in _LOCAL else in_url(host)

    # A start that was refused ends with the reason alone: without a server's words around it, and
    # with an exit code that does not depend on the server.
    service = cast("ServiceApplication", app)
    logging.getLogger("uvicorn.error").addFilter(lambda _record: service.start_error is None)
    _end_quietly_until_served(app)
    try:
        listener = listen(host, port)
        print(f"{name} on http://{shown}:{port}{PREFIX}/ (Ctrl-C stops it)", file=sys.stderr)
        SERVERS[options.server](app, path, listener, options.workers)
    except ConfigurationError as error:
        sys.exit(error.message)
    finally:
        if service.start_error is not None:
            sys.exit(service.start_error)


def _end_quietly_until_served(app: Quart) -> None:
    """Have Ctrl-C end the process at once until its server has a handler of its own.

    Nothing is open by then, and an exception in the midst of a server's imports is none that ends
    a process in good order.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return
    is_served = False

    @app.before_serving
    async def begin() -> None:
        nonlocal is_served
        is_served = True

    def interrupt(number: int, frame: FrameType | None) -> None:
        if not is_served:
            os._exit(0)
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, interrupt)


def _number_of_workers(text: str) -> int:
    """Read the option; argparse's `choices` would list every number in its message."""
    if text in map(str, range(1, MAX_WORKERS + 1)):
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {MAX_WORKERS}")
