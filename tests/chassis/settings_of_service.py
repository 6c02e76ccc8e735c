"""The settings of a service, in a module as a service has one."""

from quart_fleet.settings import ServiceSettings


class Settings(ServiceSettings):
    """Nothing besides."""
