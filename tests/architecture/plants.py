"""Forbidden imports of every kind, and what the check must say of each."""

from dataclasses import dataclass

from tests.architecture.generated import USER

DOMAIN = (
    "a domain imports only the standard library, quart_fleet.errors, quart_fleet.paging, "
    "quart_fleet.patterns and itself"
)
APPLICATION = (
    "an application imports only the standard library, pydantic, quart_fleet.errors, quart_fleet.dto, "
    "quart_fleet.listing, quart_fleet.paging, quart_fleet.references, its domain and itself"
)
SERVICE_INIT = "a service's __init__.py imports only the standard library: every layer runs it"
BOOTSTRAP = "only app imports bootstrap"
TOP = "only tests import app and other tests"
OUTSIDERS = "services never import each other, nor db_manager, nor scaffold"
PROCESS = "only bootstrap and app import quart_fleet.server and quart_fleet.postgres"
TESTING = "only tests import quart_fleet.testing and quart_fleet.clients.testing"
FULL_NAME = "a layer is imported by its full name: two services share a bare one"
OWN_NAME = "a service is imported by its own name, without `services.`"
ERRORS = "quart_fleet.errors and quart_fleet.paging import only the standard library"
PLAIN = (
    "quart_fleet.conventions, files, output, revisions, times and unfinished import only the "
    "standard library, quart_fleet.errors and each other"
)
WORKSPACE = (
    "quart_fleet.workspace imports, but for types, only the standard library, "
    "quart_fleet.conventions, errors, files and unfinished"
)
CHASSIS_INIT = "quart_fleet/__init__.py imports only the standard library: every module runs it"
PATTERNS = "quart_fleet.patterns imports only pydantic"
DTO = "quart_fleet.dto imports only pydantic, quart_fleet.errors, patterns and times"
LISTING = "quart_fleet.listing imports only pydantic, quart_fleet.dto, paging and times"
OBSERVATION = (
    "quart_fleet.observation imports, but for types, only the standard library and "
    "quart_fleet.bounds"
)
REFERENCES = "quart_fleet.references imports only the standard library and quart_fleet.errors"
MODELS = "quart_fleet.models imports only sqlalchemy and quart_fleet.conventions"
POSTGRES = "quart_fleet.postgres knows nothing of the rest"
CHASSIS_DATABASE = "quart_fleet.database knows neither quart nor what is built on it"
ASGI = "quart_fleet.asgi knows neither quart_fleet.web nor quart_fleet.server"
CLIENTS = (
    "quart_fleet.clients imports of quart_fleet only bounds, conventions, errors, files, "
    "listing, observation, paging, settings, times and workspace"
)
CALLERS = "only services import quart_fleet.clients: those that call another one"
TELEMETRY = "of quart_fleet only server imports telemetry: the others are observed"
WEB = "quart_fleet.web does not know quart_fleet.server"
CHASSIS = "quart_fleet imports neither shared nor db_manager nor scaffold nor a service"
SHARED_INIT = "shared/__init__.py imports only the standard library: every module runs it"
SHARED_MODELS = "shared.models imports only sqlalchemy, quart_fleet.models and itself"
PRODUCT_MODEL = "only product_service imports shared.models.product, as the model's `info` says"
USER_MODEL = "only user_service imports shared.models.user, as the model's `info` says"
SHARED_CONFIG = "shared.config imports only quart_fleet.settings and pydantic"
SHARED = "shared imports neither db_manager nor scaffold nor a service"
MANAGER = "db_manager imports neither shared nor scaffold nor a service"
SCAFFOLD = "scaffold imports neither shared nor db_manager nor a service: it runs their commands"
SCAFFOLD_CHASSIS = (
    "scaffold imports of quart_fleet only conventions, errors, files, logs, output, patterns, "
    "revisions, times, unfinished and workspace"
)
LANGUAGE, GENERATION, REVISIONS, ENGINE = (
    f"scaffold.{room} knows nothing of what is built on it"
    for room in ("language", "generation", "revisions", "engine")
)


