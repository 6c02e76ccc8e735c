"""Cross-origin headers: the contract's, unless the application or a setting says otherwise."""

import pytest
from quart import Blueprint, Quart, Response

from quart_fleet.web import Envelope
from tests.chassis.services import make_service

APP = "https://app.example.com"
OTHER = "https://other.example.com"
PREFLIGHT = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "X-Trace"}
PREFIX = "Access-Control-"


def service(**settings: object) -> Quart:
    bp = Blueprint("things", __name__)

    @bp.get("/things")
    async def things() -> Response:
        return Envelope.success()

    return make_service(bp, settings)


async def cross_origin_headers(
    app: Quart, origin: str | None, method: str = "GET", path: str = "/things", **more: str
) -> dict[str, str]:
    headers = ({} if origin is None else {"Origin": origin}) | more
    send = getattr(app.test_client(), method.lower())
    response = await send(f"/api/v1{path}", headers=headers)
    sent = [(name.title(), value) for name, value in response.headers.items()]
    found = [(name, value) for name, value in sent if name.startswith((PREFIX, "Vary"))]
    assert len(found) == len(dict(found))
    return {name.removeprefix(PREFIX): value for name, value in found}


async def test_an_answer_needs_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    app = service()
    monkeypatch.setattr(app, "sync_to_async", pytest.fail)

    assert await cross_origin_headers(app, None) == {"Allow-Origin": "*"}


@pytest.mark.parametrize("path", ["/things", "/nowhere"])
async def test_what_the_application_allows_stays(path: str) -> None:
    app = service()

    @app.after_request
    async def allow_one(response: Response) -> Response:
        response.headers["Access-Control-Allow-Origin"] = OTHER
        response.headers["Access-Control-Allow-Credentials"] = "true"
        return response

    assert await cross_origin_headers(app, APP, path=path) == {
        "Allow-Origin": OTHER,
        "Allow-Credentials": "true",
    }


async def test_what_a_blueprint_allows_on_every_route_stays() -> None:
    bp = Blueprint("closed", __name__)

    @bp.after_app_request
    async def allow_one(response: Response) -> Response:
        response.headers["Access-Control-Allow-Origin"] = OTHER
        return response

    assert await cross_origin_headers(make_service(bp), APP, path="/health") == {
        "Allow-Origin": OTHER
    }


@pytest.mark.parametrize(
    ("settings", "allowed"),
    [({"CORS_ORIGINS": APP}, APP), ({}, "*")],
    ids=["origins", "every origin"],
)
async def test_credentials_go_with_origins_that_were_named(
    settings: dict[str, object], allowed: str
) -> None:
    """To `*` browsers send no cookies (Fetch, "CORS check"): no site that was not named reads."""
    app = service(**settings)

    @app.after_request
    async def allow_credentials(response: Response) -> Response:
        response.headers["Access-Control-Allow-Credentials"] = "true"
        return response

    assert await cross_origin_headers(app, APP) == {
        "Allow-Origin": allowed,
        "Allow-Credentials": "true",
        "Vary": "Origin",
    }


async def test_a_preflight_keeps_what_the_application_allows() -> None:
    app = service()

    @app.after_request
    async def allow_reading(response: Response) -> Response:
        response.headers["Access-Control-Allow-Methods"] = "GET"
        response.headers["Access-Control-Allow-Headers"] = "X-Other"
        return response

    assert await cross_origin_headers(app, APP, "OPTIONS", **PREFLIGHT) == {
        "Allow-Origin": APP,
        "Allow-Methods": "GET",
        "Allow-Headers": "X-Other",
        "Vary": "Origin",
    }


@pytest.mark.parametrize("path", ["/things", "/nowhere"])
async def test_an_origin_of_the_setting_is_echoed(path: str) -> None:
    app = service(CORS_ORIGINS=f"{OTHER},{APP}")

    assert await cross_origin_headers(app, APP, path=path) == {
        "Allow-Origin": APP,
        "Vary": "Origin",
    }


@pytest.mark.parametrize("origin", [None, "null", "https://evil.example.com", f"{APP}:8443"])
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
async def test_no_other_origin_than_the_settings_is_allowed(
    method: str, origin: str | None
) -> None:
    app = service(CORS_ORIGINS=APP)

    assert await cross_origin_headers(app, origin, method, **PREFLIGHT) == {"Vary": "Origin"}


@pytest.mark.parametrize("setting", ["", "*"])
async def test_without_the_setting_every_origin_is_allowed(setting: str) -> None:
    app = service(**({"CORS_ORIGINS": setting} if setting else {}))

    assert await cross_origin_headers(app, APP) == {"Allow-Origin": APP, "Vary": "Origin"}
    assert await cross_origin_headers(app, None) == {"Allow-Origin": "*"}
