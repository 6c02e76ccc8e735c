"""The blueprint of controllers: their typed parameters, and what else they declare of a route."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from quart import Blueprint as QuartBlueprint
from quart import Quart
from quart.blueprints import BlueprintSetupState

from quart_fleet.errors import ServiceError
from quart_fleet.web._parsing import Handler, ensure_filled, parsing

_EXTENSION = "quart_fleet.web.declared"
VARIABLE = re.compile(r"<(?:(?P<kind>[a-zA-Z_]\w*)(?:\((?P<values>[^>]*)\))?:)?(?P<name>\w+)>")
"""One of a path: `<id:record_id>`."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What one method of a route declares beside the types of its controller."""

    raises: tuple[type[ServiceError], ...] = ()
    media_type: str | None = None
    has_etag: bool = False
    """Whether it answers 304 to requests that know its ETag."""


def declared_of(app: Quart) -> dict[tuple[str, str, str], Declared]:
    """Return what routes declare, by endpoint, path and method."""
    found: dict[tuple[str, str, str], Declared] = app.extensions.setdefault(_EXTENSION, {})
    return found


class Blueprint(QuartBlueprint):
    """Quart's blueprint, whose controllers declare what they take and what they answer:

        @bp.post("/products", raises=[AlreadyExistsError])
        async def create(dto: CreateProductDTO) -> Answer[ProductResponseDTO]:

    A parameter that is a DTO is parsed from the request, as `parsing` has it. The types are what
    the OpenAPI document says; a function without them is served as it is by Quart.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._served: list[tuple[Handler, Handler]] = []
        """The functions that were given, each with the one that is served."""

    def add_url_rule(  # noqa: PLR0913 - Quart's own, and two more
        self,
        rule: str,
        endpoint: str | None = None,
        view_func: Any = None,
        provide_automatic_options: bool | None = None,
        *,
        raises: Sequence[type[ServiceError]] = (),
        media_type: str | None = None,
        **options: Any,
    ) -> None:
        """Register a controller.

        Args:
            rule: the path, below the blueprint's.
            endpoint: the route's name, by default the function's.
            view_func: the controller.
            provide_automatic_options: as Quart has it.
            raises: the errors that the controller may raise beside those of its parameters.
            media_type: of an answer that is no envelope, as `text/csv`.
            options: those of werkzeug's Rule.
        """
        if view_func is None:
            super().add_url_rule(rule, endpoint, None, provide_automatic_options, **options)
            return
        # One for all of its routes, since Quart refuses an endpoint of two functions.
        served = next((own for given, own in self._served if given == view_func), None)
        if served is None:
            served = parsing(view_func)
            self._served.append((view_func, served))
        super().add_url_rule(rule, endpoint, served, provide_automatic_options, **options)
        declared = Declared(tuple(raises), media_type)

        def note(state: BlueprintSetupState) -> None:
            path = rule
            if state.url_prefix is not None:  # as Quart joins them
                path = (
                    f"{state.url_prefix.rstrip('/')}/{rule.lstrip('/')}"
                    if rule
                    else state.url_prefix
                )
            variables = [each["name"] for each in VARIABLE.finditer(path)]
            ensure_filled(
                view_func, path, {*variables, *state.url_defaults, *(options.get("defaults") or ())}
            )
            name = f"{state.name_prefix}.{state.name}.{endpoint or view_func.__name__}".lstrip(".")
            noted = declared_of(cast("Quart", state.app))
            for method in options.get("methods") or getattr(view_func, "methods", None) or ("GET",):
                noted[name, path, method.upper()] = declared

        self.record(note)
