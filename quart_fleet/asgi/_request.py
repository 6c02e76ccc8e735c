"""The request as Quart has it, made from what the server knows about it."""

from typing import TYPE_CHECKING, Any, Self

import quart
from quart import Quart
from werkzeug.datastructures import Headers
from werkzeug.sansio.utils import get_content_length

from quart_fleet.asgi._body import RequestBody
from quart_fleet.asgi._routing import path_of

if TYPE_CHECKING:
    from hypercorn.typing import ASGIReceiveCallable, HTTPScope

_FRAMING = (b"content-length", b"transfer-encoding")
_USUALLY_WITHOUT = {"GET", "HEAD", "DELETE", "OPTIONS"}

_BLUEPRINTS: dict[str | None, list[str]] = {}
"""By endpoint, of which there are as many as routes: Quart asks three times for each request."""


class Request(quart.Request):
    """Quart's, with a body that is asked for when somebody wants it."""

    body_class = RequestBody  # type: ignore[assignment]  # has all that Quart asks of one
    body: RequestBody  # type: ignore[assignment]

    def __init__(self, *args: Any, **options: Any) -> None:
        scope: HTTPScope = options["scope"]
        self._framing = {name: value for name, value in scope["headers"] if name in _FRAMING}
        self.has_body = bool(self._framing) or _need_not_announce(scope)
        super().__init__(*args, **options)

    @classmethod
    def received(cls, app: Quart, scope: "HTTPScope", receive: "ASGIReceiveCallable") -> Self:
        """Make the request of a scope; nothing of the body is read."""
        config = app.config
        headers = _headers_of(scope)
        if config["SERVER_NAME"] and scope["http_version"] < "1.1":
            headers.setdefault("Host", config["SERVER_NAME"])
        request = cls(
            scope["method"],
            scope["scheme"],
            path_of(scope),
            scope["query_string"],
            headers,
            scope.get("root_path", ""),
            scope["http_version"],
            scope=scope,
            max_content_length=config["MAX_CONTENT_LENGTH"],
            body_timeout=config["BODY_TIMEOUT"],
            send_push_promise=_push_nothing,
        )
        if request.has_body:
            request.body.read_from(receive, config["BODY_TIMEOUT"])
        return request

    @property
    def content_length(self) -> int | None:
        """The bytes that the body has, where they are announced."""
        if not self.has_body:
            return None
        length, coding = (_text(self._framing.get(name)) for name in _FRAMING)
        return get_content_length(length, coding)

    @property
    def blueprints(self) -> list[str]:
        """The names of the blueprints that the endpoint says, the innermost first."""
        endpoint = self.endpoint
        if endpoint not in _BLUEPRINTS:
            _BLUEPRINTS[endpoint] = super().blueprints
        return _BLUEPRINTS[endpoint]

    @property
    def is_json(self) -> bool:
        """Whether the body is said to be JSON; the plainest way to say so needs no parsing."""
        return self.headers.get("Content-Type") == "application/json" or super().is_json


def _need_not_announce(scope: "HTTPScope") -> bool:
    """Say whether a body may come unannounced, so that it has to be asked for.

    One of HTTP/1.1 may not (RFC 9112, section 6.3). One of HTTP/2 may, and that of a test client,
    which has no address; where bodies are usual, servers are asked too.
    """
    return (
        scope["method"] not in _USUALLY_WITHOUT
        or not scope.get("client")
        or scope["http_version"] >= "2"
    )


def _headers_of(scope: "HTTPScope") -> Headers:
    """Return what was sent, after the client's address, which no header of its own comes before."""
    client = scope.get("client")
    headers = Headers()
    headers.add("Remote-Addr", client[0] if client else "<local>")
    for name, value in scope["headers"]:
        headers.add(name.decode("latin1").title(), value.decode("latin1"))
    return headers


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin1")


async def _push_nothing(path: str, headers: Headers) -> None:
    """Leave out HTTP/2's server push, which clients have given up."""
