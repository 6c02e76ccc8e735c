"""Cross-origin requests: every origin may read the answers, without credentials."""

import pytest

from quart_fleet.conventions import PREFIX
from scaffold.api.row import JSON
from scaffold.api.table import GRACE

from .wire import Answer, exchange, spell

ORIGINS = ("http://localhost:3000", "https://app.example.com", "null", "HTTPS://EXAMPLE.COM", "x")
METHODS = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
ROUTES = ("/health", "/", "/users", "/users/active", "/users/1", "/users/username/ada",
          "/users/1/deactivate")  # fmt: skip

# Every kind of answer: method, path, content type, body and the status that it gets.
ANSWERS = {
    "200": ("GET", "/users", {}, None),
    "201": ("POST", "/users", JSON, GRACE),
    "400": ("POST", "/users", JSON, b"{"),
    "404 of a user": ("GET", "/users/4", {}, None),
    "404 of a path": ("GET", "/nowhere", {}, None),
    "405": ("PATCH", "/users", {}, None),
    "413": ("POST", "/users", JSON, b" " * (1024 * 1024 + 1)),
    "415": ("POST", "/users", {"Content-Type": "text/plain"}, GRACE),
    "422": ("POST", "/users", JSON, b'{"username":1,"email":2}'),
}


@pytest.mark.parametrize("kind", ANSWERS)
async def test_without_an_origin_every_origin_is_allowed(kind: str, port: int) -> None:
    answer = await _ask(kind, {}, port)

    assert answer.find("Access-Control-Allow-Origin") == "*"
    assert answer.find("Access-Control-Allow-Credentials") is None


@pytest.mark.parametrize("kind", ANSWERS)
async def test_an_origin_is_echoed_on_every_answer(kind: str, port: int) -> None:
    answer = await _ask(kind, {"Origin": "https://app.example.com"}, port)

    assert str(answer.status) == kind[:3]
    assert answer.find("Access-Control-Allow-Origin") == "https://app.example.com"
    assert answer.find("Vary") == "Origin"
    assert answer.find("Access-Control-Allow-Credentials") is None


@pytest.mark.parametrize("origin", ORIGINS)
async def test_every_origin_is_echoed_as_it_is(origin: str, port: int) -> None:
    answer = await _ask("200", {"Origin": origin}, port)

    assert answer.find("Access-Control-Allow-Origin") == origin
    assert answer.find("Vary") == "Origin"
    assert answer.find("Access-Control-Allow-Credentials") is None


@pytest.mark.parametrize("method", METHODS.split(", "))
@pytest.mark.parametrize("path", ROUTES)
async def test_a_preflight_allows_methods_that_the_route_lacks_too(
    path: str, method: str, port: int
) -> None:
    answer = await _preflight(path, method, port)

    assert (answer.status, answer.body) == (200, b"")
    assert answer.find("Access-Control-Allow-Methods") == METHODS
    assert answer.find("Access-Control-Allow-Origin") == "https://app.example.com"
    assert answer.find("Access-Control-Allow-Credentials") is None
    assert answer.find("Allow") is not None


async def test_a_preflight_of_an_unknown_path_is_not_found_and_says_so(port: int) -> None:
    answer = await _preflight("/nowhere", "PUT", port)

    assert answer.status == 404
    assert answer.body == b'{"message":"Endpoint not found","success":false}\n'
    assert answer.find("Access-Control-Allow-Origin") == "https://app.example.com"
    assert answer.find("Access-Control-Allow-Methods") == METHODS


@pytest.mark.parametrize(
    "names", ["Content-Type", "X-Trace, content-type,X-Api-Key", "authorization"]
)
async def test_a_preflight_allows_the_headers_that_it_names(names: str, port: int) -> None:
    answer = await _preflight("/users", "POST", port, {"Access-Control-Request-Headers": names})

    allowed = answer.find("Access-Control-Allow-Headers") or ""
    assert _names(allowed) == _names(names)


async def test_a_preflight_without_an_origin_allows_every_origin(port: int) -> None:
    headers = {"Access-Control-Request-Method": "PUT"}

    answer = await exchange(port, spell("OPTIONS", f"{PREFIX}/users/1", headers))

    assert answer.find("Access-Control-Allow-Origin") == "*"
    assert answer.find("Access-Control-Allow-Methods") == METHODS


@pytest.mark.parametrize("kind", ANSWERS)
async def test_an_answer_without_a_link_exposes_no_header(kind: str, port: int) -> None:
    answer = await _ask(kind, {"Origin": "https://app.example.com"}, port)

    assert answer.find("Link") is None
    assert answer.find("Access-Control-Expose-Headers") is None


async def test_scripts_may_read_where_the_next_page_is(port: int) -> None:
    first = await exchange(port, spell("GET", f"{PREFIX}/users/page?x=%C3%A9&limit=2"))
    last = await exchange(port, spell("GET", f"{PREFIX}/users/page?limit=3"))

    assert first.find("Link") == f'<{PREFIX}/users/page?x=%C3%A9&limit=2&after=2>; rel="next"'
    assert first.find("Access-Control-Expose-Headers") == "Link"
    assert last.find("Access-Control-Expose-Headers") is None


async def _ask(kind: str, extra: dict[str, str], port: int) -> Answer:
    method, path, headers, body = ANSWERS[kind]
    return await exchange(port, spell(method, PREFIX + path, headers | extra, body))


async def _preflight(
    path: str, method: str, port: int, extra: dict[str, str] | None = None
) -> Answer:
    headers = {"Origin": "https://app.example.com", "Access-Control-Request-Method": method}
    return await exchange(port, spell("OPTIONS", PREFIX + path, headers | (extra or {})))


def _names(header: str) -> set[str]:
    return {name.strip() for name in header.split(",")}
