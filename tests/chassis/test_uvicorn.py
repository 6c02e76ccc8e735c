"""What uvicorn's protocol makes of bytes, one connection at a time."""

import asyncio
import logging
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import pytest_asyncio
import uvicorn
from quart import Response, request
from uvicorn.server import ServerState

from quart_fleet.asgi._application import ServiceApplication
from quart_fleet.server._connections import Connections
from quart_fleet.server._uvicorn import BoundedProtocol
from tests.chassis.serving import TIMEOUT

HOST = b"Host: localhost\r\n"
LIMITS = {
    "MAX_HEAD_SIZE": 65_536,
    "MAX_HEADERS": 20,
    "MAX_CONNECTIONS": None,
    "KEEP_ALIVE_TIMEOUT": 60,
    "HEAD_TIMEOUT": 60,
    "SEND_TIMEOUT": 60,
}


class Service:
    """An application whose answers the test holds back, and the connections to it."""

    def __init__(self, app: ServiceApplication) -> None:
        self.go_on = asyncio.Event()
        self.begun = asyncio.Event()
        self.connections = Connections(app)
        self.port = 0

        @app.post("/headers")
        async def headers() -> str:
            await request.get_data()
            return str(request.headers)

        @app.route("/held", methods=["GET", "POST"])
        async def held() -> str:
            self.begun.set()
            await self.go_on.wait()
            return "held"

        @app.get("/stream")
        async def stream() -> Response:
            async def parts() -> AsyncIterator[bytes]:
                yield b"first"
                self.begun.set()
                await self.go_on.wait()
                yield b"second"

            return Response(parts())

    def find_state(self) -> int:
        """Return that of the one connection."""
        (connection,) = self.connections.open
        return connection.find_state()[0]

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[tuple[StreamReader, StreamWriter]]:
        async with asyncio.timeout(TIMEOUT):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                yield reader, writer
            finally:
                writer.close()


@pytest_asyncio.fixture
async def service(
    app: ServiceApplication, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[Service]:
    app.config.update(LIMITS)
    await app.startup()
    service = Service(app)
    service.connections.start()
    protocol = partial(
        BoundedProtocol,
        service.connections,
        config=uvicorn.Config(app, log_config=None, lifespan="off"),
        server_state=ServerState(),
        app_state={},
    )
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    service.port = server.sockets[0].getsockname()[1]
    yield service
    server.close()
    for each in list(service.connections.open):
        each.transport.abort()
    service.connections._timer.cancel()
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR], caplog.text


async def test_what_follows_a_body_is_no_header(service: Service) -> None:
    head = b"POST /headers HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
    trailers = b"Authorization: forged\r\nX-Forwarded-For: 6.6.6.6\r\n"

    async with service.connect() as (reader, writer):
        writer.write(head + HOST + b"\r\n2\r\n{}\r\n0\r\n" + trailers + b"\r\n")
        answer = await reader.read()

    assert b" 200 " in answer
    assert b"forged" not in answer
    assert b"6.6.6.6" not in answer
