"""The routes of every service: liveness, readiness, its name, and the document of its routes."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from time import monotonic, perf_counter
from typing import Literal, cast

from pydantic import Field
from quart import Quart, Response, current_app, request

from quart_fleet.asgi._application import ServiceApplication
from quart_fleet.conventions import PREFIX
from quart_fleet.database import Database
from quart_fleet.dto import ResponseDTO
from quart_fleet.errors import DatabaseUnavailableError, UnavailableError
from quart_fleet.logs import outside_requests
from quart_fleet.web._envelope import Answer, Envelope
from quart_fleet.web._routes import Blueprint, Declared, declared_of

DOCUMENT = f"{PREFIX}/openapi.json"
TITLE = "quart_fleet.web.title"
"""Where an application keeps the title of its document."""
_DOCUMENT = "quart_fleet.web.openapi"
"""Where an application keeps the future of its document, or of why there is none, once it was asked for."""


class Health(ResponseDTO):
    """The data of a process that answers."""

    status: Literal["healthy"]


class ReadinessCheck(ResponseDTO):
    """What was asked before a process said that it can serve."""

    name: str = Field(examples=["database"])
    seconds: float = Field(examples=[0.0012])
    """Until it had answered, to the microsecond."""


class Readiness(ResponseDTO):
    """The data of one that can serve."""

    status: Literal["ready"]
    checks: list[ReadinessCheck]


class Welcome(ResponseDTO):
    """The data that name a service."""

    message: str


INTERVAL = 1.0
"""Seconds from one question of readiness to the next, at least."""


class Probe:
    """Asks whether the database can be written, once for all that want to know it within a second.

    Whatever asks while it is being asked waits for that answer; the answer is kept until a second
    after the question.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._asked = 0.0
        self._answer: asyncio.Task[float | DatabaseUnavailableError] | None = None

    async def ask(self) -> float:
        """Return the seconds that the database took to answer; raises DatabaseUnavailableError."""
        loop, now = asyncio.get_running_loop(), monotonic()
        kept = self._answer
        is_kept = kept is not None and (not kept.done() or now - self._asked < INTERVAL)
        if kept is None or not is_kept or kept.get_loop() is not loop:
            self._asked = now
            # In a context of its own: it is no part of the request that happens to be the first.
            self._answer = kept = loop.create_task(self._ping(), context=outside_requests())
        answer = await asyncio.shield(kept)
        if isinstance(answer, DatabaseUnavailableError):
            raise DatabaseUnavailableError from answer.__cause__
        return answer

    async def _ping(self) -> float | DatabaseUnavailableError:
        started = perf_counter()
        try:
            await self._database.ping()
        except DatabaseUnavailableError as error:
            return error
        return round(perf_counter() - started, 6)


def make_health_blueprint(envelope: type[Envelope], database: Database) -> Blueprint:
    """Make the routes, which answer in the service's envelope."""
    bp = Blueprint("health", __name__)
    healthy, probe = Health(status="healthy"), Probe(database)

    @bp.get("/health")
    async def health() -> Answer[Health]:
        """Say that the process answers; the database is not asked."""
        return envelope.success(healthy)

    @bp.get("/health/ready", raises=[UnavailableError])
    async def ready() -> Answer[Readiness]:
        """Say whether requests that need the database can be served: 200, or 503.

        The database is asked once a second at most, whatever the number of requests.
        """
        service = cast("ServiceApplication", current_app)
        seconds = None if service.draining else await probe.ask()
        if seconds is None or service.draining:
            raise UnavailableError("The process is ending")
        checks = [ReadinessCheck(name="database", seconds=seconds)]
        return envelope.success(Readiness(status="ready", checks=checks))

    @bp.get("/")
    async def welcome() -> Answer[Welcome]:
        """Say which service this is."""
        name = current_app.config["SERVICE_NAME"]
        return envelope.success(Welcome(message=f"Welcome to {name}"))

    return bp


def add_document(app: Quart, endpoint: str) -> None:
    """Add the route of the document, after those of the service."""

    async def openapi() -> Response:
        """Answer the OpenAPI document of all routes."""
        if _DOCUMENT not in app.extensions:
            maker = ThreadPoolExecutor(1)
            app.extensions[_DOCUMENT] = maker.submit(outside_requests().run, make_document, app)
            maker.shutdown(wait=False)
        text, tag = await asyncio.shield(asyncio.wrap_future(app.extensions[_DOCUMENT]))
        response = Response(text, content_type="application/json")
        response.set_etag(tag)
        response.cache_control.no_cache = True
        return await response.make_conditional(request)

    app.add_url_rule(DOCUMENT, endpoint, openapi)
    declared = Declared(media_type="application/json", has_etag=True)
    declared_of(app)[endpoint, DOCUMENT, "GET"] = declared


def make_document(app: Quart) -> tuple[bytes, str]:
    """Return the document's text and its ETag; runs in a thread, since it takes the time of many requests."""
    from quart_fleet.openapi import describe, write  # noqa: PLC0415 - most processes never do

    text = write(asyncio.run(describe(app))).encode()
    return text, sha256(text).hexdigest()
