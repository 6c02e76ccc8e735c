"""Quart as services use it: its own classes replaced where a request pays for what no one needs."""

from collections.abc import Awaitable, Callable
from inspect import CO_COROUTINE
from typing import TYPE_CHECKING, Any

from quart import Quart
from quart.sessions import SecureCookieSessionInterface

from quart_fleet.asgi._connection import HTTPConnection
from quart_fleet.asgi._request import Request
from quart_fleet.asgi._routing import AnyHostMap
from quart_fleet.asgi._sessions import NoSessions
from quart_fleet.errors import ServiceError

if TYPE_CHECKING:
    import quart
    from quart.typing import ResponseTypes


class Service(Quart):
    """A Quart application in the contract's manner, by the extension points that Quart has."""

    asgi_http_class = HTTPConnection
    request_class = Request
    session_interface: SecureCookieSessionInterface = NoSessions()
    url_map_class = AnyHostMap
    draining = False
    refusal: str | None = None
    """Why it could not start, where that was said in words of ours."""

    async def startup(self) -> None:
        """Start, or keep the reason for whoever runs the server, which exits without it."""
        try:
            await super().startup()
        except ServiceError as error:
            self.refusal = error.message
            raise

    def drain(self) -> None:
        """Make every answer from now on its connection's last."""
        self.draining = True

    async def handle_request(self, request: "quart.Request") -> "ResponseTypes":
        """Answer; while draining, so that the connection ends behind it (HTTP/2 has no such header)."""
        response = await super().handle_request(request)
        if self.draining and request.http_version.startswith("1."):
            response.headers["Connection"] = "close"
        return response

    def ensure_async(self, func: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
        """Return a coroutine function as it is, which its code tells soonest."""
        code = getattr(func, "__code__", None)
        if code is not None and code.co_flags & CO_COROUTINE:
            return func
        return super().ensure_async(func)
