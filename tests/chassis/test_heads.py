"""How hypercorn's connections look at the heads of requests, and how they end."""

import asyncio
import errno
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import h11
import pytest
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.utils import wrap_app
from quart import request

from quart_fleet.asgi._application import ServiceApplication
from quart_fleet.server import _hypercorn
from quart_fleet.server._connections import REFUSED, Connections
from quart_fleet.server._hypercorn import (
    BoundedConnection,
    CountingReader,
    StrictConnection,
)
from tests.chassis.serving import TIMEOUT

MOST_HEAD = 64 * 1024
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Counting:
    """A pattern that counts the bytes it is to look at."""

    def __init__(self, pattern: re.Pattern[bytes]) -> None:
        self._pattern = pattern
        self.count = 0

    def search(self, text: bytearray, start: int) -> re.Match[bytes] | None:
        self.count += len(text) - start
        return self._pattern.search(text, start)


def test_a_head_in_many_pieces_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(_hypercorn._LINE_FEED)
    monkeypatch.setattr(_hypercorn, "_LINE_FEED", counting)
    connection = StrictConnection(MOST_HEAD, 100)
    start = REQUEST[:-2] + b"X-Much: "
    head = start + b"a" * (MOST_HEAD - len(start) - 4) + b"\r\n\r\n"
    events = []

    for at in range(0, len(head), 16):
        connection.receive_data(head[at : at + 16])
        events.append(connection.next_event())

    assert isinstance(events[-1], h11.Request)
    assert len(head) < counting.count < 1.2 * len(head)


@pytest.mark.parametrize("size", [1, 2, 3, 7, len(REQUEST), 4 * len(REQUEST)])
def test_requests_in_pieces_of_any_size_are_read_one_after_another(size: int) -> None:
    connection = StrictConnection(MOST_HEAD, 100)
    sent, count = REQUEST * 4, 0

    for at in range(0, len(sent), size):
        connection.receive_data(sent[at : at + size])
        while (event := connection.next_event()) is not h11.NEED_DATA:
            if isinstance(event, h11.EndOfMessage):
                count += 1
                connection.send(h11.Response(status_code=204, headers=[]))
                connection.send(h11.EndOfMessage())
                connection.start_next_cycle()

    assert count == 4


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
@pytest.mark.parametrize("line", [b"X: 1\n", b"X: 1\r\n 2\r\n", b"X: 1\r\n\t2\r\n", b"\n"])
def test_a_line_that_ends_otherwise_is_refused_in_pieces_of_any_size(
    line: bytes, size: int
) -> None:
    connection = StrictConnection(MOST_HEAD, 100)
    sent = REQUEST[:-2] + line + b"\r\n"

    def read() -> None:
        for at in range(0, len(sent), size):
            connection.receive_data(sent[at : at + size])
            connection.next_event()

    with pytest.raises(h11.RemoteProtocolError, match="does not end as it should"):
        read()


WEBSOCKET = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n"


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"Sec-WebSocket-Version: 12\r\nSec-WebSocket-Key: a\r\n", 426),
        (b"Sec-WebSocket-Version: 13\r\n", 400),
        (b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: a\r\nContent-Length: 2\r\n", 400),
    ],
)
def test_what_opens_no_websocket_is_refused_where_there_are_some(line: bytes, status: int) -> None:
    connection = StrictConnection(MOST_HEAD, 100, opens_websockets=True)
    connection.receive_data(WEBSOCKET + line + b"\r\n")

    with pytest.raises(h11.RemoteProtocolError) as refused:
        connection.next_event()
    assert refused.value.error_status_hint == status


@pytest.mark.parametrize("opens_websockets", [True, False])
@pytest.mark.parametrize("start", [b"POST / HTTP/1.1", b"GET / HTTP/1.0"])
def test_an_upgrade_that_opens_no_websocket_is_ignored(
    start: bytes, *, opens_websockets: bool
) -> None:
    connection = StrictConnection(MOST_HEAD, 100, opens_websockets=opens_websockets)
    connection.receive_data(WEBSOCKET.replace(b"GET / HTTP/1.1", start) + b"\r\n")

    event = connection.next_event()
    assert isinstance(event, h11.Request)
    assert b"upgrade" not in dict(event.headers)


@asynccontextmanager
async def connected(
    app: ServiceApplication, serve: Callable[[BoundedConnection], Awaitable[None]]
) -> AsyncIterator[asyncio.StreamWriter]:
    """A client of a server that does with its connection as is said."""
    bounds = ["MAX_HEAD_SIZE", "MAX_HEADERS", "MAX_CONNECTIONS", "HEAD_TIMEOUT", "SEND_TIMEOUT"]
    app.config.update(dict.fromkeys([*bounds, "KEEP_ALIVE_TIMEOUT"], 1000))
    loop, wrapped, connections = (
        asyncio.get_running_loop(),
        wrap_app(app, 0, None),
        Connections(app),
    )

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        context = WorkerContext(None)
        arguments: list[Any] = [connections, wrapped, loop, Config(), context, {}, reader, writer]
        await serve(BoundedConnection(*arguments))

    async with asyncio.timeout(TIMEOUT), app.test_app():
        connections.start()
        server = await loop.create_server(
            lambda: asyncio.StreamReaderProtocol(CountingReader(), accept), "127.0.0.1", 0
        )
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        yield writer
        writer.close()
        server.close()


async def test_a_connection_whose_tasks_have_ended_can_be_refused(app: ServiceApplication) -> None:
    ended = asyncio.get_running_loop().create_future()
    body = asyncio.Event()

    @app.post("/body")
    async def take() -> str:
        body.set()
        return str(len(await request.get_data()))

    async def serve(connection: BoundedConnection) -> None:
        await connection
        try:
            connection.refuse(408)
        except RuntimeError as error:
            ended.set_exception(error)
        else:
            ended.set_result(connection.find_state()[0])

    async with connected(app, serve) as writer:
        writer.write(b"POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n")
        await body.wait()
        writer.close()
        assert await ended == REFUSED


@pytest.mark.parametrize("number", [errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTUNREACH])
async def test_a_client_is_forgotten_by_whichever_error_it_is_lost(
    app: ServiceApplication, number: int
) -> None:
    ended = asyncio.get_running_loop().create_future()
    served = list[BoundedConnection]()

    @app.get("/")
    async def lose() -> str:
        transport: Any = served[0].transport
        transport._force_close(OSError(number, os.strerror(number)))  # as asyncio does
        await asyncio.sleep(0)
        return "an answer that no client gets"

    async def serve(connection: BoundedConnection) -> None:
        served.append(connection)
        try:
            await connection
        except OSError as error:
            ended.set_exception(error)
        else:
            ended.set_result(set(connection.all.open))

    async with connected(app, serve) as writer:
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert not await ended
