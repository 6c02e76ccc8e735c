"""X-Forwarded-For and X-Forwarded-Proto are believed from the proxies of the settings alone."""

from typing import cast

import pytest
from quart import Blueprint, request

from quart_fleet.asgi import ServiceApplication
from quart_fleet.server import start
from tests.chassis.services import make_service
from tests.chassis.serving import exchange, spell, under_hypercorn

CLIENT, PROXY = "203.0.113.9", "127.0.0.1"


@pytest.mark.parametrize(("sent", "seen"), [("wss", "https"), ("ws", "http"), ("gopher", "http")])
async def test_the_scheme_of_a_request_is_one_of_https(sent: str, seen: str) -> None:
    bp = Blueprint("pages", __name__)

    @bp.get("/seen")
    async def what_is_seen() -> str:
        return f"{request.scheme} {request.url}"

    app = cast("ServiceApplication", start(lambda: make_service(bp, {})))

    async with under_hypercorn(app) as port:
        whole = spell("GET", "/api/v1/seen", f"X-Forwarded-Proto: {sent}")
        answer = await exchange(port, whole)

    assert f"\r\n\r\n{seen} {seen}://".encode() in answer


@pytest.mark.parametrize(
    ("trusted", "seen"),
    [
        (None, f"https {CLIENT}"),
        ("127.0.0.0/8", f"https {CLIENT}"),
        ("10.0.0.1, 127.0.0.1", f"https {CLIENT}"),
        ("*", f"https {CLIENT}"),
        ("10.0.0.0/8", f"http {PROXY}"),
        ("::1", f"http {PROXY}"),
    ],
)
async def test_what_a_proxy_forwards_is_believed_where_it_is_named(
    trusted: str | None, seen: str
) -> None:
    bp = Blueprint("pages", __name__)

    @bp.get("/seen")
    async def what_is_seen() -> str:
        return f"{request.scheme} {request.remote_addr}"

    settings = {} if trusted is None else {"FORWARDED_ALLOW_IPS": trusted}
    app = cast("ServiceApplication", start(lambda: make_service(bp, settings)))

    async with under_hypercorn(app) as port:
        answer = await exchange(
            port,
            spell("GET", "/api/v1/seen", "X-Forwarded-Proto: https", f"X-Forwarded-For: {CLIENT}"),
        )

    assert answer.endswith(seen.encode())
