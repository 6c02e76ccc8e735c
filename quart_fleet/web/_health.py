"""The routes of every service: liveness, readiness, and the name of the service."""

from typing import cast

from quart import Blueprint, Response, current_app

from quart_fleet.asgi._application import ServiceApplication
from quart_fleet.database import Database
from quart_fleet.errors import UnavailableError
from quart_fleet.web._envelope import Envelope


def make_health_blueprint(envelope: type[Envelope], database: Database) -> Blueprint:
    """Make the routes, which answer in the service's envelope."""
    bp = Blueprint("health", __name__)

    @bp.get("/health")
    async def health() -> Response:
        """Say that the process answers; the database is not asked."""
        return envelope.success({"status": "healthy"})

    @bp.get("/health/ready")
    async def ready() -> Response:
        """Say whether requests that need the database can be served: 200, or 503."""
        if cast("ServiceApplication", current_app).draining:
            raise UnavailableError("The process is ending")
        await database.ping()
        return envelope.success({"status": "ready"})

    @bp.get("/")
    async def welcome() -> Response:
        """Say which service this is."""
        return envelope.success({"message": f"Welcome to {current_app.config['SERVICE_NAME']}"})

    return bp
