"""Forbidden imports of every kind, and what the check must say of each."""

from dataclasses import dataclass

from tests.architecture.generated import USER

DOMAIN = "a domain imports only the standard library, shared.errors and itself"
APPLICATION = (
    "an application imports only the standard library, pydantic, shared.errors, shared.dto, "
    "shared.paging, its domain and itself"
)
SERVICE_INIT = "a service's __init__.py imports only the standard library: every layer runs it"
BOOTSTRAP = "only app imports bootstrap"
TOP = "only tests import app and other tests"
DATABASE = "only bootstrap imports db_manager"
DATABASE_PARTS = f"{DATABASE}, and of it db_manager.postgres and db_manager.startup"
STRANGERS = "services never import each other, nor scaffold"
FULL_NAME = "a layer is imported by its full name: two services share a bare one"
OWN_NAME = "a service is imported by its own name, without `services.`"
SHARED_ERRORS = "shared.errors and shared.paging import only the standard library"
SHARED_INIT = "shared/__init__.py imports only the standard library: every module runs it"
SHARED_DTO = "shared.dto imports only pydantic"
SHARED_MODELS = "shared.models imports only sqlalchemy and itself"
SHARED_DATABASE = "shared.database knows neither quart nor what is built on it"
SHARED = "shared imports neither db_manager nor scaffold nor a service"
MANAGER = "db_manager imports neither scaffold nor a service"
SCAFFOLD = "scaffold imports neither shared nor db_manager nor a service: it runs their commands"


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
        ("from shared.dto import RequestDTO", "shared.dto"),
        ("from shared import config", "shared.config"),
        ("import db_manager.startup", "db_manager.startup"),
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
        ("from shared.database.engine import Database", "shared.database.engine"),
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
        ("import db_manager.postgres", "db_manager.postgres", DATABASE),
        ("import scaffold", "scaffold", STRANGERS),
        (f"import {_PRODUCT}", _PRODUCT, STRANGERS),
    ),
    *_file(
        f"{USER}/bootstrap.py",
        ("from db_manager.manager import x", "db_manager.manager", DATABASE_PARTS),
        ("import user_service.app", "user_service.app", TOP),
        ("from scaffold.names import normalise", "scaffold.names", STRANGERS),
    ),
    *_file(
        f"{USER}/app.py",
        ("import db_manager.startup", "db_manager.startup", DATABASE),
        ("from user_service.tests import fakes", "user_service.tests.fakes", TOP),
    ),
    *_file(
        f"{USER}/__init__.py",
        ("from user_service import domain", "user_service.domain", SERVICE_INIT),
        ("import quart", "quart", SERVICE_INIT),
    ),
    *_modules(USER, BOOTSTRAP, ("from user_service import bootstrap", "user_service.bootstrap")),
    *_modules(f"{USER}/tests", STRANGERS, (f"import {_PRODUCT}", _PRODUCT)),
    *_file(
        "shared/web/application.py",
        ("import user_service.domain", "user_service.domain", SHARED),
        ("import services.user_service", "services", OWN_NAME),
        ("def use() -> None:\n    import db_manager.startup", "db_manager.startup", SHARED),
        ("from scaffold import names", "scaffold.names", SHARED),
    ),
    *_file("shared/errors.py", ("import pydantic", "pydantic", SHARED_ERRORS)),
    *_file("shared/errors.py", ("from . import dto", "shared.dto", SHARED_ERRORS)),
    *_file("shared/paging.py", ("import quart", "quart", SHARED_ERRORS)),
    *_file("shared/__init__.py", ("from . import web", "shared.web", SHARED_INIT)),
    *_file("shared/dto.py", ("import sqlalchemy", "sqlalchemy", SHARED_DTO)),
    *_file("shared/models/user.py", ("import pydantic", "pydantic", SHARED_MODELS)),
    *_file("shared/models/user.py", ("import shared.errors", "shared.errors", SHARED_MODELS)),
    *_file("shared/config.py", ("import quart", "quart", SHARED_DATABASE)),
    *_file("shared/database/engine.py", ("import quart", "quart", SHARED_DATABASE)),
    *_file("shared/database/url.py", ("import shared.web", "shared.web", SHARED_DATABASE)),
    *_modules(
        "db_manager",
        MANAGER,
        ("from user_service.domain import entities", "user_service.domain.entities"),
        ("from scaffold.names import normalise", "scaffold.names"),
    ),
    *_modules(
        "scaffold",
        SCAFFOLD,
        ("from shared.models import load_metadata", "shared.models"),
        ("def use() -> None:\n    from shared import errors", "shared.errors"),
        ("import db_manager.startup", "db_manager.startup"),
        ("import user_service", "user_service"),
    ),
]
