"""What makes Quart lean: the application class, its HTTP classes and its routing.

Authors of services need nothing of it.
"""

from quart_fleet.asgi._application import (
    IdConverter,
    LeanApplication,
    ServiceApplication,
    application_class,
)

__all__ = ["IdConverter", "LeanApplication", "ServiceApplication", "application_class"]
