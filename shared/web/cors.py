"""Cross-origin headers as the contract has them, on every response, errors included.

quart-cors answers `*` to every origin; the contract echoes the origin, as Flask-CORS does.
"""

from quart import Quart, Response, request

ALLOWED_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_ALLOW_METHODS = ", ".join(sorted(ALLOWED_METHODS))


def allow_every_origin(app: Quart) -> None:
    """Put the headers on every response of `app`."""
    app.after_request(_add_headers)


async def _add_headers(response: Response) -> Response:
    origin = request.headers.get("Origin")
    response.headers["Access-Control-Allow-Origin"] = origin or "*"
    if origin:
        response.vary.add("Origin")
    if request.method == "OPTIONS":
        _add_preflight_headers(response)
    return response


def _add_preflight_headers(response: Response) -> None:
    asked = request.headers.get("Access-Control-Request-Method", "").upper()
    if asked not in ALLOWED_METHODS:
        return
    response.headers["Access-Control-Allow-Methods"] = _ALLOW_METHODS
    wanted = request.headers.get("Access-Control-Request-Headers")
    if wanted:
        names = sorted(name.strip() for name in wanted.split(","))
        response.headers["Access-Control-Allow-Headers"] = ", ".join(names)
