"""How the contract reads a path: what an id is, and what cannot be text."""

from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes, urlsplit

from quart.routing import QuartMap
from quart.wrappers.base import BaseRequestWebsocket
from werkzeug.routing import BaseConverter, MapAdapter

if TYPE_CHECKING:
    from hypercorn.typing import HTTPScope

_TOO_MANY_DIGITS = 20
"""No bigint has as many; Python refuses to read more than 4300."""
_NOWHERE = "/ "
"""A path that no route has, for what is outside of the application's root, or no URL."""


class IdConverter(BaseConverter):
    """The id of a row, as in `/users/<id:record_id>`: ASCII digits, leading zeros allowed.

    There may be any number of digits. An id that is too long for a bigint is read as another
    number that is: no row has either.
    """

    regex = "[0-9]+"
    weight = 50

    def to_python(self, value: str) -> int:
        """Read the digits, of no more than a bigint's many."""
        return int(value.lstrip("0")[:_TOO_MANY_DIGITS] or "0")


class AnyHostMap(QuartMap):
    """Routes that are the same on every host, which therefore is not taken apart.

    With SERVER_NAME set, or host matching, it is.
    """

    def bind_to_request(
        self, request: BaseRequestWebsocket, subdomain: str | None, server_name: str | None
    ) -> MapAdapter:
        """Return what matches this request."""
        if server_name is not None or self.host_matching:
            return super().bind_to_request(request, subdomain, server_name)
        return _AnyHostAdapter(self, request)


class _AnyHostAdapter(MapAdapter):
    """Reads the Host header when an address is made, for a redirect or by `url_for`."""

    def __init__(self, routes: AnyHostMap, request: BaseRequestWebsocket) -> None:
        super().__init__(
            routes,
            "",
            request.root_path,
            "",
            request.scheme,
            request.path,
            request.method,
            request.query_string.decode("latin1"),
        )
        self._routes = routes
        self._request = request

    def get_host(self, domain_part: str | None) -> str:
        """Return the host as Quart's own map reads it."""
        whole = QuartMap.bind_to_request(self._routes, self._request, None, None)
        self.server_name = whole.server_name
        return super().get_host(domain_part)


def normalise(scope: "HTTPScope") -> "HTTPScope":
    """Return the scope with a path that begins with a slash and lies below the application's root.

    A whole URL stands for its path (RFC 9112, section 3.2.2). Servers decode bytes that are not
    UTF-8 to U+FFFD, which a username may hold, so that they would match real text. A NUL stands
    for them instead: no stored text has one.
    """
    path, root = scope["path"], scope.get("root_path", "")
    if path.startswith("/") and not root and "\ufffd" not in path:
        return scope
    if "\ufffd" in path:
        path = _decode(scope["raw_path"])
    if not path.startswith("/"):
        path = _path_of_url(path)
    if root and not path.startswith(f"{root}/"):
        path = _NOWHERE
    return {**scope, "path": path}


def _path_of_url(url: str) -> str:
    try:
        path = urlsplit(url).path or "/"
    except ValueError:  # of an address in brackets that is none
        return _NOWHERE
    return path if path.startswith("/") else _NOWHERE


def _decode(raw_path: bytes) -> str:
    path = unquote_to_bytes(raw_path.partition(b"?")[0])
    try:
        return path.decode()
    except UnicodeDecodeError:
        return path.decode(errors="replace").replace("\ufffd", "\x00")
