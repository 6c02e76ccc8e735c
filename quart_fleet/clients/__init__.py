"""Calls of other services: one pool of connections, with a bound on all that may go wrong."""

from quart_fleet.clients._breaker import CircuitBreaker
from quart_fleet.clients._operation import Operation, Outcome, Record
from quart_fleet.clients._service_client import Clients, Instance, ServiceClient

__all__ = [
    "CircuitBreaker",
    "Clients",
    "Instance",
    "Operation",
    "Outcome",
    "Record",
    "ServiceClient",
]