@dataclass(frozen=True, slots=True)
class Plant:
    """A source whose last line is forbidden, at the end of a file of the workspace."""

    file: str
    source: str
    imported: str
    rule: str

    def __str__(self) -> str:
        return f"{self.module}: {self.source.strip().splitlines()[-1].strip()}"

    @property
    def module(self) -> str:
        """The file's name in Python."""
        path = self.file.removeprefix("services/").removesuffix(".py")
        return path.replace("/", ".").removesuffix(".__init__")

    def report(self, start: int) -> str:
        """Return what the check prints when the source begins on line `start`."""
        line = start + len(self.source.splitlines()) - 1
        return f"{self.file}:{line}: {self.module} imports {self.imported}, but {self.rule}"


def _modules(folder: str, rule: str, *imports: tuple[str, str]) -> list[Plant]:
    """Plant each source in a new module of its own."""
    return [
        Plant(f"{folder}/planted_{number}.py", f"{source}\n", imported, rule)
        for number, (source, imported) in enumerate(imports)
    ]


def _file(file: str, *imports: tuple[str, str, str]) -> list[Plant]:
    """Plant each source at the end of a file that the generator made."""
    return [Plant(file, f"{source}\n", imported, rule) for source, imported, rule in imports]


_CONTROLLERS = "user_service.infrastructure.web.controllers"
_PRODUCT = "product_service.domain.entities.product"

