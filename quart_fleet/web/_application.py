"""The application factory: one Quart application in the contract's manner."""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from types import MappingProxyType

from quart import Blueprint, Quart

from quart_fleet.asgi._application import Service, service_class
from quart_fleet.asgi._json import ContractJSONProvider
from quart_fleet.database._engine import Database
from quart_fleet.errors import ServiceError
from quart_fleet.settings import ServiceSettings
from quart_fleet.web._cors import make_cors
from quart_fleet.web._envelope import Envelope
from quart_fleet.web._error_responses import ErrorResponses
from quart_fleet.web._health import make_health_blueprint

PREFIX = "/api/v1"

StartCheck = Callable[[Database], Awaitable[None]]
"""Runs once when the database is open, before the first request."""


def build_app(  # noqa: PLR0913 - all of what a service is made of, by name
    config: ServiceSettings,
    database: Database,
    envelope: type[Envelope] = Envelope,
    *,
    blueprints: Iterable[Blueprint] = (),
    statuses: Mapping[type[ServiceError], int] = MappingProxyType({}),
    start_checks: Iterable[StartCheck] = (),
) -> Quart:
    """Make the application of a service.

    Args:
        config: the service's settings.
        database: opened when the application starts, closed when it stops.
        envelope: the form of all answers: of errors, health routes and streams too.
        blueprints: the service's controllers, mounted below `/api/v1`.
        statuses: the HTTP status of errors of the service's own, and of classes derived from them;
            those of `quart_fleet.errors` have theirs, which may be changed here.
        start_checks: awaited in order at start, with the database open; one that raises ends it.
    """
    app = service_class()(config.service_name, static_folder=None)
    _configure(app, config)
    app.after_request(make_cors(config.cors_origins))  # the first one, which runs last
    for blueprint in (make_health_blueprint(envelope, database), *blueprints):
        app.register_blueprint(blueprint, url_prefix=PREFIX)
    ErrorResponses(envelope, statuses).register(app)
    _open_while_serving(app, database, start_checks)
    return app


def _configure(app: Quart, config: ServiceSettings) -> None:
    app.config.from_mapping(
        DEBUG=config.debug,
        TESTING=config.testing,
        SECRET_KEY=config.secret_key.get_secret_value(),
        MAX_CONTENT_LENGTH=config.max_content_length,
        SERVICE_NAME=config.service_name,
        SERVICE_PORT=config.service_port,
        HOST=config.host,
    )
    app.json = ContractJSONProvider(app)  # anew, since its form depends on DEBUG
    app.logger.addFilter(_is_unexpected)


def _is_unexpected(record: logging.LogRecord) -> bool:
    """Keep a ServiceError that ends the start from being logged as a crash: the server reports it."""
    return not (record.exc_info and isinstance(record.exc_info[1], ServiceError))


def _open_while_serving(app: Service, database: Database, checks: Iterable[StartCheck]) -> None:
    @app.while_serving
    async def serve() -> AsyncGenerator[None, None]:
        async with database:
            for check in checks:
                await check(database)
            yield
