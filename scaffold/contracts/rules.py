"""Which module may import which, as data; the standard library is open to all of them."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

EVERYTHING = "*"
FRAMEWORK = ("quart_fleet", "shared", "db_manager", "scaffold")
LAYERS = ("app", "bootstrap", "infrastructure", "application", "domain")
OUTSIDE = frozenset(
    {"quart", "pydantic", "pydantic_core", "pydantic_settings", "sqlalchemy", "services", *LAYERS}
)
"""Names in rules that are no module of the workspace; any other unknown name is a mistake."""

_ALONE = ".__init__"
_PYDANTIC = ("pydantic", "pydantic_core")
_OPEN = (
    "quart_fleet.errors",
    "quart_fleet.dto",
    "quart_fleet.listing",
    "quart_fleet.paging",
    "quart_fleet.references",
)
"""What of the chassis an application may know."""
_PLAIN = (
    "quart_fleet.conventions",
    "quart_fleet.files",
    "quart_fleet.output",
    "quart_fleet.revisions",
    "quart_fleet.times",
    "quart_fleet.unfinished",
)
"""What of the chassis the generator may know besides, for it needs no installed package."""

_ROOMS = ("commands", "engine", "revisions", "generation", "language")
"""Of the generator, from the top."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Modules by their names, each with everything below it; `x.__init__` is x alone."""

    says: str
    """The end of "a imports b, but …"."""
    binds: tuple[str, ...]
    spares: tuple[str, ...] = ()
    forbids: tuple[str, ...]
    allows: tuple[str, ...] = ()
    """What is not meant by `forbids`."""

    def concerns(self, module: str) -> bool:
        """Whether the rule binds a module."""
        return _is_among(module, self.binds) and not _is_among(module, self.spares)

    def refuses(self, imported: str) -> bool:
        """Whether a module that the rule binds may not import this one."""
        in_standard_library = imported.partition(".")[0] in sys.stdlib_module_names
        is_allowed = in_standard_library or _is_among(imported, self.allows)
        return _is_among(imported, self.forbids) and not is_allowed

    @property
    def names(self) -> set[str]:
        """Every module that must exist, or else the rule would pass for want of it."""
        names = {*self.binds, *self.forbids, *self.allows} - OUTSIDE - {EVERYTHING}
        return {name.removesuffix(_ALONE) for name in names}


def _is_among(module: str, names: tuple[str, ...]) -> bool:
    return any(
        name in (EVERYTHING, module, module + _ALONE) or module.startswith(name + ".")
        for name in names
    )


@dataclass(frozen=True, slots=True)
class ServicePackage:
    """What the rules of one service need to know of it."""

    name: str
    has_tests: bool = True

    @property
    def tests(self) -> tuple[str, ...]:
        """The service's own tests, which may import all of it."""
        return (self.below("tests"),) if self.has_tests else ()

    def below(self, layer: str) -> str:
        """Return a layer's full name."""
        return f"{self.name}.{layer}"


def make_rules(services: Sequence[ServicePackage], owners: Mapping[str, str]) -> list[Rule]:
    """Return all rules, the most telling first: an import is reported once, under the first.

    Args:
        services: those of the workspace.
        owners: the package of the service that a module of models belongs to, by the module.
    """
    names = tuple(service.name for service in services)
    of_services = (rule for service in services for rule in _rules_of_service(service, names))
    of_models = (
        Rule(
            says=f"only {owner} imports {module}, as the model's `info` says",
            binds=tuple(name for name in names if name != owner),
            forbids=(module,),
        )
        for module, owner in sorted(owners.items())
    )
    return [*of_services, *of_models, *_rules_of_framework(names)]


