"""HEAD, OPTIONS, and methods that no route has."""

import pytest

from quart_fleet.conventions import PREFIX
from scaffold.api.row import JSON
from scaffold.api.table import GRACE

from .row import nothing_written
from .wire import exchange, spell

READABLE = ("/health", "/", "/users", "/users/active", "/users/1", "/users/username/ada",
            "/users/4", "/users/username/grace", "/nowhere")  # fmt: skip

ALLOWED = {
    "/health": {"GET", "HEAD", "OPTIONS"},
    "/": {"GET", "HEAD", "OPTIONS"},
    "/users": {"GET", "HEAD", "OPTIONS", "POST"},
    "/users/active": {"GET", "HEAD", "OPTIONS"},
    "/users/1": {"DELETE", "GET", "HEAD", "OPTIONS", "PUT"},
    "/users/4": {"DELETE", "GET", "HEAD", "OPTIONS", "PUT"},
    "/users/username/ada": {"GET", "HEAD", "OPTIONS"},
    "/users/username/grace": {"GET", "HEAD", "OPTIONS"},
    "/users/1/deactivate": {"OPTIONS", "POST"},
}


@pytest.mark.parametrize("path", READABLE)
async def test_head_answers_what_get_does_without_the_body(path: str, port: int) -> None:
    got = await exchange(port, spell("GET", PREFIX + path))

    answer = await exchange(port, spell("HEAD", PREFIX + path))

    assert answer.body == b""
    assert answer.status == got.status
    assert _undated(answer.headers) == _undated(got.headers)


@pytest.mark.parametrize("path", ALLOWED)
async def test_options_says_what_a_path_allows_and_nothing_else(path: str, port: int) -> None:
    answer = await exchange(port, spell("OPTIONS", PREFIX + path))

    assert (answer.status, answer.body) == (200, b"")
    assert set((answer.find("Allow") or "").split(", ")) == ALLOWED[path]
    assert answer.find("Access-Control-Allow-Origin") == "*"


async def test_head_is_refused_where_get_is(port: int) -> None:
    answer = await exchange(port, spell("HEAD", f"{PREFIX}/users/1/deactivate"))

    assert (answer.status, answer.body) == (405, b"")
    assert set((answer.find("Allow") or "").split(", ")) == {"OPTIONS", "POST"}


async def test_options_writes_nothing(port: int) -> None:
    await exchange(port, spell("OPTIONS", f"{PREFIX}/users", JSON, GRACE))
    await exchange(port, spell("OPTIONS", f"{PREFIX}/users/1/deactivate"))

    assert await nothing_written(port)


@pytest.mark.parametrize("method", ["BREW", "TRACE", "PROPFIND", "CONNECT"])
async def test_a_method_that_no_route_has_is_refused(method: str, port: int) -> None:
    answer = await exchange(port, spell(method, f"{PREFIX}/users"))

    assert 400 <= answer.status < 500
    assert await nothing_written(port)


def _undated(headers: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Return the headers but those that are of one request alone."""
    return {name: value for name, value in headers if name not in ("date", "x-request-id")}
