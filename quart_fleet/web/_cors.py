"""Cross-origin headers as the contract has them, on every response, errors included.

quart-cors answers `*` to every origin; the contract echoes the origin, as Flask-CORS does.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from quart import Request
from quart.globals import request_ctx

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
        asked = request_ctx.request  # once: each look through Quart's `request` costs anew
        origin = _find_origin(asked)
        if origin or origins is not None:
            _vary_by_origin(response)
        if origins is not None and origin not in origins:
            return response
        headers.add("Access-Control-Allow-Origin", origin or "*")
        if asked.method == "OPTIONS":
            _allow_preflight(asked, headers)
        return response

    return allow_origin


def _vary_by_origin(response: "ResponseTypes") -> None:
    """Tell caches, without parsing the header where there is none."""
    if response.headers.getlist("Vary"):
        response.vary.add("Origin")
    else:
        response.headers.add("Vary", "Origin")


def _find_origin(request: Request) -> str | None:
    """Look among the headers as they were sent, which costs less than to parse them."""
    for name, value in request.scope["headers"]:
        if name == b"origin":
            return value.decode("latin1")
    return None


def _allow_preflight(request: Request, headers: "Headers") -> None:
    asked = request.headers.get("Access-Control-Request-Method", "").upper()
    if asked not in ALLOWED_METHODS:
        return
    headers.setdefault("Access-Control-Allow-Methods", _ALLOW_METHODS)
    wanted = request.headers.get("Access-Control-Request-Headers")
    if wanted:
        names = sorted(name.strip() for name in wanted.split(","))
        headers.setdefault("Access-Control-Allow-Headers", ", ".join(names))