def _rules_of_service(service: ServicePackage, services: tuple[str, ...]) -> list[Rule]:
    domain, application = service.below("domain"), service.below("application")
    app, bootstrap = service.below("app"), service.below("bootstrap")
    outer = (bootstrap, app, *service.tests)
    others = tuple(name for name in services if name != service.name)
    return [
        Rule(
            says="a domain imports only the standard library, quart_fleet.errors, quart_fleet.paging, "
            "quart_fleet.patterns and itself",
            binds=(domain,),
            forbids=(EVERYTHING,),
            allows=(
                "quart_fleet.errors",
                "quart_fleet.paging",
                "quart_fleet.patterns",
                domain,
            ),
        ),
        Rule(
            says="an application imports only the standard library, pydantic, quart_fleet.errors, "
            "quart_fleet.dto, quart_fleet.listing, quart_fleet.paging, quart_fleet.references, its "
            "domain and itself",
            binds=(application,),
            forbids=(EVERYTHING,),
            allows=(*_PYDANTIC, *_OPEN, application, domain),
        ),
        Rule(
            says="a service's __init__.py imports only the standard library: every layer runs it",
            binds=(f"{service.name}.__init__",),
            forbids=(EVERYTHING,),
        ),
        Rule(
            says="only app imports bootstrap",
            binds=(service.name,),
            spares=(app, bootstrap, *service.tests),
            forbids=(bootstrap,),
        ),
        Rule(
            says="only tests import app and other tests",
            binds=(service.name,),
            spares=service.tests,
            forbids=(app, *service.tests),
        ),
        Rule(
            says="services never import each other, nor db_manager, nor scaffold",
            binds=(service.name,),
            forbids=(*others, "db_manager", "scaffold"),
        ),
        Rule(
            says="only bootstrap and app import quart_fleet.server and quart_fleet.postgres",
            binds=(service.name,),
            spares=outer,
            forbids=("quart_fleet.server", "quart_fleet.postgres"),
        ),
        Rule(
            says="only tests import quart_fleet.testing and quart_fleet.clients.testing",
            binds=(service.name,),
            spares=service.tests,
            forbids=("quart_fleet.testing", "quart_fleet.clients.testing"),
        ),
        Rule(
            says="a layer is imported by its full name: two services share a bare one",
            binds=(service.name,),
            forbids=LAYERS,
        ),
    ]


