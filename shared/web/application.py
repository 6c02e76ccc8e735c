"""The application factory: one Quart application in the contract's manner."""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable

from quart import Blueprint, Quart

from shared.config import BaseServiceConfig
from shared.database.engine import Database
from shared.errors import ServiceError
from shared.web import health
from shared.web.collector import collecting_requests_alone
from shared.web.drain import draining_when_told
from shared.web.errors import map_errors
from shared.web.json import ContractJSONProvider
from shared.web.parent import ending_with_parent
from shared.web.provision import provide
from shared.web.routing import IdConverter
from shared.web.service import Service

PREFIX = "/api/v1"

StartCheck = Callable[[Database], Awaitable[None]]
"""Runs once when the database is open, before the first request."""


def build_app(
    config: BaseServiceConfig,
    database: Database,
    *,
    blueprints: Iterable[Blueprint] = (),
    provides: Iterable[object] = (),
    start_checks: Iterable[StartCheck] = (),
) -> Quart:
    """Make the application of a service.

    Args:
        config: the service's settings.
        database: opened when the application starts, closed when it stops.
        blueprints: the service's controllers, mounted below `/api/v1`.
        provides: what the controllers ask for by type, with `provided`.
        start_checks: awaited in order at start.
    """
    app = Service(config.service_name, static_folder=None)
    _configure(app, config)
    app.url_map.converters["int"] = IdConverter
    for blueprint in (health.bp, *blueprints):
        app.register_blueprint(blueprint, url_prefix=PREFIX)
    map_errors(app)
    provide(app, (database, *provides))
    _open_while_serving(app, database, start_checks)
    return app


def _configure(app: Quart, config: BaseServiceConfig) -> None:
    app.config.from_mapping(
        DEBUG=config.debug,
        TESTING=config.testing,
        SECRET_KEY=config.secret_key.get_secret_value(),
        MAX_CONTENT_LENGTH=config.max_content_length,
        SERVICE_NAME=config.service_name,
        SERVICE_PORT=config.service_port,
        HOST=config.host,
    )
    app.json = ContractJSONProvider(app)  # anew, for it depends on DEBUG
    app.logger.addFilter(_is_unforeseen)


def _is_unforeseen(record: logging.LogRecord) -> bool:
    """Keep what we refuse in our own words from being logged as a crash: the server says it."""
    return not (record.exc_info and isinstance(record.exc_info[1], ServiceError))


def _open_while_serving(app: Service, database: Database, checks: Iterable[StartCheck]) -> None:
    @app.while_serving
    async def serve() -> AsyncGenerator[None, None]:
        async with database:
            for check in checks:
                await check(database)
            with collecting_requests_alone(), draining_when_told(app.drain), ending_with_parent():
                yield
