"""Requests and answers between a real server and the application."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import hypercorn.asyncio
import pytest
import uvicorn
from hypercorn.config import Config
from quart import Blueprint, Request, Response, g, request, request_finished, session
from quart.sessions import SecureCookieSessionInterface
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Response as WerkzeugResponse

from shared.web.listener import listen
from shared.web.service import Service

PATIENCE = 60.0
"""Seconds that a test waits for anything at all."""

Serve = Callable[[Service], AbstractAsyncContextManager[int]]


@asynccontextmanager
async def under_uvicorn(app: Service) -> AsyncIterator[int]:
    listener = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def under_hypercorn(app: Service) -> AsyncIterator[int]:
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    config, stopped = Config(), asyncio.Event()
    config.bind = [f"fd://{listener.detach()}"]
    serving = asyncio.create_task(
        hypercorn.asyncio.serve(app, config, shutdown_trigger=stopped.wait)
    )
    try:
        yield port
    finally:
        stopped.set()
        await serving


@pytest.fixture(params=[under_uvicorn, under_hypercorn], ids=["uvicorn", "hypercorn"])
def serve(request: pytest.FixtureRequest) -> Serve:
    chosen: Serve = request.param
    return chosen


@pytest.fixture
def app() -> Service:
    return Service(__name__, static_folder=None)


def spell(method: str, path: str, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def exchange(port: int, sent: bytes) -> bytes:
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        answer = await reader.read()
        writer.close()
    return answer


async def test_a_body_is_read_part_by_part(app: Service, serve: Serve) -> None:
    @app.post("/")
    async def count() -> str:
        lengths = [len(part) async for part in request.body]
        return f"{sum(lengths)} in {'many' if len(lengths) > 1 else 'one'}"

    body = b"x" * 1_000_000
    async with serve(app) as port:
        answer = await exchange(port, spell("POST", "/", "Content-Length: 1000000", body=body))

    assert answer.endswith(b"\r\n\r\n1000000 in many")


async def test_a_body_is_the_same_however_often_it_is_asked_for(app: Service, serve: Serve) -> None:
    @app.post("/")
    async def repeat() -> str:
        whole = [await request.body, await request.get_data()]
        return f"{whole} {[part async for part in request.body]}"

    async with serve(app) as port:
        answer = await exchange(port, spell("POST", "/", "Content-Length: 2", body=b"ab"))

    assert answer.endswith(b"\r\n\r\n[b'ab', b'ab'] [b'ab']")


async def test_a_body_that_was_too_large_stays_so(app: Service, serve: Serve) -> None:
    app.config["MAX_CONTENT_LENGTH"] = 4

    @app.post("/")
    async def read_twice() -> str:
        with suppress(RequestEntityTooLarge):
            await request.body
        return str(await request.body)

    chunks = b"5\r\n12345\r\n0\r\n\r\n"
    async with serve(app) as port:
        answer = await exchange(port, spell("POST", "/", "Transfer-Encoding: chunked", body=chunks))

    assert answer.startswith(b"HTTP/1.1 413")


async def test_a_form_is_read(app: Service, serve: Serve) -> None:
    @app.post("/")
    async def greet() -> str:
        return f"Hello {(await request.form)['name']}"

    form = "Content-Type: application/x-www-form-urlencoded"
    async with serve(app) as port:
        answer = await exchange(
            port, spell("POST", "/", form, "Content-Length: 8", body=b"name=Ada")
        )

    assert answer.endswith(b"\r\n\r\nHello Ada")


async def test_who_asks_for_nothing_of_a_body_does_not_wait_for_it(
    app: Service, serve: Serve
) -> None:
    async with serve(app) as port, asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(spell("POST", "/nowhere", "Content-Length: 10", body=b"12345"))
        status = await reader.readline()
        writer.write(b"67890")
        rest = await reader.read()
        writer.close()

    assert b"404" in status
    assert rest.endswith(b"</p>\n")


async def test_a_body_that_does_not_come_is_a_timeout(app: Service, serve: Serve) -> None:
    app.config["BODY_TIMEOUT"] = 0.1

    @app.post("/")
    async def read() -> str:
        return str(await request.body)

    async with serve(app) as port:
        answer = await exchange(port, spell("POST", "/", "Content-Length: 10", body=b"12345"))

    assert answer.startswith(b"HTTP/1.1 408")


async def test_a_request_is_finished_when_its_client_has_gone(app: Service, serve: Serve) -> None:
    began, finished = asyncio.Event(), asyncio.Event()

    @app.get("/")
    async def work() -> str:
        began.set()
        await asyncio.sleep(0.2)
        finished.set()
        return "done"

    async with serve(app) as port, asyncio.timeout(PATIENCE):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(spell("GET", "/"))
        await began.wait()
        writer.close()
        await finished.wait()

    assert finished.is_set()


async def test_an_endless_answer_ends_when_its_reader_has_gone(app: Service, serve: Serve) -> None:
    ended = asyncio.Event()

    async def ticks() -> AsyncIterator[str]:
        try:
            while True:
                yield "tick\n"
                await asyncio.sleep(0.01)
        finally:
            ended.set()

    @app.get("/")
    async def stream() -> Response:
        response = Response(ticks())
        response.timeout = None
        return response

    async with serve(app) as port, asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(spell("GET", "/"))
        await reader.readuntil(b"tick\n")
        writer.close()
        await ended.wait()

    assert ended.is_set()


@pytest.mark.parametrize("length", [0, 2])
async def test_an_endless_answer_ends_so_where_nobody_read_the_body(
    app: Service, serve: Serve, length: int
) -> None:
    ended = asyncio.Event()

    async def ticks() -> AsyncIterator[str]:
        try:
            for _ in range(1000):
                yield "tick\n"
                await asyncio.sleep(0.01)
        except (asyncio.CancelledError, GeneratorExit):
            ended.set()
            raise

    @app.post("/")
    async def stream() -> Response:
        response = Response(ticks())
        response.timeout = None
        return response

    async with serve(app) as port, asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(spell("POST", "/", f"Content-Length: {length}", body=b"x" * length))
        await reader.readuntil(b"tick\n")
        writer.close()
        await ended.wait()

    assert ended.is_set()


async def test_a_body_is_read_while_it_is_answered(app: Service, serve: Serve) -> None:
    @app.post("/")
    async def echo() -> Response:
        body = request.body

        async def parts() -> AsyncIterator[bytes]:
            async for part in body:
                yield part

        return Response(parts(), headers={"Content-Length": "4"})

    async with serve(app) as port, asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(spell("POST", "/", "Content-Length: 4", body=b"ab"))
        await reader.readuntil(b"\r\n\r\nab")
        writer.write(b"cd")
        rest = await reader.read()
        writer.close()

    assert rest == b"cd"


@pytest.mark.parametrize("error", [RuntimeError, asyncio.CancelledError])
async def test_an_answer_that_breaks_off_is_not_taken_for_a_whole_one(
    app: Service, serve: Serve, error: type[BaseException]
) -> None:
    async def broken() -> AsyncIterator[str]:
        yield "begun"
        raise error

    @app.get("/")
    async def stream() -> Response:
        return Response(broken())

    async with serve(app) as port:
        answer = await exchange(port, spell("GET", "/"))

    assert b"begun" in answer
    assert not answer.endswith(b"0\r\n\r\n")


async def test_what_quart_has_for_a_request_is_there(app: Service, serve: Serve) -> None:
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

    async def note(_app: Service, **_: object) -> None:
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


async def test_no_client_says_where_it_is(app: Service, serve: Serve) -> None:
    @app.get("/")
    async def show() -> str:
        return str(request.remote_addr)

    async with serve(app) as port:
        answer = await exchange(port, spell("GET", "/", "Remote-Addr: 192.0.2.1"))

    assert answer.endswith(b"\r\n\r\n127.0.0.1")


async def test_a_whole_url_is_asked_for_as_its_path(app: Service, serve: Serve) -> None:
    @app.get("/here")
    async def here() -> str:
        return "here"

    async with serve(app) as port:
        answer = await exchange(port, spell("GET", "http://localhost/here"))

    assert answer.endswith(b"\r\n\r\nhere")


async def test_a_service_may_have_sessions(app: Service, serve: Serve) -> None:
    app.secret_key = "secret"
    app.session_interface = SecureCookieSessionInterface()

    @app.get("/")
    async def remember() -> str:
        session["name"] = "Ada"
        return "remembered"

    async with serve(app) as port:
        answer = await exchange(port, spell("GET", "/"))

    assert b"\r\nset-cookie: session=" in answer.lower()


async def test_an_application_may_be_mounted_below_a_path(app: Service, serve: Serve) -> None:
    @app.get("/here")
    async def here() -> str:
        return request.script_root

    async def mount(scope: dict[str, object], receive: object, send: object) -> None:
        await inner({**scope, "root_path": "/below"}, receive, send)  # type: ignore[arg-type]

    inner, app.asgi_app = app.asgi_app, mount  # type: ignore[method-assign, assignment]
    async with serve(app) as port:
        inside = await exchange(port, spell("GET", "/below/here"))
        outside = await exchange(port, spell("GET", "/belowhere"))

    assert inside.endswith(b"\r\n\r\n/below")
    assert outside.startswith(b"HTTP/1.1 404")


async def test_a_service_may_have_a_request_class_of_quarts(app: Service, serve: Serve) -> None:
    class OwnRequest(Request):
        greeting = "hello"

    @app.post("/")
    async def show() -> str:
        return f"{request.greeting} {await request.body!r}"  # type: ignore[attr-defined]

    app.request_class = OwnRequest  # type: ignore[assignment]  # as Quart's manual has it
    async with serve(app) as port:
        answer = await exchange(port, spell("POST", "/", "Content-Length: 2", body=b"ab"))

    assert answer.endswith(b"\r\n\r\nhello b'ab'")


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
async def test_quarts_test_client_sends_a_body_with_any_method(app: Service, method: str) -> None:
    @app.route("/", methods=[method])
    async def repeat() -> str:
        return str(await request.body)

    response = await getattr(app.test_client(), method.lower())("/", data=b"body")

    assert await response.get_data() == b"b'body'"
