"""The OpenAPI document of a service, made from what its controllers declare; imported when it is asked for."""

from quart_fleet.openapi._document import describe, write

__all__ = ["describe", "write"]
