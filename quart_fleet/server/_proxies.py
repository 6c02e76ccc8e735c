"""Which proxies are believed, under whatever server: those of TRUSTED_PROXIES."""

from typing import TYPE_CHECKING

from quart import Quart
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, Scope

_OF_HTTP = {"ws": "http", "wss": "https"}
_IPV4_IN_IPV6 = "::ffff:"
"""What addresses of IPv4 begin with on a socket of both families (RFC 4291, section 2.5.5.2)."""


def believe_proxies(app: Quart) -> None:
    """Take scheme and client from X-Forwarded-Proto and X-Forwarded-For, where they are believed.

    In the application and not in its server, since each server has its own way, or none.
    """
    inner: ASGI3Application = app.asgi_app  # type: ignore[assignment]  # hypercorn's types there

    def answer(
        scope: "Scope", receive: "ASGIReceiveCallable", send: "ASGISendCallable"
    ) -> "Awaitable[None]":
        # Some proxies name a WebSocket's scheme, for requests that then are none too.
        if scope["type"] == "http" and scope["scheme"] in _OF_HTTP:
            scope["scheme"] = _OF_HTTP[scope["scheme"]]
        return inner(scope, receive, send)

    outer: ASGI3Application = ProxyHeadersMiddleware(answer, app.config["TRUSTED_PROXIES"])
    if app.config["HOST"] == "::":
        outer = _PlainAddresses(outer)
    app.asgi_app = outer  # type: ignore[method-assign, assignment]  # as Quart documents it


class _PlainAddresses:
    """Tells an IPv4 client by its own address, so that the setting and logs can name it."""

    def __init__(self, app: "ASGI3Application") -> None:
        self._app = app

    async def __call__(
        self, scope: "Scope", receive: "ASGIReceiveCallable", send: "ASGISendCallable"
    ) -> None:
        if scope["type"] != "lifespan" and (client := scope.get("client")):
            scope["client"] = (client[0].removeprefix(_IPV4_IN_IPV6), client[1])
        await self._app(scope, receive, send)
