"""The blueprint of controllers: their typed parameters, and what else they declare of a route."""

from collections.abc import Sequence
from typing import Any

from quart import Blueprint as QuartBlueprint

from quart_fleet.errors import ServiceError
from quart_fleet.web._parsing import parsing


class Blueprint(QuartBlueprint):
    """Quart's blueprint, whose controllers declare what they take and what they answer:

        @bp.post("/products", raises=[AlreadyExistsError])
        async def create(dto: CreateProductDTO) -> Answer[ProductResponseDTO]:

    A parameter that is a DTO is parsed from the request, as `parsing` has it. The types are what
    the OpenAPI document says; a function without them is served as it is by Quart.
    """

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
        if view_func is not None:
            view_func = parsing(view_func)
            declared = {"raises": tuple(raises), "media_type": media_type}
            vars(view_func).update({name: each for name, each in declared.items() if each})
        super().add_url_rule(rule, endpoint, view_func, provide_automatic_options, **options)
