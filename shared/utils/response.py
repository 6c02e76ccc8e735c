"""The envelope of this workspace's answers."""

from quart_fleet.web import Envelope


class APIResponse(Envelope):
    """What controllers answer with; errors are answered with it too."""
