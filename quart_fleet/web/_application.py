"""The application factory, what controllers ask of the application, and its cross-origin headers.

Cross-origin headers are as the contract has them, on every response, errors included: quart-cors
answers `*` to every origin; the contract echoes the origin, as Flask-CORS does.
"""

import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, get_args

from quart import Blueprint, Quart, Request, current_app, request

from quart_fleet.asgi._application import application_class
from quart_fleet.conventions import PREFIX
from quart_fleet.database._engine import Database
from quart_fleet.errors import ServiceError
from quart_fleet.observation import DATABASE
from quart_fleet.settings import ServiceSettings
from quart_fleet.web._envelope import ContractJSONProvider, Envelope
from quart_fleet.web._error_responses import ErrorResponses
from quart_fleet.web._health import DOCUMENT, TITLE, add_document, make_health_blueprint

if TYPE_CHECKING:
    from quart.typing import ResponseTypes
    from werkzeug.datastructures import Headers


StartCheck = Callable[[Database], Awaitable[None]]
"""Runs once when the database is open, before the first request."""


def build_app(  # noqa: PLR0913 - all of what a service is made of, by name
    config: ServiceSettings,
    database: Database,
    envelope: type[Envelope] = Envelope,
    *,
    folder: Path | None = None,
    blueprints: Iterable[Blueprint] = (),
    statuses: Mapping[type[ServiceError], int] = MappingProxyType({}),
    start_checks: Iterable[StartCheck] = (),
) -> Quart:
    """Make the application of a service.

    Args:
        config: the service's settings.
        database: opened when the application starts, closed when it stops.
        envelope: the form of all answers: of errors, health routes and streams too.
        folder: the service's, where Quart looks for `templates/`, `static/` and `instance/`; without
            it, that of the settings' class. What is served does not depend on where it starts.
        blueprints: the service's controllers, mounted below `/api/v1`, each with its own `url_prefix`
            after it; one whose `url_prefix` begins with `/api/v1` is mounted there as it stands.
        statuses: the HTTP status of errors of the service's own, and of classes derived from them;
            those of `quart_fleet.errors` have theirs, which may be changed here.
        start_checks: awaited in order at start, with the database open; one that raises ends it.
    """
    if folder is None:
        module = sys.modules.get(type(config).__module__)
        folder = Path(getattr(module, "__file__", None) or "settings.py").parent
    folder = folder.resolve()
    app = application_class()(
        config.service_name,
        static_folder="static" if (folder / "static").is_dir() else None,
        root_path=str(folder),
        instance_path=str(folder / "instance"),
    )
    database.observers = app.observers
    app.extensions[DATABASE] = database
    app.config.from_mapping(
        DEBUG=config.debug,
        TESTING=config.testing,
        SECRET_KEY=config.secret_key.get_secret_value(),
        MAX_CONTENT_LENGTH=config.max_content_length,
        REQUEST_TIMEOUT=config.request_timeout,
        SERVICE_NAME=config.service_name,
        LOG_FORMAT=config.log_format,
        LOG_LEVEL=config.log_level,
        SERVICE_PORT=config.service_port,
        SERVICE_VERSION=config.service_version,
        METRICS_PORT=config.metrics_port,
        HOST=config.host,
        KEEP_ALIVE_TIMEOUT=config.keep_alive_timeout,
        TRUSTED_PROXIES=config.trusted_proxies,
        GRACEFUL_TIMEOUT=config.graceful_timeout,
        DB_POOL_SIZE=config.db_pool_size,
        MAX_CONNECTIONS=config.max_connections,
        MAX_HEAD_SIZE=config.max_head_size,
        MAX_HEADERS=config.max_headers,
        HEAD_TIMEOUT=config.head_timeout,
        SEND_TIMEOUT=config.send_timeout,
        MAX_RUNNING_REQUESTS=config.max_running_requests,
        MAX_BODY_MEMORY=config.max_body_memory,
        RESPONSE_TIMEOUT=None,  # by progress: SEND_TIMEOUT
        LIVE_FOLDER=config.live_folder,
        SERVICE_REGISTRY_URL=config.service_registry_url,
        SERVICE_REGISTRY_TOKEN=config.service_registry_token,
        SERVICE_ADDRESS=config.service_address,
    )
    app.json = ContractJSONProvider(app)  # anew, since its form depends on DEBUG
    # A ServiceError that ends the start is reported by the server, and is no crash to be logged.
    app.logger.addFilter(
        lambda record: not (record.exc_info and isinstance(record.exc_info[1], ServiceError))
    )
    app.after_request(make_cors(config.cors_origins))  # the first one, which runs last
    if config.cors_origins is None:
        app.refusal_headers["Access-Control-Allow-Origin"] = "*"
    title = type(config).model_fields["service_name"].default  # whatever SERVICE_NAME is set to
    app.extensions[TITLE] = title if isinstance(title, str) else config.service_name
    blueprints = list(blueprints)
    taken = {blueprint.name for blueprint in blueprints}
    health = "quart_fleet_health" if "health" in taken else "health"
    app.register_blueprint(
        make_health_blueprint(envelope, database), url_prefix=PREFIX, name=health
    )
    for blueprint in blueprints:
        own = f"/{(blueprint.url_prefix or '').strip('/')}".rstrip("/")
        is_below = f"{own}/".startswith(f"{PREFIX}/")
        app.register_blueprint(blueprint, url_prefix=own if is_below else f"{PREFIX}{own}")
    rules = list(app.url_map.iter_rules())  # among which the service may have a document or a page
    if not any(each.rule == DOCUMENT and "GET" in (each.methods or ()) for each in rules):
        add_document(app, f"{health}.openapi")
    is_free = not any(f"{each.rule}/".startswith(f"{PREFIX}/docs/") for each in rules)
    is_shown = config.debug if config.docs is None else config.docs
    if is_free and is_shown:
        from quart_fleet.openapi._page import make_docs_blueprint  # noqa: PLC0415 - rarely wanted

        app.register_blueprint(make_docs_blueprint(), url_prefix=PREFIX)
    ErrorResponses(envelope, statuses).register(app)

    @app.while_serving
    async def open_database() -> AsyncGenerator[None, None]:
        async with database:
            for check in start_checks:
                await check(database)
            yield

    return app


