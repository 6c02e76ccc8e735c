"""Answers that take their time, and clients that do not wait for them."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from quart import Response

from quart_fleet.asgi._application import ServiceApplication
from tests.chassis.serving import TIMEOUT, Serve, exchange, spell


async def test_a_request_is_finished_when_its_client_has_gone(
    app: ServiceApplication, serve: Serve
) -> None:
    began, finished = asyncio.Event(), asyncio.Event()

    @app.get("/")
    async def work() -> str:
        began.set()
        await asyncio.sleep(0.2)
        finished.set()
        return "done"

    async with serve(app) as port, asyncio.timeout(TIMEOUT):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(spell("GET", "/"))
        await began.wait()
        writer.close()
        await finished.wait()

    assert finished.is_set()


async def test_an_endless_answer_ends_when_its_reader_has_gone(
    each_app: ServiceApplication, serve: Serve
) -> None:
    ended = asyncio.Event()

    async def ticks() -> AsyncIterator[str]:
        try:
            while True:
                yield "tick\n"
                await asyncio.sleep(0.01)
        finally:
            ended.set()

    @each_app.get("/")
    async def stream() -> Response:
        response = Response(ticks())
        response.timeout = None
        return response

    async with serve(each_app) as port, asyncio.timeout(TIMEOUT):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(spell("GET", "/"))
        await reader.readuntil(b"tick\n")
        writer.close()
        await ended.wait()

    assert ended.is_set()


@pytest.mark.parametrize("length", [0, 2])
async def test_an_endless_answer_ends_so_where_no_handler_read_the_body(
    app: ServiceApplication, serve: Serve, length: int
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

    async with serve(app) as port, asyncio.timeout(TIMEOUT):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(spell("POST", "/", f"Content-Length: {length}", body=b"x" * length))
        await reader.readuntil(b"tick\n")
        writer.close()
        await ended.wait()

    assert ended.is_set()


async def test_an_answer_that_lasts_longer_than_its_timeout_is_cut_though_its_client_stays(
    each_app: ServiceApplication, serve: Serve
) -> None:
    async def parts() -> AsyncIterator[str]:
        yield "begun"
        await asyncio.Future()

    @each_app.get("/")
    async def stream() -> Response:
        response = Response(parts())
        response.timeout = 0.1
        return response

    async with serve(each_app) as port:
        answer = await exchange(port, spell("GET", "/"))

    assert b"begun" in answer
    assert not answer.endswith(b"0\r\n\r\n")
    assert each_app.running == 0


@pytest.mark.parametrize("error", [RuntimeError, asyncio.CancelledError])
async def test_an_answer_that_breaks_off_is_not_taken_for_a_whole_one(
    each_app: ServiceApplication, serve: Serve, error: type[BaseException]
) -> None:
    async def broken() -> AsyncIterator[str]:
        yield "begun"
        raise error

    @each_app.get("/")
    async def stream() -> Response:
        return Response(broken())

    async with serve(each_app) as port:
        answer = await exchange(port, spell("GET", "/"))

    assert b"begun" in answer
    assert not answer.endswith(b"0\r\n\r\n")
