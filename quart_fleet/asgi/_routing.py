"""How the contract reads a path: what an id is, and what cannot be text."""

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urlsplit

from quart.routing import QuartMap
from quart.wrappers.base import BaseRequestWebsocket
from werkzeug.routing import IntegerConverter, MapAdapter, RequestRedirect, Rule

if TYPE_CHECKING:
    from hypercorn.typing import HTTPScope

_TOO_MANY_DIGITS = 20
"""No bigint has as many; Python refuses to read more than 4300."""
_QUESTION = {"return_rule": True}
"""What Quart asks of an adapter."""
_NOWHERE = " "
"""A path that no route has, for what is outside of the application's root, or no URL."""


class IdConverter(IntegerConverter):
    """ASCII digits, leading zeros allowed, however many: an id past bigint is nobody's."""

    regex = "[0-9]+"

    def to_python(self, value: str) -> int:
        """Read the digits; all numbers that are too long stand for the same unused id."""
        digits = value.lstrip("0")
        return int((digits or "0")[:_TOO_MANY_DIGITS])


class _QuickAdapter(MapAdapter):
    """Finds a route without variables, having found it once, by its path and method alone."""

    map: "AnyHostMap"
    request: BaseRequestWebsocket

    def match(self, *args: Any, **options: Any) -> Any:
        """Return what werkzeug finds; other questions than Quart's are left to it."""
        if args or options != _QUESTION:
            return super().match(*args, **options)
        key = self.path_info, self.default_method, self.websocket
        if key in self.map.fixed:
            return self.map.fixed[key], {}
        try:
            rule, values = super().match(return_rule=True)
        except RequestRedirect:  # shows the host, which is therefore looked at
            return QuartMap.bind_to_request(self.map, self.request, None, None).match(**options)
        if not rule.arguments:
            self.map.fixed[key] = rule
        return rule, values


class AnyHostMap(QuartMap):
    """Routes that are the same on every host, which therefore is not taken apart.

    With SERVER_NAME set, or host matching, it is.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fixed: dict[tuple[str, str, bool], Rule] = {}

    def bind_to_request(
        self, request: BaseRequestWebsocket, subdomain: str | None, server_name: str | None
    ) -> MapAdapter:
        """Return what matches this request; its Host is seen in redirects alone."""
        if server_name is not None or self.host_matching:
            return super().bind_to_request(request, subdomain, server_name)
        adapter = _QuickAdapter(
            self,
            request.headers.get("Host", ""),
            request.root_path,
            "",
            request.scheme,
            request.path,
            request.method,
            request.query_string.decode("latin1"),
        )
        adapter.request = request
        return adapter


def path_of(scope: "HTTPScope") -> str:
    """Return the path below the application's root, of a whole URL too (RFC 9112, section 3.2.2).

    Servers decode bytes that are no UTF-8 to U+FFFD, which a username may hold, so that they
    would match real text. A NUL stands for them instead: no stored text has one.
    """
    path = scope["path"]
    if "\ufffd" in path:
        path = _decode(scope["raw_path"])
    if not path.startswith("/"):
        path = _path_of_url(path)
    root = scope.get("root_path", "")
    if not root:
        return path
    return path.removeprefix(root) if path.startswith(f"{root}/") else _NOWHERE


def _path_of_url(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:  # of an address in brackets that is none
        return _NOWHERE


def _decode(raw_path: bytes) -> str:
    path = unquote_to_bytes(raw_path.partition(b"?")[0])
    try:
        return path.decode()
    except UnicodeDecodeError:
        return path.decode(errors="replace").replace("\ufffd", "\x00")
