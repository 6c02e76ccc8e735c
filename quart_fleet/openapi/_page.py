"""The page that shows the document and tries its routes: Swagger UI, from the installed package alone."""

from hashlib import sha256
from html import escape
from importlib.resources import files

from quart import Response, abort, current_app, request

from quart_fleet.conventions import PAGES
from quart_fleet.web import Blueprint

[_FOLDER] = (files("swagger_ui_bundle") / "vendor").iterdir()  # named after its version
_START = """\
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#page",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  tryItOutEnabled: true,
  validatorUrl: null,
});
"""
_STYLE = """\
body { margin: 0; }
.swagger-ui { overflow-wrap: anywhere; }
.swagger-ui pre, .swagger-ui pre * {
  overflow-wrap: anywhere !important;
  white-space: pre-wrap !important;
}
@media (max-width: 640px) {
  .swagger-ui .wrapper { padding: 0 8px; }
  .swagger-ui .opblock .opblock-summary { flex-wrap: wrap; }
  .swagger-ui .opblock .opblock-summary-description { flex-basis: 100%; }
  .swagger-ui table, .swagger-ui tbody, .swagger-ui tr, .swagger-ui td { display: block; }
  .swagger-ui table thead { display: none; }
  .swagger-ui input, .swagger-ui select, .swagger-ui textarea { max-width: 100%; font-size: 16px; }
}
"""
_FILES = {
    "swagger-ui.css": ((_FOLDER / "swagger-ui.css").read_bytes(), "text/css"),
    "swagger-ui-bundle.js": ((_FOLDER / "swagger-ui-bundle.js").read_bytes(), "text/javascript"),
    "favicon-32x32.png": ((_FOLDER / "favicon-32x32.png").read_bytes(), "image/png"),
    "page.js": (_START.encode(), "text/javascript"),
    "page.css": (_STYLE.encode(), "text/css"),
}
"""Bodies and media types, read once, where a service shows the page."""
_TAGS = {name: sha256(body).hexdigest() for name, (body, _) in _FILES.items()}
_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name}</title>
<link rel="icon" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="stylesheet" href="docs/page.css">
<script defer src="docs/swagger-ui-bundle.js"></script>
<script defer src="docs/page.js"></script>
</head>
<body><div id="page"></div></body>
</html>
"""
_HEADERS = {
    "Cache-Control": "no-cache",  # kept, and asked for by its ETag
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def make_docs_blueprint() -> Blueprint:
    """Make the routes of the page, which asks no other host for anything."""
    bp = Blueprint(PAGES, __name__)

    @bp.get("/docs")
    async def page() -> Response:
        return _respond(_PAGE.format(name=escape(current_app.config["SERVICE_NAME"])), "text/html")

    @bp.get("/docs/<name>")
    async def file(name: str) -> Response:
        if name not in _FILES:
            abort(404)
        response = _respond(*_FILES[name])
        response.set_etag(_TAGS[name])
        return await response.make_conditional(request)

    return bp


def _respond(body: str | bytes, media_type: str) -> Response:
    charset = "" if media_type.startswith("image/") else "; charset=utf-8"
    return Response(body, headers=_HEADERS, content_type=f"{media_type}{charset}")
