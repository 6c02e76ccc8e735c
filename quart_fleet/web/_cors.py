"""Cross-origin headers as the contract has them, on every response, errors included.

quart-cors answers `*` to every origin; the contract echoes the origin, as Flask-CORS does.
"""

from typing import TYPE_CHECKING

from quart import Request, request

if TYPE_CHECKING:
    from quart.typing import ResponseTypes

ALLOWED_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_ALLOW_METHODS = ", ".join(sorted(ALLOWED_METHODS))


async def allow_origin(response: "ResponseTypes") -> "ResponseTypes":
    """Put the headers on the response, whatever the origin is."""
    origin = _origin_of(request)
    response.headers["Access-Control-Allow-Origin"] = origin or "*"
    if origin:
        response.vary.add("Origin")
    if request.method == "OPTIONS":
        _allow_preflight(request, response)
    return response


def _origin_of(request: Request) -> str | None:
    """Look among the few headers that were sent; most requests have none, which costs least so."""
    sent = request.scope["headers"]
    return next((value.decode("latin1") for name, value in sent if name == b"origin"), None)


def _allow_preflight(request: Request, response: "ResponseTypes") -> None:
    asked = request.headers.get("Access-Control-Request-Method", "").upper()
    if asked not in ALLOWED_METHODS:
        return
    response.headers["Access-Control-Allow-Methods"] = _ALLOW_METHODS
    wanted = request.headers.get("Access-Control-Request-Headers")
    if wanted:
        names = sorted(name.strip() for name in wanted.split(","))
        response.headers["Access-Control-Allow-Headers"] = ", ".join(names)
