"""What uvicorn's protocol makes of bytes, one connection at a time."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from types import SimpleNamespace

import pytest
import pytest_asyncio
import uvicorn
from quart import Blueprint, Response, request
from uvicorn.server import ServerState

from quart_fleet.asgi._application import ServiceApplication
from quart_fleet.server._connections import (
    HEAD,
    IDLE,
    LINGER_TIMEOUT,
    REST,
    Connection,
    Connections,
)
from quart_fleet.server._uvicorn import BoundedProtocol
from tests.chassis.services import make_service
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


KEPT = b"POST /headers HTTP/1.1\r\nContent-Length: 2\r\n" + HOST + b"\r\n{}"


class Service:
    """An application whose answers the test holds back, and the connections to it."""

    def __init__(self, app: ServiceApplication) -> None:
        self.go_on = asyncio.Event()
        self.begun = asyncio.Event()
        self.left = asyncio.Event()
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
                try:
                    await self.go_on.wait()
                except asyncio.CancelledError:
                    self.left.set()
                    raise
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
    records = [*caplog.get_records("call"), *caplog.records]
    assert not [each for each in records if each.exc_info], caplog.text


async def test_what_follows_a_body_is_no_header(service: Service) -> None:
    head = b"POST /headers HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
    trailers = b"Authorization: forged\r\nX-Forwarded-For: 6.6.6.6\r\n"

    async with service.connect() as (reader, writer):
        writer.write(head + HOST + b"\r\n2\r\n{}\r\n0\r\n" + trailers + b"\r\n")
        answer = await reader.read()

    assert b" 200 " in answer
    assert b"forged" not in answer
    assert b"6.6.6.6" not in answer


STREAM = b"GET /stream HTTP/1.1\r\n" + HOST + b"\r\n"
HELD = b"POST /held HTTP/1.1\r\nContent-Length: 2\r\n" + HOST + b"\r\n{}"
UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
STREAMED = b"5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "wrong",
    {
        "no HTTP": b"hello\r\n\r\n",
        "no Host": b"GET /held HTTP/1.1\r\n\r\n",
        "a body that is none": b"POST /held HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
        + HOST
        + b"\r\nx\r\n",
        "a WebSocket": b"GET /held HTTP/1.1\r\nSec-WebSocket-Key: a\r\n" + UPGRADE + HOST + b"\r\n",
    }.items(),
    ids=lambda pair: pair[0],
)
@pytest.mark.parametrize("queued", [0, 1, 2])
async def test_what_cannot_be_read_is_refused_behind_the_answers_before(
    queued: int, wrong: tuple[str, bytes], service: Service
) -> None:
    service.connections.opens_websockets = True
    async with service.connect() as (reader, writer):
        writer.write(STREAM)
        await service.begun.wait()
        writer.write(HELD * queued + wrong[1])
        await reader.readuntil(b"first\r\n")
        service.go_on.set()
        rest = await reader.read()

    first, *others = rest.split(b"HTTP/1.1 ")
    assert first == STREAMED.partition(b"first\r\n")[2]
    assert [each[:3] for each in others] == [*[b"200"] * queued, b"400"]


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"Sec-WebSocket-Version: 12\r\nSec-WebSocket-Key: a\r\n", b"426"),
        (b"Sec-WebSocket-Version: 13\r\n", b"400"),
        (b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: a\r\nContent-Length: 2\r\n", b"400"),
    ],
)
async def test_what_opens_no_websocket_is_refused_where_there_are_some(
    line: bytes, status: bytes, service: Service
) -> None:
    service.connections.opens_websockets = True
    async with service.connect() as (reader, writer):
        writer.write(
            b"GET /held HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            + line
            + HOST
            + b"\r\n"
        )
        answer = await reader.read()

    assert answer.split(b" ")[1] == status


async def test_a_write_that_is_carried_out_is_answered_before_stray_bytes(service: Service) -> None:
    async with service.connect() as (reader, writer):
        writer.write(HELD + b"{}")
        await service.begun.wait()
        service.go_on.set()
        answers = await reader.read()

    assert [each[:3] for each in answers.split(b"HTTP/1.1 ")[1:]] == [b"200", b"400"]


@pytest.mark.parametrize("unfinished", [b"", b"GET"])
async def test_a_client_that_sends_no_more_is_not_asked_within_an_answer(
    unfinished: bytes, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quart_fleet.server._connections.PROBE_DELAY", 0)
    asked = asyncio.Event()
    monkeypatch.setattr(BoundedProtocol, "_end_if_left", lambda _self: asked.set())
    async with service.connect() as (reader, writer):
        writer.write(STREAM + HELD)
        await service.begun.wait()
        writer.write(unfinished)
        writer.write_eof()
        await asked.wait()
        service.go_on.set()
        answers = await reader.read()

    first, *others = answers.split(b"HTTP/1.1 ")[1:]
    assert first.endswith(b"\r\n\r\n" + STREAMED)
    assert [each[:3] for each in others] == [b"200"]


async def test_half_a_request_at_the_end_costs_no_answer_before(service: Service) -> None:
    async with service.connect() as (reader, writer):
        writer.write(STREAM + HELD[:-1])
        await service.begun.wait()
        writer.write_eof()
        await reader.readuntil(b"first\r\n")
        service.go_on.set()
        rest = await reader.read()

    assert rest == STREAMED.partition(b"first\r\n")[2]


async def test_the_request_that_is_answered_learns_that_its_client_has_left(
    service: Service,
) -> None:
    async with service.connect() as (_reader, writer):
        writer.write(STREAM + HELD)
        await service.begun.wait()
        (connection,) = service.connections.open
        connection.transport.abort()
        await service.left.wait()


@pytest.mark.parametrize("is_apart", [False, True])
@pytest.mark.parametrize(
    ("behind", "state"), [(b"", IDLE), (b"\r\n", IDLE), (b"GET / HT", HEAD), (b"\r\nG", HEAD)]
)
async def test_half_a_head_is_waited_for_as_such_wherever_its_packet_began(
    behind: bytes, state: int, is_apart: bool, service: Service
) -> None:
    async with service.connect() as (reader, writer):
        writer.write(KEPT if is_apart else KEPT + behind)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if b"content-length" in line)
        await reader.readexactly(int(length.partition(b":")[2]))
        if is_apart:
            (connection,) = service.connections.open
            assert isinstance(connection, BoundedProtocol)
            connection.data_received(behind)

        assert service.find_state() == state


async def test_a_body_that_does_not_end_behind_its_answer_ends_its_connection(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quart_fleet.asgi._http.LINGER_TIMEOUT", 0)
    service.go_on.set()
    now = asyncio.get_running_loop().time()
    async with service.connect() as (reader, writer):
        writer.write(
            b"POST /held HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + HOST + b"\r\n2\r\n{}"
        )
        answer = await reader.readuntil(b"held")
        (connection,) = service.connections.open
        assert service.find_state() == REST
        service.connections.end_late(connection, now)
        service.connections.end_late(connection, now + LINGER_TIMEOUT)
        with suppress(ConnectionResetError):
            assert await reader.read() == b""

    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_a_body_that_pauses_while_it_is_read_part_by_part_has_a_limit(
    service: Service, app: ServiceApplication
) -> None:
    app.config["BODY_TIMEOUT"] = 0.1

    @app.post("/parts")
    async def parts() -> str:
        return str(sum([len(part) async for part in request.body]))

    async with service.connect() as (reader, writer):
        writer.write(b"POST /parts HTTP/1.1\r\nContent-Length: 3\r\n" + HOST + b"\r\n{}")
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 408 ")


async def test_where_answers_are_too_much_those_that_take_nothing_end_first(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not those that are slow, though what waits for them changes seldom."""
    connections = service.connections
    most = connections.app.bodies.most
    ended = list[str]()
    clients = [
        SimpleNamespace(
            unsent=most * 2 // 5,
            unsent_since=unsent_since,
            untaken_since=untaken_since,
            transport=SimpleNamespace(abort=partial(ended.append, name)),
        )
        for name, unsent_since, untaken_since in [
            ("slow", 90.0, 99.9),
            ("stuck", 95.0, 95.0),
            ("quick", 99.9, 99.9),
        ]
    ]
    monkeypatch.setattr(connections, "open", clients)

    connections._end_unread(100.0)

    assert ended == ["stuck"]


