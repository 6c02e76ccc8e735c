"""Cross-origin headers as the contract has them, on every response, errors included.

quart-cors answers `*` to every origin; the contract echoes the origin, as Flask-CORS does.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from quart import Request, request

if TYPE_CHECKING:
    from quart.typing import ResponseTypes
    from werkzeug.datastructures import Headers

ALLOWED_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_ALLOW_METHODS = ", ".join(sorted(ALLOWED_METHODS))


AfterRequest = Callable[["ResponseTypes"], Awaitable["ResponseTypes"]]


def make_cors(origins: frozenset[str] | None) -> AfterRequest:
    """Return what adds the headers that let scripts of other origins read the answers.

    It adds what is not set yet, and is to be registered before all other `after_request`
    functions: Quart runs the first one last, so that what the application or an extension says of
    cross-origin requests is there already, and stays.

    Args:
        origins: those that are allowed; None allows every one.
    """

    async def allow_origin(response: "ResponseTypes") -> "ResponseTypes":
        headers = response.headers
        if headers.getlist("Access-Control-Allow-Origin"):  # `in` raises inside where it is absent
            return response
        origin = _find_origin(request)
        if origin or origins is not None:
            response.vary.add("Origin")
        if origins is not None and origin not in origins:
            return response
        headers.add("Access-Control-Allow-Origin", origin or "*")
        if request.method == "OPTIONS":
            _allow_preflight(request, headers)
        return response

    return allow_origin


def _find_origin(request: Request) -> str | None:
    """Look among the headers as they were sent, which costs less than to parse them."""
    sent = request.scope["headers"]
    return next((value.decode("latin1") for name, value in sent if name == b"origin"), None)


def _allow_preflight(request: Request, headers: "Headers") -> None:
    asked = request.headers.get("Access-Control-Request-Method", "").upper()
    if asked not in ALLOWED_METHODS:
        return
    headers.setdefault("Access-Control-Allow-Methods", _ALLOW_METHODS)
    wanted = request.headers.get("Access-Control-Request-Headers")
    if wanted:
        names = sorted(name.strip() for name in wanted.split(","))
        headers.setdefault("Access-Control-Allow-Headers", ", ".join(names))
