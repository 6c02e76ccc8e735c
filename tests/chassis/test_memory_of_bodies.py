"""What is held of a body while a task waits for its client to leave."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from quart_fleet.asgi._application import ServiceApplication
from quart_fleet.asgi._http import RequestBody
from quart_fleet.asgi._limits import BodyMemory


def body_of(memory: BodyMemory, *parts: bytes) -> tuple[RequestBody, "asyncio.Queue[Any]"]:
    """Return a body that has come in these parts, and what else comes."""
    coming: asyncio.Queue[Any] = asyncio.Queue()
    for part in parts:
        coming.put_nowait({"type": "http.request", "body": part, "more_body": True})
    body = RequestBody(None, 1000)
    body.read_from(coming.get, None, memory)
    return body, coming


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_part_is_held_once_whoever_received_it() -> None:
    memory = BodyMemory()
    body, coming = body_of(memory, b"a" * 10)
    watching = asyncio.ensure_future(body.wait_for_disconnect(coming.get))
    await settle()
    assert memory.held == 10

    reading = asyncio.ensure_future(body._read())
    coming.put_nowait({"type": "http.request", "body": b"b" * 10, "more_body": False})
    assert await reading == b"a" * 10 + b"b" * 10

    assert memory.held == 10  # the last part, if it is small, is never counted
    body.release()
    assert memory.held == 0
    watching.cancel()


async def test_a_client_is_watched_again_once_others_have_given_memory_back() -> None:
    memory = BodyMemory(most=5)
    body, coming = body_of(memory, b"a" * 10)
    watching = asyncio.ensure_future(body.wait_for_disconnect(coming.get))
    await settle()
    assert memory.held == 10
    coming.put_nowait({"type": "http.disconnect"})

    memory.most = 20

    await asyncio.wait_for(watching, 5)


async def test_what_comes_while_an_answer_is_streamed_is_given_back_with_it(
    app: ServiceApplication,
) -> None:
    @app.post("/")
    async def stream() -> AsyncIterator[bytes]:
        async def parts() -> AsyncIterator[bytes]:
            while not app.bodies.held:
                await asyncio.sleep(0)
                yield b""

        return parts()

    coming: asyncio.Queue[Any] = asyncio.Queue()
    for more_body in (True, False):
        coming.put_nowait({"type": "http.request", "body": b"a" * 10, "more_body": more_body})

    async def send(message: Any) -> None:
        pass

    scope = {"type": "http", "method": "POST", "path": "/", "http_version": "1.1", "scheme": "http"}
    nothing = {"headers": [(b"content-length", b"20")], "query_string": b"", "client": ("::1", 1)}
    await asyncio.wait_for(app(scope | nothing, coming.get, send), 5)  # type: ignore[arg-type]

    assert app.bodies.held == 0
