"""Services keep no session between requests, so none is opened."""

from quart import Quart
from quart.sessions import SecureCookieSessionInterface


class NoSessions(SecureCookieSessionInterface):
    """Spares every request the signer by which Quart's cookie sessions begin.

    A service that wants sessions sets `app.session_interface` in its bootstrap.
    """

    def get_signing_serializer(self, app: Quart) -> None:
        """Have none, which Quart takes for "there are no sessions"."""
