"""The routes that every service has: is it alive, can it work, who is it."""

from quart import Blueprint, Response, current_app

from shared.database.engine import Database
from shared.utils.response import APIResponse
from shared.web.provision import provided

bp = Blueprint("health", __name__)


@bp.get("/health")
async def health() -> Response:
    """Say that the process answers; the database is not asked."""
    return APIResponse.success({"status": "healthy"})


@bp.get("/health/ready")
async def ready() -> Response:
    """Say whether requests that need the database can be served: 200, or 503."""
    await provided(Database).ping()
    return APIResponse.success({"status": "ready"})


@bp.get("/")
async def welcome() -> Response:
    """Say which service this is."""
    return APIResponse.success({"message": f"Welcome to {current_app.config['SERVICE_NAME']}"})
