"""How the process of a service runs: how it starts, serves, drains and ends."""

from quart_fleet.server._start import complete, serve, start

__all__ = ["complete", "serve", "start"]
