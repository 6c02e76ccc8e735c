"""Quart's signed cookie, for handlers that use the session, at no cost for the others."""

import pytest
from quart import Response, session

from quart_fleet.asgi._application import LeanApplication, ServiceApplication


@pytest.fixture(params=[LeanApplication, ServiceApplication])
def app(request: pytest.FixtureRequest) -> ServiceApplication:
    """Counts the visits of each client."""
    kind: type[ServiceApplication] = request.param
    app = kind(__name__, static_folder=None)
    app.secret_key = "secret"

    @app.get("/visit")
    async def visit() -> str:
        session["visits"] = session.get("visits", 0) + 1
        return str(session["visits"])

    @app.get("/visits")
    async def visits() -> str:
        return str(session.get("visits", 0))

    @app.get("/note")
    async def note() -> str:
        session.setdefault("notes", []).append("noted")
        session.modified = True
        return str(session["notes"])

    @app.get("/leave")
    async def leave() -> str:
        session.clear()
        return "left"

    @app.get("/untouched")
    async def untouched() -> str:
        return "untouched"

    return app


async def text(response: Response) -> str:
    return str(await response.get_data(as_text=True))


async def test_what_is_written_is_read_by_the_next_request(app: ServiceApplication) -> None:
    client = app.test_client()

    seen = [await text(await client.get(path)) for path in ("/visits", "/visit", "/visit")]

    assert seen == ["0", "1", "2"]
    assert await text(await client.get("/visits")) == "2"


async def test_a_change_inside_of_a_value_is_kept_where_it_is_said(app: ServiceApplication) -> None:
    client = app.test_client()

    await client.get("/note")

    assert await text(await client.get("/note")) == "['noted', 'noted']"


async def test_a_request_that_touches_no_session_neither_reads_nor_sends_a_cookie(
    app: ServiceApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = app.test_client()
    await client.get("/visit")
    monkeypatch.setattr(app.session_interface, "get_signing_serializer", pytest.fail)

    response = await client.get("/untouched")

    assert response.headers.get("Set-Cookie") is None
    assert response.headers.get("Vary") is None


async def test_an_answer_made_from_the_session_varies_by_it(app: ServiceApplication) -> None:
    client = app.test_client()

    read, changed = await client.get("/visits"), await client.get("/visit")

    assert (read.headers.get("Set-Cookie"), read.headers["Vary"]) == (None, "Cookie")
    assert "HttpOnly" in changed.headers["Set-Cookie"]
    assert changed.headers["Vary"] == "Cookie"


async def test_an_emptied_session_deletes_its_cookie(app: ServiceApplication) -> None:
    client = app.test_client()
    await client.get("/visit")

    await client.get("/leave")

    assert await text(await client.get("/visits")) == "0"


async def test_a_cookie_that_was_not_signed_here_is_no_session(app: ServiceApplication) -> None:
    forged = {"Cookie": "session=eyJ2aXNpdHMiOjd9.aaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaa"}

    assert await text(await app.test_client().get("/visits", headers=forged)) == "0"


async def test_quarts_test_client_writes_a_session(app: ServiceApplication) -> None:
    client = app.test_client()

    async with client.session_transaction() as opened:
        opened["visits"] = 7

    assert await text(await client.get("/visits")) == "7"


async def test_without_a_secret_key_a_session_refuses_to_be_written(
    app: ServiceApplication,
) -> None:
    app.secret_key = None

    @app.errorhandler(RuntimeError)
    async def show(error: RuntimeError) -> str:
        return str(error)

    client = app.test_client()

    assert await text(await client.get("/visits")) == "0"
    assert "no secret key" in await text(await client.get("/visit"))
