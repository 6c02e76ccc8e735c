"""How `python app.py` starts: nothing gone, settings checked, the port taken, then a server."""

import argparse
import logging
import sys
import traceback
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from quart import Quart

from quart_fleet.errors import ConfigurationError
from quart_fleet.server._collector import collecting_requests_alone
from quart_fleet.server._drain import draining_when_told
from quart_fleet.server._listener import listen, shown
from quart_fleet.server._parent import ending_with_parent
from quart_fleet.server._servers import SERVERS
from quart_fleet.web import PREFIX

if TYPE_CHECKING:
    from quart_fleet.asgi._application import Service

MOST_WORKERS = 128


@contextmanager
def complete(package: str) -> Iterator[None]:
    """Import what a service is made of, or end the process with lines that say what is not there.

    Its model is a part of it. A module of anybody else's is left to Python's own words: it is not
    the service's to restore.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith((f"{package}.", "shared.models")):
            raise
        place = traceback.extract_tb(error.__traceback__)[-1]
        sys.exit(
            f"{error.name} is not there, and {place.filename}, line {place.lineno}, imports it.\n"
            "Restore it from version control, or write what the scaffold wrote anew: "
            "python -m scaffold NAME PORT --force"
        )


def start(factory: Callable[[], Quart]) -> Quart:
    """Make the application, or end the process with the line that says what is misconfigured."""
    try:
        app = factory()
    except ConfigurationError as error:
        sys.exit(error.message)
    _prepare_process(app)
    logging.basicConfig(
        level=logging.DEBUG if app.debug else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    return app


def _prepare_process(app: Quart) -> None:
    """Have the process collect garbage, drain and end as a server's should, while it serves."""

    @app.while_serving
    async def run() -> AsyncGenerator[None, None]:
        service = cast("Service", app)
        with collecting_requests_alone(), draining_when_told(service.drain), ending_with_parent():
            yield


def serve(app: Quart, path: str) -> None:
    """Serve as the command line says: `--server`, `--workers`.

    `path` is where worker processes import the application from, as in `user_service.app:app`.
    """
    options = _parse_options()
    name, host, port = (app.config[key] for key in ("SERVICE_NAME", "HOST", "SERVICE_PORT"))
    try:
        listener = listen(host, port)
    except ConfigurationError as error:
        sys.exit(error.message)
    print(f"{name} on http://{shown(host)}:{port}{PREFIX}/ (Ctrl-C stops it)", file=sys.stderr)
    with _refusals_in_two_lines(cast("Service", app)):
        SERVERS[options.server](app, path, listener, options.workers)


@contextmanager
def _refusals_in_two_lines(app: "Service") -> Iterator[None]:
    """End the process with the reason why the service could not start, and nothing besides.

    A server logs it with words of its own, and ends with an exit code of its own.
    """
    logging.getLogger("uvicorn.error").addFilter(lambda _record: app.refusal is None)
    try:
        yield
    finally:
        if app.refusal is not None:
            sys.exit(app.refusal)


def _parse_options() -> argparse.Namespace:
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
    return parser.parse_args()


def _number_of_workers(text: str) -> int:
    """Read the option; argparse itself would list every number that there is to choose from."""
    if text in map(str, range(1, MOST_WORKERS + 1)):
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 to {MOST_WORKERS}")