async def test_one_connection_that_cannot_be_looked_at_keeps_no_other_open(
    service: Service, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = service.connections
    connections.app.config["HEAD_TIMEOUT"] = 0
    async with service.connect() as (_, writer), service.connect() as (reader, other):
        for each in (writer, other):
            each.write(b"GET")
        while [each.find_state()[0] for each in connections.open] != [HEAD, HEAD]:  # noqa: ASYNC110
            await asyncio.sleep(0)
        address = writer.get_extra_info("sockname")
        wrong = next(
            each
            for each in connections.open
            if each.transport.get_extra_info("peername") == address
        )
        monkeypatch.setattr(wrong, "find_state", lambda: 1 / 0)
        timer = connections._timer
        timer.cancel()
        with suppress(ZeroDivisionError):
            connections._sweep()
        answer = await reader.read()
        assert wrong not in connections.open

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert connections._timer is not timer
    assert "division by zero" in caplog.text
    caplog.clear()


async def test_a_client_of_http_1_0_gets_its_answer_alone(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quart_fleet.server._connections.PROBE_DELAY", 0)
    asked = asyncio.Event()
    monkeypatch.setattr(BoundedProtocol, "_end_if_left", lambda _self: asked.set())
    async with service.connect() as (reader, writer):
        writer.write(b"GET /held HTTP/1.0\r\n\r\n")
        writer.write_eof()
        await asked.wait()
        service.go_on.set()

        assert (await reader.read()).startswith(b"HTTP/1.1 200 ")


async def test_a_stream_that_is_cut_at_the_end_of_the_grace_is_no_error(service: Service) -> None:
    async with service.connect() as (reader, writer):
        writer.write(STREAM)
        await service.begun.wait()
        (connection,) = service.connections.open
        assert isinstance(connection, BoundedProtocol)
        (task,) = connection.tasks
        task.cancel()
        answer = await reader.read()

    assert answer.endswith(b"5\r\nfirst\r\n")


async def test_who_could_make_room_is_looked_for_once_between_two_sweeps(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.connections.most = 1
    looked = list[Connection]()
    find_state = BoundedProtocol.find_state

    def look(connection: BoundedProtocol) -> tuple[int, object]:
        looked.append(connection)
        return find_state(connection)

    async with service.connect() as (_, writer):
        writer.write(HELD)
        await service.begun.wait()
        (busy,) = service.connections.open
        service.connections._timer.cancel()
        monkeypatch.setattr(BoundedProtocol, "find_state", look)
        for _ in range(3):
            async with service.connect() as (reader, _late):
                assert (await reader.read()).startswith(b"HTTP/1.1 503 ")
        assert looked.count(busy) == 1
        service.go_on.set()


def test_connections_leave_files_for_both_pools_of_the_database(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _kind: (500, 500))
    small, large = (
        make_service(Blueprint("none", __name__), {"DB_POOL_SIZE": size}) for size in (1, 41)
    )
    assert isinstance(small, ServiceApplication)
    assert isinstance(large, ServiceApplication)

    assert Connections(large).most == Connections(small).most - 80
