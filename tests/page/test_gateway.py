"""One address: requests go to the service that the cluster would send them to, as they are."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from aiohttp import ClientSession, WSMsgType, WSServerHandshakeError, web
from yarl import URL

from scaffold.commands.routes import EVERY_SERVICE
from scaffold.supervisor.page import gateway
from scaffold.supervisor.service import State
from tests.page.served import Served, served, service_at


class Service:
    """A service that tells what it was asked, and streams."""

    def __init__(self, *paths: str) -> None:
        self.app = web.Application(client_max_size=0)
        self.app.router.add_get("/api/v1/openapi.json", self._document)
        self.app.router.add_route("*", "/api/v1/{resource}/echo", self._echo)
        self.app.router.add_route("*", "/api/v1/{resource}/stream", self._stream)
        self.app.router.add_route("*", "/api/v1/{resource}/broken", self._broken)
        self.app.router.add_route("*", "/api/v1/{resource}/never", self._never)
        self.app.router.add_get("/api/v1/{resource}/talk", self._talk)
        self.app.router.add_route("*", "/api/v1/health", self._echo)
        self.paths = paths
        self.received: list[bytes] = []
        self.go_on = asyncio.Event()
        self.left = asyncio.Event()

    async def _document(self, _: web.Request) -> web.Response:
        return web.json_response({"paths": {path: {} for path in self.paths}})

    async def _echo(self, request: web.Request) -> web.Response:
        told = {
            "method": request.method,
            "target": request.raw_path,
            "headers": [(name.lower(), value) for name, value in request.headers.items()],
            "body": (await request.content.read()).decode("latin-1"),
        }
        answer = web.Response(
            body=json.dumps(told).encode(), status=207, content_type="application/json"
        )
        answer.headers.add("Set-Cookie", "a=1")
        answer.headers.add("Set-Cookie", "b=2")
        answer.headers["Keep-Alive"] = "timeout=5"
        return answer

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        try:
            async for chunk in request.content.iter_any():
                self.received.append(chunk)
                await answer.write(chunk)
            await self.go_on.wait()
            await answer.write(b"end")
        except (ConnectionError, asyncio.CancelledError):
            self.left.set()
            raise
        return answer

    async def _broken(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": "100"})
        await answer.prepare(request)
        await answer.write(b"half")
        assert request.transport is not None
        request.transport.close()
        return answer

    async def _talk(self, request: web.Request) -> web.WebSocketResponse:
        joined = web.WebSocketResponse(protocols=["chat"])
        await joined.prepare(request)
        await joined.send_json([request.raw_path, request.headers["X-Forwarded-For"]])
        async for message in joined:
            if message.data == "end":
                await joined.close(code=4001)
            elif message.type is WSMsgType.BINARY:
                await joined.send_bytes(message.data)
            else:
                await joined.send_str(message.data)
        self.received.append(str(joined.close_code).encode())
        return joined

    async def _never(self, request: web.Request) -> web.Response:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.left.set()
            raise
        return web.Response()


@pytest.fixture
async def users() -> Service:
    return Service("/api/v1/", "/api/v1/users", "/api/v1/users/{record_id}")


@pytest.fixture
async def page(tmp_path: Path, users: Service) -> AsyncIterator[Served]:
    orders = Service("/api/v1/orders", "/api/v1/users/orders")
    services = {"user-service": users.app, "order-service": orders.app}
    async with served(tmp_path, **services) as page:
        for service in page.fleet.services.values():
            service.state = "ready"
        page.fleet.changes.tell()
        deadline = time.monotonic() + 15
        while (await page.client.get("/api/v1/users/echo")).status_code == 404:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        yield page


async def test_a_request_goes_through_as_it_is_and_says_whose_it_is(page: Served) -> None:
    answer = await page.client.patch(
        "/api/v1/users/echo?a=%2F%20&b",
        content=b"\x00body",
        headers={
            "X-Own": "1",
            "Connection": "close, X-Hop",
            "X-Hop": "dropped",
            "X-Forwarded-For": "8.8.8.8",
            "Forwarded": "for=8.8.8.8",
            "TE": "trailers",
        },
    )

    told = answer.json()
    headers = dict(told["headers"])
    host = f"localhost:{page.client.base_url.port}"
    assert (answer.status_code, told["method"]) == (207, "PATCH")
    assert told["target"] == "/api/v1/users/echo?a=%2F%20&b"
    assert told["body"] == "\x00body"
    assert (headers["host"], headers["x-own"], headers["content-length"]) == (host, "1", "5")
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert (headers["x-forwarded-host"], headers["x-forwarded-proto"]) == (host, "http")
    assert not {"x-hop", "te", "forwarded", "keep-alive"} & headers.keys()
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert "keep-alive" not in answer.headers


async def test_the_longest_path_wins_and_no_other_leads_anywhere(page: Served) -> None:
    async def answers(path: str) -> int:
        return (await page.client.get(path)).status_code

    assert await answers("/api/v1/users/echo") == 207
    assert await answers("/api/v1/orders/echo") == 207
    for path in ("/api/v1/usersecho", "/api/v1/health", "/api/v1/", "/other", "/api/v1/nothing"):
        answer = await page.client.get(path)
        assert (answer.status_code, answer.json()) == (
            404,
            {"message": "Endpoint not found", "success": False},
        )


async def test_the_page_says_which_paths_lead_nowhere(page: Served) -> None:
    hint = (await page.client.get("/")).text.partition("but for what every service has: ")[2]

    named = hint.partition(".</p>")[0].split(", ")
    assert sorted(named) == sorted(EVERY_SERVICE)
    assert {(await page.client.get(path)).status_code for path in named} == {404}


async def test_bodies_go_through_in_both_directions_as_they_come(
    page: Served, users: Service
) -> None:
    url = page.client.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(
        b"POST /api/v1/users/stream HTTP/1.1\r\nHost: localhost\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n"
    )
    async with asyncio.timeout(30):
        await reader.readuntil(b"\r\n\r\n3\r\none\r\n")
        writer.write(b"3\r\ntwo\r\n")
        await reader.readuntil(b"3\r\ntwo\r\n")
        writer.write(b"0\r\n\r\n")
        users.go_on.set()
        rest = await reader.readuntil(b"0\r\n\r\n")
    writer.close()

    assert rest == b"3\r\nend\r\n0\r\n\r\n"
    assert users.received == [b"one", b"two"]


@pytest.mark.parametrize("path", ["never", "stream"])
async def test_a_client_that_leaves_takes_its_request_along(
    page: Served, users: Service, path: str
) -> None:
    with pytest.raises(httpx.ReadTimeout):
        await page.client.get(f"/api/v1/users/{path}", timeout=0.5)

    async with asyncio.timeout(30):
        await users.left.wait()


async def test_a_service_that_is_not_there_is_a_502_in_the_envelope(
    page: Served, deaf_socket: socket.socket
) -> None:
    service = page.fleet.services["order-service"]
    origin = {"Origin": "http://a.example"}
    deaf = page.fleet.services["order-service"] = service_at(
        page.fleet, "order-service", deaf_socket
    )
    deaf.state = "ready"
    refused = await page.client.get("/api/v1/orders/echo", headers=origin)
    page.fleet.services["order-service"] = service
    service.state, service.reason = "failed", "ended with password=ter2"
    failed = await page.client.get("/api/v1/orders/echo", headers=origin)
    tried = await page.client.get(
        "/_fleet/to/order-service/x", headers={"X-Fleet-Token": page.token}
    )

    for answer, message in (
        (refused, "order-service does not answer"),
        (failed, "order-service does not run: see the page"),
        (tried, "order-service does not run: see the page"),
    ):
        assert answer.status_code == 502
        assert answer.json() == {"message": message, "success": False}


@pytest.fixture
async def waiting(page: Served) -> AsyncIterator[socket.socket]:
    """The socket of a service that is about to be started again, with room for those who wait."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        service = service_at(page.fleet, "order-service", listener)
        service.state = "restarting"
        page.fleet.services["order-service"] = service
        yield listener