def _rules_of_framework(services: tuple[str, ...]) -> list[Rule]:
    """Return those of quart_fleet, shared, db_manager and scaffold, and one of spelling."""
    return [
        Rule(
            says="quart_fleet.errors and quart_fleet.paging import only the standard library",
            binds=("quart_fleet.errors", "quart_fleet.paging"),
            forbids=(EVERYTHING,),
        ),
        Rule(
            says="quart_fleet.conventions, files, output, revisions, times and unfinished import only the "
            "standard library, quart_fleet.errors and each other",
            binds=_PLAIN,
            forbids=(EVERYTHING,),
            allows=("quart_fleet.errors", *_PLAIN),
        ),
        Rule(
            says="quart_fleet.workspace imports, but for types, only the standard library, "
            "quart_fleet.conventions, errors, files and unfinished",
            binds=("quart_fleet.workspace",),
            forbids=(EVERYTHING,),
            allows=(
                "quart_fleet.conventions",
                "quart_fleet.errors",
                "quart_fleet.files",
                "quart_fleet.settings",
                "quart_fleet.unfinished",
                "sqlalchemy",
            ),
        ),
        Rule(
            says="quart_fleet/__init__.py imports only the standard library: every module runs it",
            binds=("quart_fleet.__init__",),
            forbids=(EVERYTHING,),
        ),
        Rule(
            says="quart_fleet.dto imports only pydantic, quart_fleet.errors, patterns and times",
            binds=("quart_fleet.dto",),
            forbids=(EVERYTHING,),
            allows=(
                *_PYDANTIC,
                "quart_fleet.dto",
                "quart_fleet.errors",
                "quart_fleet.patterns",
                "quart_fleet.times",
            ),
        ),
        Rule(
            says="quart_fleet.patterns imports only pydantic",
            binds=("quart_fleet.patterns",),
            forbids=(EVERYTHING,),
            allows=_PYDANTIC,
        ),
        Rule(
            says="quart_fleet.observation imports, but for types, only the standard library and "
            "quart_fleet.bounds",
            binds=("quart_fleet.observation",),
            forbids=(EVERYTHING,),
            allows=("quart_fleet.bounds", "quart_fleet.observation", "hypercorn"),
        ),
        Rule(
            says="quart_fleet.listing imports only pydantic, quart_fleet.dto, paging and times",
            binds=("quart_fleet.listing",),
            forbids=(EVERYTHING,),
            allows=(
                *_PYDANTIC,
                *(
                    "quart_fleet.dto",
                    "quart_fleet.listing",
                    "quart_fleet.paging",
                    "quart_fleet.times",
                ),
            ),
        ),
        Rule(
            says="quart_fleet.references imports only the standard library and quart_fleet.errors",
            binds=("quart_fleet.references",),
            forbids=(EVERYTHING,),
            allows=("quart_fleet.errors", "quart_fleet.references"),
        ),
        Rule(
            says="quart_fleet.models imports only sqlalchemy and quart_fleet.conventions",
            binds=("quart_fleet.models",),
            forbids=(EVERYTHING,),
            allows=("sqlalchemy", "quart_fleet.conventions", "quart_fleet.models"),
        ),
        Rule(
            says="quart_fleet.postgres knows nothing of the rest",
            binds=("quart_fleet.postgres",),
            forbids=(EVERYTHING,),
            allows=("quart_fleet.postgres",),
        ),
        Rule(
            says="quart_fleet.database knows neither quart nor what is built on it",
            binds=("quart_fleet.database", "quart_fleet.settings"),
            forbids=("quart", "quart_fleet.asgi", "quart_fleet.web", "quart_fleet.server"),
        ),
        Rule(
            says="quart_fleet.asgi knows neither quart_fleet.web nor quart_fleet.server",
            binds=("quart_fleet.asgi",),
            forbids=("quart_fleet.web", "quart_fleet.server"),
        ),
        Rule(
            says="quart_fleet.clients imports of quart_fleet only bounds, conventions, errors, files, "
            "listing, observation, paging, settings, times and workspace",
            binds=("quart_fleet.clients",),
            forbids=("quart_fleet",),
            allows=(
                "quart_fleet.bounds",
                "quart_fleet.clients",
                "quart_fleet.conventions",
                "quart_fleet.errors",
                "quart_fleet.files",
                "quart_fleet.listing",
                "quart_fleet.observation",
                "quart_fleet.paging",
                "quart_fleet.settings",
                "quart_fleet.times",
                "quart_fleet.workspace",
            ),
        ),
        Rule(
            says="only services import quart_fleet.clients: those that call another one",
            binds=("quart_fleet",),
            spares=("quart_fleet.clients",),
            forbids=("quart_fleet.clients",),
        ),
        Rule(
            says="of quart_fleet only server imports telemetry: the others are observed",
            binds=("quart_fleet",),
            spares=("quart_fleet.server", "quart_fleet.telemetry"),
            forbids=("quart_fleet.telemetry",),
        ),
        Rule(
            says="quart_fleet.web does not know quart_fleet.server",
            binds=("quart_fleet.web",),
            forbids=("quart_fleet.server",),
        ),
        Rule(
            says="quart_fleet imports neither shared nor db_manager nor scaffold nor a service",
            binds=("quart_fleet",),
            forbids=("shared", "db_manager", "scaffold", *services),
        ),
        Rule(
            says="shared/__init__.py imports only the standard library: every module runs it",
            binds=("shared.__init__",),
            forbids=(EVERYTHING,),
        ),
        Rule(
            says="shared.models imports only sqlalchemy, quart_fleet.models and itself",
            binds=("shared.models",),
            forbids=(EVERYTHING,),
            allows=("sqlalchemy", "quart_fleet.models", "shared.models"),
        ),
        Rule(
            says="shared.config imports only quart_fleet.settings and pydantic",
            binds=("shared.config",),
            forbids=(EVERYTHING,),
            allows=("quart_fleet.settings", *_PYDANTIC, "pydantic_settings"),
        ),
        Rule(
            says="shared imports neither db_manager nor scaffold nor a service",
            binds=("shared",),
            forbids=("db_manager", "scaffold", *services),
        ),
        Rule(
            says="db_manager imports neither shared nor scaffold nor a service",
            binds=("db_manager",),
            forbids=("shared", "scaffold", *services),
        ),
        Rule(
            says="scaffold imports of quart_fleet only conventions, errors, files, logs, output, patterns, "
            "revisions, times, unfinished and workspace",
            binds=("scaffold",),
            forbids=("quart_fleet",),
            allows=(
                "quart_fleet.errors",
                "quart_fleet.logs",
                "quart_fleet.patterns",
                "quart_fleet.workspace",
                *_PLAIN,
            ),
        ),
        Rule(
            says="scaffold imports neither shared nor db_manager nor a service: it runs their "
            "commands",
            binds=("scaffold",),
            forbids=("shared", "db_manager", *services),
        ),
        *(
            Rule(
                says=f"scaffold.{room} knows nothing of what is built on it",
                binds=(f"scaffold.{room}",),
                forbids=tuple(f"scaffold.{each}" for each in _ROOMS[:number]),
            )
            for number, room in enumerate(_ROOMS)
            if number
        ),
        Rule(
            says="a service is imported by its own name, without `services.`",
            binds=(*FRAMEWORK, *services),
            forbids=("services",),
        ),
    ]
