"""How `python app.py` starts: the settings are checked, the port is taken, a server runs."""

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack, suppress
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, cast

from quart import Quart

from quart_fleet import __version__
from quart_fleet.errors import ConfigurationError
from quart_fleet.logs import HOSTED
from quart_fleet.server._lifecycle import draining_on_signal, running_process
from quart_fleet.server._listener import SCRAPES, listen, written_for_people
from quart_fleet.server._proxies import believe_proxies
from quart_fleet.server._supervised import find_listener, tell_refusal
from quart_fleet.server._workers import Link, Workers, refuse_start, run_quietly
from quart_fleet.telemetry._logs import install_logs
from quart_fleet.telemetry._switch import trace_where_asked

if TYPE_CHECKING:
    from quart_fleet.asgi._application import ServiceApplication
    from quart_fleet.server._workers import RunServer

SERVERS = ("uvicorn", "hypercorn")
MAX_WORKERS = 128

untold: list[str] = []
"""What there was to tell before the process had its log."""

_log = logging.getLogger("quart_fleet.server")


def start(factory: Callable[[], Quart]) -> Quart:
    """Make the application; settings that cannot be used end the process with their message."""
    try:
        app = factory()
    except ConfigurationError as error:
        if HOSTED.get() is None:
            tell_refusal(error.message)
        sys.exit("\n".join([*untold, error.message]))

    if HOSTED.get() is None:

        @app.while_serving
        async def run_process() -> AsyncGenerator[None, None]:
            with running_process(cast("ServiceApplication", app).drain):
                yield

    folder: Path | None = app.config.get("LIVE_FOLDER")
    if folder is not None and app.debug:

        @app.while_serving
        async def tell_followers() -> AsyncGenerator[None, None]:
            # No other process imports it.
            from quart_fleet.telemetry._live import followed  # noqa: PLC0415

            async with followed(cast("ServiceApplication", app), folder):
                yield

    if app.config.get("METRICS_PORT"):

        @app.while_serving
        async def measure() -> AsyncGenerator[None, None]:
            # No other process imports it.
            from quart_fleet.telemetry._scrapes import measuring  # noqa: PLC0415

            with measuring(cast("ServiceApplication", app)):
                yield

    believe_proxies(app)
    install_logs(cast("ServiceApplication", app))
    while untold:
        _log.warning(untold.pop(0))
    trace_where_asked(cast("ServiceApplication", app))
    return app


def serve(app: Quart, path: str) -> None:
    """Serve as the command line says: `--server`, `--workers`; or tell `--routes`, `--openapi`, `--version`.

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
    parser.add_argument(
        "--openapi",
        action="store_true",
        help="print the OpenAPI document, and end without serving",
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
    if options.openapi:
        # No process that serves imports it here.
        from quart_fleet.openapi import describe, write  # noqa: PLC0415

        sys.stdout.write(write(asyncio.run(describe(app))))
        return
    _serve_until_ended(app, path, options.server, options.workers)


def _serve_until_ended(app: Quart, path: str, server: str, workers: int) -> None:
    """Listen, say where, and serve; a port that cannot be had ends the process with the reason."""
    name, host, port, metrics = (
        app.config[key] for key in ("SERVICE_NAME", "HOST", "SERVICE_PORT", "METRICS_PORT")
    )
    service = cast("ServiceApplication", app)
    _end_quietly_until_served(app)
    try:
        handed = find_listener()
        listener = handed or listen(host, port)
        # Where one process takes over from another, that has the port until it ends.
        scrapes = listen(host, metrics, "METRICS_PORT") if metrics and handed is None else None
    except ConfigurationError as error:
        refuse_start(app, error.message)
    words = f"{name} on {written_for_people(host, port)}"
    if app.config["LOG_FORMAT"] == "json":
        _log.info(words)
    else:
        with suppress(OSError):  # of a reader that has left
            print(f"{words} (Ctrl-C stops it)", file=sys.stderr)
    module = import_module(f"quart_fleet.server._{server}")
    run: RunServer = getattr(module, f"run_{server}")
    with ExitStack() as stack:
        end = None
        if app.config["SERVICE_REGISTRY_URL"]:
            # No other process imports it: it brings an HTTP client.
            from quart_fleet.server._registration import Registration  # noqa: PLC0415

            registration = stack.enter_context(Registration(app.config))
            stack.enter_context(draining_on_signal(registration.leave))
            service.leave, end = registration.leave, registration.end
        grace = app.config["GRACEFUL_TIMEOUT"]
        if workers > 1:
            settle = None
            if metrics:
                from quart_fleet.telemetry._scrapes import collecting  # noqa: PLC0415 - as above

                try:
                    settle = stack.enter_context(collecting(service, scrapes))
                except ConfigurationError as error:
                    refuse_start(app, error.message)
            supervised = handed is not None
            Workers(run, path, listener, workers, grace, end, settle, supervised).serve()
        else:
            service.extensions[SCRAPES] = scrapes
            link = Link(leave=end, is_supervised=handed is not None, grace=grace)
            run_quietly(run, service, listener, link)


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
