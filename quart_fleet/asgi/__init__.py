"""What makes Quart lean: the application class, its HTTP classes, its routing and its JSON.

Authors of services need nothing of it.
"""

from quart_fleet.asgi._application import IdConverter, LeanService, Service, service_class
from quart_fleet.asgi._json import ContractJSONProvider

__all__ = ["ContractJSONProvider", "IdConverter", "LeanService", "Service", "service_class"]
