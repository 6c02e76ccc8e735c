"""Requests and answers between a real server and the application."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import pytest
from quart import (
    Blueprint,
    Request,
    Response,
    abort,
    g,
    request,
    request_finished,
    websocket,
)
from werkzeug.wrappers import Response as WerkzeugResponse

from quart_fleet.asgi._application import ServiceApplication
from tests.chassis.serving import TIMEOUT, Serve, exchange, spell

OPENING = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


async def test_what_quart_has_for_a_request_is_there(app: ServiceApplication, serve: Serve) -> None:
    calls = list[str]()
    pages = Blueprint("pages", __name__)
    pages.before_request(lambda: calls.append("before the blueprint's"))
    app.before_request(lambda: calls.append("before"))
    app.teardown_request(lambda _error: calls.append("teardown"))

    @pages.after_request
    async def note_answer(response: Response) -> Response:
        calls.append("after the blueprint's")
        return response

    @pages.get("/")
    async def show() -> WerkzeugResponse:
        g.seen = True
        return WerkzeugResponse(f"{g.seen} {request.blueprint} {request.remote_addr}")

    async def note(_app: ServiceApplication, **_: object) -> None:
        calls.append("signal")

    app.register_blueprint(pages)
    with request_finished.connected_to(note, app):
        async with serve(app) as port:
            answer = await exchange(port, spell("GET", "/"))

    assert answer.endswith(b"\r\n\r\nTrue pages 127.0.0.1")
    assert calls == [
        "before",
        "before the blueprint's",
        "after the blueprint's",
        "signal",
        "teardown",
    ]


async def test_no_client_says_where_it_is(app: ServiceApplication, serve: Serve) -> None:
    @app.get("/")
    async def show() -> str:
        return str(request.remote_addr)

    async with serve(app) as port:
        answer = await exchange(port, spell("GET", "/", "Remote-Addr: 192.0.2.1"))

    assert answer.endswith(b"\r\n\r\n127.0.0.1")


async def test_a_whole_url_is_asked_for_as_its_path(
    each_app: ServiceApplication, serve: Serve
) -> None:
    @each_app.get("/here")
    async def here() -> str:
        return "here"

    async with serve(each_app) as port:
        answer = await exchange(port, spell("GET", "http://localhost/here"))

    assert answer.endswith(b"\r\n\r\nhere")


async def test_what_looks_like_a_whole_url_and_is_none_is_refused(
    each_app: ServiceApplication, serve: Serve
) -> None:
    async with serve(each_app) as port:
        answer = await exchange(port, spell("GET", "http://[::1/here"))

    assert answer.startswith(b"HTTP/1.1 4")


async def test_a_redirect_needs_no_host(app: ServiceApplication, serve: Serve) -> None:
    @app.get("/here/")
    async def here() -> str:
        return "here"

    async with serve(app) as port:
        answer = await exchange(port, b"GET /here HTTP/1.0\r\n\r\n")

    assert b"\r\nlocation: /here/\r\n" in answer


async def test_an_application_may_be_mounted_below_a_path(
    each_app: ServiceApplication, serve: Serve
) -> None:
    @each_app.get("/here")
    async def here() -> str:
        return request.script_root

    async def mount(scope: dict[str, object], receive: object, send: object) -> None:
        scope["root_path"] = "/below"
        await inner(scope, receive, send)  # type: ignore[arg-type]

    inner, each_app.asgi_app = each_app.asgi_app, mount  # type: ignore[method-assign, assignment]
    async with serve(each_app) as port:
        inside = await exchange(port, spell("GET", "/below/here"))
        outside = await exchange(port, spell("GET", "/belowhere"))

    assert inside.endswith(b"\r\n\r\n/below")
    assert outside.startswith(b"HTTP/1.1 404")


async def test_a_service_may_have_a_request_class_of_quarts(
    app: ServiceApplication, serve: Serve
) -> None:
    class OwnRequest(Request):
        greeting = "hello"

        def __init__(self, *given: Any, max_content_length: int, **others: Any) -> None:
            super().__init__(*given, max_content_length=2 * max_content_length, **others)

    @app.post("/")
    async def show() -> str:
        return f"{request.greeting} {await request.body!r}"  # type: ignore[attr-defined]

    app.request_class = OwnRequest  # type: ignore[assignment]  # takes what Quart gives
    app.config["MAX_CONTENT_LENGTH"] = 2
    async with serve(app) as port:
        answer = await exchange(port, spell("POST", "/", "Content-Length: 4", body=b"abcd"))
        refused = await exchange(port, spell("POST", "/", "Content-Length: 5", body=b"abcde"))

    assert answer.endswith(b"\r\n\r\nhello b'abcd'")
    assert refused.startswith(b"HTTP/1.1 413")


async def test_a_request_that_is_cut_while_it_is_torn_down_is_refused(
    app: ServiceApplication,
) -> None:
    tearing, sent = asyncio.Event(), list[Any]()

    @app.teardown_request
    async def tear_down(_error: BaseException | None) -> None:
        tearing.set()
        await asyncio.Future()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": "/",
        "raw_path": b"/", "query_string": b"", "headers": [], "client": ("127.0.0.1", 1),
    }  # fmt: skip
    task = asyncio.create_task(app(cast("Any", scope), cast("Any", None), send))
    await tearing.wait()
    task.cancel()
    await asyncio.wait([task])

    assert [message.get("status") for message in sent] == [503, None]


@pytest.mark.parametrize("path", ["/ends", "/fails", "/refuses"])
async def test_a_websocket_has_ended_with_its_handler_though_its_client_stays(
    each_app: ServiceApplication, serve: Serve, path: str
) -> None:
    ended = asyncio.Event()

    @each_app.websocket("/ends")
    async def end() -> None:
        await websocket.send("hello")

    @each_app.websocket("/fails")
    async def fail() -> None:
        raise RuntimeError

    @each_app.websocket("/refuses")
    async def refuse() -> None:
        abort(403)

    async def note_end(*given: Any) -> None:
        await inner(*given)
        ended.set()

    inner, each_app.asgi_app = each_app.asgi_app, note_end  # type: ignore[method-assign, assignment]
    async with serve(each_app) as port, asyncio.timeout(TIMEOUT):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(spell("GET", path, *OPENING).replace(b"Connection: close\r\n", b""))
        await ended.wait()  # or the time is up
        writer.close()


@pytest.mark.parametrize("opening", [(), OPENING], ids=["a stream", "a WebSocket"])
async def test_a_handler_whose_client_leaves_comes_to_the_end_of_its_cleanup(
    each_app: ServiceApplication, serve: Serve, opening: Sequence[str]
) -> None:
    begun, done = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            for _ in range(20):
                await asyncio.sleep(0)
            done.set()

    @each_app.get("/waits")
    async def stream() -> Response:
        async def parts() -> AsyncIterator[bytes]:
            await wait()
            yield b""

        return Response(parts())

    @each_app.websocket("/waits")
    async def talk() -> None:
        await websocket.accept()
        await wait()

    async with serve(each_app) as port, asyncio.timeout(TIMEOUT):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        head = spell("GET", "/waits", *opening)
        writer.write(head.replace(b"Connection: close\r\n", b"") if opening else head)
        await begun.wait()
        writer.close()
        await done.wait()  # or the time is up
