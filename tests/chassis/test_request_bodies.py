"""What a client sends, between a real server and the application."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from quart import Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from quart_fleet.asgi._application import ServiceApplication
from tests.chassis.serving import TIMEOUT, Serve, exchange, spell


async def test_a_body_is_read_part_by_part(app: ServiceApplication, serve: Serve) -> None:
    @app.post("/")
    async def count() -> str:
        lengths = [len(part) async for part in request.body]
        return f"{sum(lengths)} in {'many' if len(lengths) > 1 else 'one'}"

    body = b"x" * 1_000_000
    async with serve(app) as port:
        answer = await exchange(port, spell("POST", "/", "Content-Length: 1000000", body=body))

    assert answer.endswith(b"\r\n\r\n1000000 in many")


async def test_a_body_is_the_same_however_often_it_is_asked_for(
    app: ServiceApplication, serve: Serve
) -> None:
    @app.post("/")
    async def repeat() -> str:
        whole = [await request.body, await request.get_data()]
        return f"{whole} {[part async for part in request.body]}"

    async with serve(app) as port:
        answer = await exchange(port, spell("POST", "/", "Content-Length: 2", body=b"ab"))

    assert answer.endswith(b"\r\n\r\n[b'ab', b'ab'] [b'ab']")


async def test_a_body_that_was_too_large_stays_so(
    each_app: ServiceApplication, serve: Serve
) -> None:
    each_app.config["MAX_CONTENT_LENGTH"] = 4

    @each_app.post("/")
    async def read_twice() -> str:
        with suppress(RequestEntityTooLarge):
            await request.body
        return str(await request.body)

    chunks = b"5\r\n12345\r\n0\r\n\r\n"
    async with serve(each_app) as port:
        answer = await exchange(port, spell("POST", "/", "Transfer-Encoding: chunked", body=chunks))

    assert answer.startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("path", ["/whole", "/parts"])
async def test_a_body_that_is_too_large_is_refused_before_its_end(
    each_app: ServiceApplication, serve: Serve, path: str
) -> None:
    each_app.config["MAX_CONTENT_LENGTH"] = 4

    @each_app.post("/whole")
    async def read() -> str:
        return str(await request.body)

    @each_app.post("/parts")
    async def read_parts() -> str:
        return str([part async for part in request.body])

    async with serve(each_app) as port, asyncio.timeout(TIMEOUT):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(spell("POST", path, "Transfer-Encoding: chunked", body=b"3\r\n123\r\n"))
        writer.write(b"2\r\n45\r\n")
        status = await reader.readline()
        writer.write(b"3\r\n678\r\n0\r\n\r\n")
        await reader.read()
        writer.close()

    assert b"413" in status


async def test_a_form_is_read(app: ServiceApplication, serve: Serve) -> None:
    @app.post("/")
    async def greet() -> str:
        return f"Hello {(await request.form)['name']}"

    form = "Content-Type: application/x-www-form-urlencoded"
    async with serve(app) as port:
        answer = await exchange(
            port, spell("POST", "/", form, "Content-Length: 8", body=b"name=Ada")
        )

    assert answer.endswith(b"\r\n\r\nHello Ada")


async def test_an_answer_that_needs_no_body_does_not_wait_for_it(
    app: ServiceApplication, serve: Serve
) -> None:
    async with serve(app) as port, asyncio.timeout(TIMEOUT):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(spell("POST", "/nowhere", "Content-Length: 10", body=b"12345"))
        status = await reader.readline()
        writer.write(b"67890")
        rest = await reader.read()
        writer.close()

    assert b"404" in status
    assert rest.endswith(b"</p>\n")


async def test_a_body_that_does_not_come_is_a_timeout(
    app: ServiceApplication, serve: Serve
) -> None:
    app.config["BODY_TIMEOUT"] = 0.1

    @app.post("/")
    async def read() -> str:
        return str(await request.body)

    async with serve(app) as port:
        answer = await exchange(port, spell("POST", "/", "Content-Length: 10", body=b"12345"))

    assert answer.startswith(b"HTTP/1.1 408")


async def test_a_body_is_read_while_it_is_answered(app: ServiceApplication, serve: Serve) -> None:
    @app.post("/")
    async def echo() -> Response:
        body = request.body

        async def parts() -> AsyncIterator[bytes]:
            async for part in body:
                yield part

        return Response(parts(), headers={"Content-Length": "4"})

    async with serve(app) as port, asyncio.timeout(TIMEOUT):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(spell("POST", "/", "Content-Length: 4", body=b"ab"))
        await reader.readuntil(b"\r\n\r\nab")
        writer.write(b"cd")
        rest = await reader.read()
        writer.close()

    assert rest == b"cd"


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
async def test_quarts_test_client_sends_a_body_with_any_method(
    app: ServiceApplication, method: str
) -> None:
    @app.route("/", methods=[method])
    async def repeat() -> str:
        return str(await request.body)

    response = await getattr(app.test_client(), method.lower())("/", data=b"body")

    assert await response.get_data() == b"b'body'"