T = TypeVar("T")

_EXTENSION = "quart_fleet.web.dependencies"


class Dependency(Generic[T]):
    """One object that each application has its own of; declared once, beside the blueprint.

        use_cases = Dependency[ProductUseCases]()          # controllers.py
        use_cases.bind(app, ProductUseCases(...))          # bootstrap.py
        found = await use_cases().list_page(after, limit)  # in a request

    The declaration holds no state: applications of one process share nothing through it.
    """

    def bind(self, app: Quart, value: T) -> None:
        """Make `value` what this dependency is in `app`; a second call replaces it, as in a test."""
        app.extensions.setdefault(_EXTENSION, {})[self] = value

    def __call__(self) -> T:
        """Return what is bound in the application of the current request.

        Raises RuntimeError where nothing is bound, or outside of an application's context.
        """
        try:
            value: T = current_app.extensions[_EXTENSION][self]
        except KeyError:
            raise RuntimeError(
                f"{self} is not bound in the application {current_app.name!r}:"
                " call its bind(app, value) in bootstrap.py, after build_app"
            ) from None
        return value

    def __repr__(self) -> str:
        declared: Any = getattr(self, "__orig_class__", None)  # set by typing, not promised
        names = [getattr(kind, "__name__", str(kind)) for kind in get_args(declared)]
        return f"Dependency[{', '.join(names)}]" if names else "Dependency"


ALLOWED_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_ALLOW_METHODS = ", ".join(sorted(ALLOWED_METHODS))


AfterRequest = Callable[["ResponseTypes"], Awaitable["ResponseTypes"]]


def make_cors(origins: frozenset[str] | None) -> AfterRequest:
    """Return what adds the headers that let scripts of other origins read the answers.

    It adds what is not set yet, and is to be registered before all other `after_request`
    functions: Quart runs the first one last, so that what the application or an extension says of
    cross-origin requests is there already, and stays.

    Args:
        origins: those that are allowed; None allows every one.
    """

    async def allow_origin(response: "ResponseTypes") -> "ResponseTypes":
        headers = response.headers
        if headers.getlist("Access-Control-Allow-Origin"):  # `in` raises inside where it is absent
            return response
        # Once, since each look through the proxy costs anew; not all versions of Quart type it as one.
        current: Request = cast("Any", request)._get_current_object()
        # Looked for among the headers as they were sent, which costs less than to parse them.
        sent = [value for name, value in current.scope["headers"] if name == b"origin"]
        origin = sent[0].decode("latin1") if sent else None
        if origin or origins is not None:
            if headers.getlist("Vary"):
                response.vary.add("Origin")
            else:  # without parsing the header where there is none
                headers.add("Vary", "Origin")
        if origins is not None and origin not in origins:
            return response
        if origins is None and origin and headers.getlist("Access-Control-Allow-Credentials"):
            origin = None  # to `*` browsers send no cookies; else every site could read the answers
        headers.add("Access-Control-Allow-Origin", origin or "*")
        if current.method == "OPTIONS":
            _allow_preflight(current, headers)
        return response

    return allow_origin


def _allow_preflight(request: Request, headers: "Headers") -> None:
    method = request.headers.get("Access-Control-Request-Method", "").upper()
    if method not in ALLOWED_METHODS:
        return
    headers.setdefault("Access-Control-Allow-Methods", _ALLOW_METHODS)
    wanted = request.headers.get("Access-Control-Request-Headers")
    if wanted:
        names = sorted(name.strip() for name in wanted.split(","))
        headers.setdefault("Access-Control-Allow-Headers", ", ".join(names))
