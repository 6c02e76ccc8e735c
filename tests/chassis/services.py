"""Applications as `build_app` makes them, whose database is never asked."""

from collections.abc import Mapping

from quart import Blueprint, Quart

from quart_fleet.database import Database
from quart_fleet.errors import ServiceError
from quart_fleet.settings import ServiceSettings
from quart_fleet.web import Envelope, build_app

SECRET = "a secret of the tests"
NO_DATABASE = "postgresql://nothing-connects-here/app"


def make_service(
    blueprint: Blueprint,
    settings: Mapping[str, object] | None = None,
    *,
    envelope: type[Envelope] = Envelope,
    statuses: Mapping[type[ServiceError], int] | None = None,
) -> Quart:
    """Make an application with these routes below /api/v1; settings by their variables."""
    given = {"SECRET_KEY": SECRET, "DATABASE_URL": NO_DATABASE} | dict(settings or {})
    config = ServiceSettings.model_validate(given)
    database = Database(config)
    return build_app(config, database, envelope, blueprints=[blueprint], statuses=statuses or {})
