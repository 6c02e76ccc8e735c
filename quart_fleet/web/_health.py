"""The routes of every service: liveness, readiness, its name, and the document of its routes."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Literal, cast

from quart import Quart, Response, current_app, request

from quart_fleet.asgi._application import ServiceApplication
from quart_fleet.conventions import PREFIX
from quart_fleet.database import Database
from quart_fleet.dto import ResponseDTO
from quart_fleet.errors import UnavailableError
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


class Readiness(ResponseDTO):
    """The data of one that can serve."""

    status: Literal["ready"]


class Welcome(ResponseDTO):
    """The data that name a service."""

    message: str


def make_health_blueprint(envelope: type[Envelope], database: Database) -> Blueprint:
    """Make the routes, which answer in the service's envelope."""
    bp = Blueprint("health", __name__)
    healthy, able = Health(status="healthy"), Readiness(status="ready")

    @bp.get("/health")
    async def health() -> Answer[Health]:
        """Say that the process answers; the database is not asked."""
        return envelope.success(healthy)

    @bp.get("/health/ready", raises=[UnavailableError])
    async def ready() -> Answer[Readiness]:
        """Say whether requests that need the database can be served: 200, or 503."""
        if cast("ServiceApplication", current_app).draining:
            raise UnavailableError("The process is ending")
        await database.ping()
        return envelope.success(able)

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
            app.extensions[_DOCUMENT] = maker.submit(make_document, app)
            maker.shutdown(wait=False)
        text, tag = await asyncio.shield(asyncio.wrap_future(app.extensions[_DOCUMENT]))
        response = Response(text, content_type="application/json")
        response.set_etag(tag)
        response.cache_control.no_cache = True
        return await response.make_conditional(request)

    app.add_url_rule(DOCUMENT, endpoint, openapi)
    declared_of(app)[endpoint, DOCUMENT, "GET"] = Declared(media_type="application/json")


def make_document(app: Quart) -> tuple[bytes, str]:
    """Return the document's text and its ETag; runs in a thread, since it takes the time of many requests."""
    from quart_fleet.openapi import describe, write  # noqa: PLC0415 - most processes never do

    text = write(asyncio.run(describe(app))).encode()
    return text, sha256(text).hexdigest()
