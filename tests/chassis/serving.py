"""An application under a real server, and bytes that are sent to it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import hypercorn.asyncio
import uvicorn
from hypercorn.config import Config

from quart_fleet.asgi._application import ServiceApplication
from quart_fleet.server._listener import listen

TIMEOUT = 60.0
"""Seconds that a test waits for anything at all."""

Serve = Callable[[ServiceApplication], AbstractAsyncContextManager[int]]


@asynccontextmanager
async def under_uvicorn(app: ServiceApplication) -> AsyncIterator[int]:
    listener = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def under_hypercorn(app: ServiceApplication) -> AsyncIterator[int]:
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


def spell(method: str, path: str, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def exchange(port: int, sent: bytes) -> bytes:
    async with asyncio.timeout(TIMEOUT):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        answer = await reader.read()
        writer.close()
    return answer