@pytest.mark.parametrize("before", ["restarting", "ready"])
async def test_a_request_that_waits_for_a_process_is_released_when_none_comes(
    page: Served, waiting: socket.socket, before: State
) -> None:
    """`ready`: the supervisor may not know yet that the process has ended."""
    service = page.fleet.services["order-service"]
    service.state = before
    path = "/api/v1/orders/echo"
    asking = [
        asyncio.create_task(page.client.request(method, path, content=body))
        for method, body in (("GET", b""), ("POST", b"body"))
    ]
    with ExitStack() as stack:
        if before == "ready":
            for _ in asking:
                taken, _ = await asyncio.get_running_loop().sock_accept(waiting)
                stack.enter_context(taken)
        else:
            await asyncio.wait(asking, timeout=0.2)
        service.state = "failed"
        page.fleet.changes.tell()
        async with asyncio.timeout(30):
            answers = await asyncio.gather(*asking)

    told = {"message": "order-service does not run: see the page", "success": False}
    assert [(each.status_code, each.json()) for each in answers] == [(502, told)] * 2


@pytest.mark.parametrize("body", [b"", b"body"])
async def test_of_a_client_that_leaves_before_a_process_comes_nothing_is_carried_out(
    page: Served, waiting: socket.socket, body: bytes
) -> None:
    with pytest.raises(httpx.ReadTimeout):
        await page.client.post("/api/v1/orders/echo", content=body, timeout=0.2)
    staying = asyncio.create_task(page.client.post("/api/v1/orders/echo", content=b"stays"))
    await asyncio.wait([staying], timeout=0.2)
    page.fleet.services["order-service"].state = "ready"
    page.fleet.changes.tell()
    loop = asyncio.get_running_loop()
    seen = b""
    async with asyncio.timeout(30):
        while b"stays" not in seen:
            taken, _ = await loop.sock_accept(waiting)
            with taken:
                while read := await loop.sock_recv(taken, 65536):
                    seen += read
                    if seen.endswith(b"stays"):
                        answer = b"HTTP/1.1 204 No Content\r\n\r\n"
                        await loop.sock_sendall(taken, answer)
                        break
        answered = await staying

    assert answered.status_code == 204
    assert seen.endswith(b"\r\n\r\nstays")
    assert seen.count(b"POST ") == 1


