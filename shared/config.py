"""The settings of this workspace's services: a setting that all of them have goes here."""

from quart_fleet.settings import DatabaseSettings, ServiceSettings


class DatabaseConfig(DatabaseSettings):
    """Where the database is and how it is used; the database manager reads this class too."""


class BaseServiceConfig(ServiceSettings, DatabaseConfig):
    """The settings of every service; those of one service alone are in its settings.py."""
