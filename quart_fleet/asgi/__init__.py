"""What makes Quart lean: the application class, its HTTP classes and its routing.

Authors of services need nothing of it.
"""

from quart_fleet.asgi._application import IdConverter, LeanService, Service, service_class

__all__ = ["IdConverter", "LeanService", "Service", "service_class"]