async def test_a_service_that_does_not_answer_is_a_504_in_the_envelope(
    page: Served, users: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "IDLE_TIMEOUT", 0.1)
    answer = await page.client.get("/api/v1/users/never")

    assert (answer.status_code, answer.json()["success"]) == (504, False)
    assert "user-service has not answered" in answer.json()["message"]
    async with asyncio.timeout(30):
        await users.left.wait()


async def test_a_service_that_takes_no_connection_is_a_504_of_the_time_that_was_waited(
    tmp_path: Path, users: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "CONNECT_TIMEOUT", 0.2)
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):  # which it never takes: there is no room for another
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        async with served(tmp_path, **{"user-service": users.app}) as page:
            service = service_at(page.fleet, "user-service", listener)
            service.state = "ready"
            page.fleet.services["user-service"] = service
            answer = await page.client.get(
                "/_fleet/to/user-service/x", headers={"X-Fleet-Token": page.token}
            )

    assert answer.status_code == 504
    assert answer.json()["message"] == "user-service has not taken the connection within 0.2 s"


async def test_an_answer_that_breaks_off_is_not_made_whole(page: Served) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await page.client.get("/api/v1/users/broken")


async def test_a_websocket_is_joined_with_that_of_the_service(page: Served, users: Service) -> None:
    url = URL(f"{page.client.base_url}api/v1/users/talk?a=%2F", encoded=True)
    async with ClientSession() as session:
        async with session.ws_connect(url, protocols=("other", "chat")) as joined:
            first = await joined.receive_json()
            await joined.send_str("é" * 100_000)
            text = await joined.receive_str()
            await joined.send_bytes(b"\x00\xff")
            data = await joined.receive_bytes()
            await joined.send_str("end")
            ended = await joined.receive()
            protocol = joined.protocol
        async with session.ws_connect(url) as joined:
            await joined.receive_json()
            await joined.close(code=4002)

    assert first == ["/api/v1/users/talk?a=%2F", "127.0.0.1"]
    assert (protocol, text, data) == ("chat", "é" * 100_000, b"\x00\xff")
    assert (ended.type, ended.data) == (WSMsgType.CLOSE, 4001)
    deadline = time.monotonic() + 15
    while users.received[1:] != [b"4002"]:
        assert time.monotonic() < deadline, users.received
        await asyncio.sleep(0.02)


async def test_a_websocket_that_cannot_be_joined_is_refused(
    page: Served, deaf_socket: socket.socket
) -> None:
    deaf = page.fleet.services["order-service"] = service_at(
        page.fleet, "order-service", deaf_socket
    )
    deaf.state = "ready"
    found = []
    for path, host in (
        ("/api/v1/users/echo", "localhost"),
        ("/api/v1/users/talk", "a.example"),
        ("/api/v1/orders/talk", "localhost"),
        ("/nowhere", "localhost"),
        ("/_fleet/events", "localhost"),
    ):
        async with ClientSession(str(page.client.base_url)) as session:
            with pytest.raises(WSServerHandshakeError) as raised:
                await session.ws_connect(path, headers={"Host": host})
        found.append(raised.value.status)

    assert found == [207, 403, 502, 403, 403]


async def test_html_of_a_service_is_of_no_origin(page: Served) -> None:
    answer = await page.client.get("/api/v1/users/echo")

    assert answer.headers["Content-Security-Policy"].startswith("sandbox ")
    assert "allow-same-origin" not in answer.headers["Content-Security-Policy"]
    refused = await page.client.get("/api/v1/users/echo", headers={"Service-Worker": "script"})
    assert refused.status_code == 403


async def test_only_the_page_tries_what_the_ingress_does_not_lead_to(page: Served) -> None:
    path = "/_fleet/to/user-service/api/v1/health?x=1"
    tried = await page.client.get(path, headers={"X-Fleet-Token": page.token})
    without = await page.client.get(path)
    foreign = await page.client.get(
        path, headers={"X-Fleet-Token": page.token, "Origin": "http://evil.example"}
    )
    unknown = await page.client.get("/_fleet/to/other/", headers={"X-Fleet-Token": page.token})

    assert tried.json()["target"] == "/api/v1/health?x=1"
    assert "x-fleet-token" not in dict(tried.json()["headers"])
    assert [each.status_code for each in (without, foreign, unknown)] == [403, 403, 404]