PLANTS = [
    *_modules(
        f"{USER}/domain",
        DOMAIN,
        ("import sqlalchemy", "sqlalchemy"),
        ("import sqlalchemy.orm as orm", "sqlalchemy"),
        ("from sqlalchemy import *", "sqlalchemy"),
        ("import json, quart", "quart"),
        ("from pydantic import BaseModel", "pydantic"),
        ("from quart_fleet.dto import RequestDTO", "quart_fleet.dto"),
        ("from quart_fleet.listing import Listing", "quart_fleet.listing"),
        ("from shared import config", "shared.config"),
        ("import db_manager.manager", "db_manager.manager"),
        (f"from {_PRODUCT} import ProductEntity", _PRODUCT),
        (f"from {_CONTROLLERS} import bp", _CONTROLLERS),
        ("from ..infrastructure.web import controllers", _CONTROLLERS),
        ("from .. import infrastructure as outside", "user_service.infrastructure"),
        ("from .. import application", "user_service.application"),
        ("from user_service import bootstrap", "user_service.bootstrap"),
        ("from infrastructure.web.controllers import bp", "infrastructure"),
        ("from services.user_service.infrastructure import web", "services"),
        (
            "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from quart import Quart",
            "quart",
        ),
        ("def use() -> None:\n    import sqlalchemy", "sqlalchemy"),
        ("class Use:\n    async def use(self) -> None:\n        import quart", "quart"),
        ("try:\n    import json\nexcept ImportError:\n    import quart", "quart"),
    ),
    *_modules(
        f"{USER}/domain/entities",
        DOMAIN,
        ("from ...application import dto", "user_service.application.dto"),
    ),
    *_modules(
        f"{USER}/application",
        APPLICATION,
        ("import sqlalchemy", "sqlalchemy"),
        ("from quart import request", "quart"),
        ("from ..infrastructure import database", "user_service.infrastructure.database"),
        ("from quart_fleet.database import Database", "quart_fleet.database"),
        ("import user_service.app", "user_service.app"),
        (f"from {_PRODUCT} import ProductEntity", _PRODUCT),
    ),
    *_file(
        f"{USER}/infrastructure/web/controllers.py",
        ("from user_service.bootstrap import create_app", "user_service.bootstrap", BOOTSTRAP),
        ("from ...bootstrap import create_app", "user_service.bootstrap", BOOTSTRAP),
        ("from bootstrap import create_app", "bootstrap", FULL_NAME),
        ("from user_service.app import app", "user_service.app", TOP),
        ("import user_service.tests.fakes", "user_service.tests.fakes", TOP),
        ("import db_manager.manager", "db_manager.manager", OUTSIDERS),
        ("import scaffold", "scaffold", OUTSIDERS),
        (f"import {_PRODUCT}", _PRODUCT, OUTSIDERS),
        ("from quart_fleet.postgres import EmbeddedPostgres", "quart_fleet.postgres", PROCESS),
        ("from quart_fleet.server import serve", "quart_fleet.server", PROCESS),
        ("import quart_fleet.testing", "quart_fleet.testing", TESTING),
    ),
    *_file(
        f"{USER}/bootstrap.py",
        ("from db_manager.manager import x", "db_manager.manager", OUTSIDERS),
        ("import user_service.app", "user_service.app", TOP),
        ("from scaffold.names import normalise", "scaffold.names", OUTSIDERS),
        ("import quart_fleet.testing", "quart_fleet.testing", TESTING),
        ("import quart_fleet.clients.testing", "quart_fleet.clients.testing", TESTING),
    ),
    *_file(
        f"{USER}/app.py",
        ("import db_manager", "db_manager", OUTSIDERS),
        ("from user_service.tests import fakes", "user_service.tests.fakes", TOP),
    ),
    *_file(
        f"{USER}/__init__.py",
        ("from user_service import domain", "user_service.domain", SERVICE_INIT),
        ("import quart", "quart", SERVICE_INIT),
    ),
    *_modules(USER, BOOTSTRAP, ("from user_service import bootstrap", "user_service.bootstrap")),
    *_modules(f"{USER}/tests", OUTSIDERS, (f"import {_PRODUCT}", _PRODUCT)),
    *_modules(
        f"{USER}/infrastructure/adapters",
        PRODUCT_MODEL,
        ("from shared.models.product import ProductModel", "shared.models.product"),
        ("from shared.models import product", "shared.models.product"),
    ),
    *_modules(
        "services/product_service/tests",
        USER_MODEL,
        ("import shared.models.user", "shared.models.user"),
    ),
    *_file(
        "quart_fleet/web/_application.py",
        ("import user_service.domain", "user_service.domain", CHASSIS),
        ("import services.user_service", "services", OWN_NAME),
        ("def use() -> None:\n    import db_manager.manager", "db_manager.manager", CHASSIS),
        ("from scaffold import names", "scaffold.names", CHASSIS),
        ("from shared import config", "shared.config", CHASSIS),
        ("from quart_fleet.server import serve", "quart_fleet.server", WEB),
        ("from quart_fleet.telemetry import _logs", "quart_fleet.telemetry._logs", TELEMETRY),
    ),
    *_file(
        "quart_fleet/errors.py",
        ("def use() -> None:\n    import pydantic", "pydantic", ERRORS),
        ("def use() -> None:\n    from . import dto", "quart_fleet.dto", ERRORS),
    ),
    *_file("quart_fleet/paging.py", ("import quart", "quart", ERRORS)),
    *_file(
        "quart_fleet/revisions.py",
        ("def use() -> None:\n    import alembic", "alembic", PLAIN),
        ("def use() -> None:\n    import quart_fleet.paging", "quart_fleet.paging", PLAIN),
    ),
    *_file("quart_fleet/output.py", ("def use() -> None:\n    import click", "click", PLAIN)),
    *_file("quart_fleet/files.py", ("def use() -> None:\n    import dotenv", "dotenv", PLAIN)),
    *_file(
        "quart_fleet/conventions.py",
        ("def use() -> None:\n    import quart_fleet.web", "quart_fleet.web", PLAIN),
    ),
    *_file(
        "quart_fleet/workspace.py",
        ("def use() -> None:\n    import pydantic", "pydantic", WORKSPACE),
    ),
    *_file(
        "quart_fleet/__init__.py",
        ("def use() -> None:\n    from . import web", "quart_fleet.web", CHASSIS_INIT),
    ),
    *_file("quart_fleet/dto.py", ("import sqlalchemy", "sqlalchemy", DTO)),
    *_file("quart_fleet/patterns.py", ("import quart_fleet.dto", "quart_fleet.dto", PATTERNS)),
    *_file("quart_fleet/listing.py", ("import quart_fleet.web", "quart_fleet.web", LISTING)),
    *_file("quart_fleet/observation.py", ("import pydantic", "pydantic", OBSERVATION)),
    *_file("quart_fleet/references.py", ("import quart_fleet.web", "quart_fleet.web", REFERENCES)),
    *_file("quart_fleet/models.py", ("import pydantic", "pydantic", MODELS)),
    *_file(
        "quart_fleet/postgres/_locks.py",
        ("import quart_fleet.errors", "quart_fleet.errors", POSTGRES),
        ("import asyncpg", "asyncpg", POSTGRES),
    ),
    *_file("quart_fleet/settings.py", ("import quart", "quart", CHASSIS_DATABASE)),
    *_file(
        "quart_fleet/database/_engine.py",
        ("import quart", "quart", CHASSIS_DATABASE),
        ("import quart_fleet.web", "quart_fleet.web", CHASSIS_DATABASE),
    ),
    *_file("quart_fleet/asgi/_http.py", ("import quart_fleet.web", "quart_fleet.web", ASGI)),
    *_file(
        "quart_fleet/clients/_breaker.py",
        ("import quart_fleet.web", "quart_fleet.web", CLIENTS),
        ("import quart_fleet.database", "quart_fleet.database", CLIENTS),
    ),
    *_file(
        "quart_fleet/testing.py",
        ("def use() -> None:\n    import quart_fleet.clients", "quart_fleet.clients", CALLERS),
    ),
    *_file("shared/__init__.py", ("from . import config", "shared.config", SHARED_INIT)),
    *_file(
        "shared/models/user.py",
        ("import pydantic", "pydantic", SHARED_MODELS),
        ("import quart_fleet.errors", "quart_fleet.errors", SHARED_MODELS),
    ),
    *_file("shared/config.py", ("import sqlalchemy", "sqlalchemy", SHARED_CONFIG)),
    *_file(
        "shared/utils/response.py",
        ("import user_service.domain", "user_service.domain", SHARED),
        ("from scaffold import names", "scaffold.names", SHARED),
        ("from db_manager import manager", "db_manager.manager", SHARED),
    ),
    *_modules(
        "db_manager",
        MANAGER,
        ("from user_service.domain import entities", "user_service.domain.entities"),
        ("from scaffold.names import normalise", "scaffold.names"),
        ("from shared.models import load_metadata", "shared.models"),
    ),
    *_modules(
        "scaffold",
        SCAFFOLD,
        ("from shared.models import load_metadata", "shared.models"),
        ("import db_manager.manager", "db_manager.manager"),
        ("import user_service", "user_service"),
    ),
    *_modules(
        "scaffold/deploy",
        SCAFFOLD_CHASSIS,
        ("from quart_fleet.web import PREFIX", "quart_fleet.web"),
        ("def use() -> None:\n    from quart_fleet import settings", "quart_fleet.settings"),
        ("import quart_fleet.paging", "quart_fleet.paging"),
    ),
    *_file(
        "scaffold/language/grammar.py",
        ("from scaffold.generation import fields", "scaffold.generation.fields", LANGUAGE),
    ),
    *_file(
        "scaffold/generation/tables.py",
        ("from scaffold.revisions import writing", "scaffold.revisions.writing", GENERATION),
    ),
    *_file(
        "scaffold/revisions/ordering.py",
        ("from scaffold.engine import plan", "scaffold.engine.plan", REVISIONS),
    ),
    *_file(
        "scaffold/engine/plan.py",
        ("from scaffold.commands import preview", "scaffold.commands.preview", ENGINE),
    ),
]
