"""Services keep no session between requests, so none is opened."""

from quart import Quart
from quart.sessions import NullSession, SecureCookieSessionInterface
from quart.wrappers.base import BaseRequestWebsocket

_NONE = NullSession()


class NoSessions(SecureCookieSessionInterface):
    """Spares every request the signer by which Quart's cookie sessions begin.

    A service that wants sessions sets `app.session_interface` in its bootstrap.
    """

    async def open_session(self, _app: Quart, _request: BaseRequestWebsocket) -> NullSession:
        """Open the one that is empty, and refuses to be written."""
        return _NONE
