"""The envelope of this workspace's answers."""

from quart_fleet.web import Envelope


class APIResponse(Envelope):
    """What controllers answer with; `build_app` answers errors, health and streams with it too.

    Override `respond` to add a key to every answer of the fleet, or to rename one; `open` then
    undoes it, for services that call each other.
    """
