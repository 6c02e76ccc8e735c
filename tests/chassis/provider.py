"""A service by bare sockets, which answers as a test says and notes what it is sent."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from quart_fleet.asgi._application import LeanApplication
from quart_fleet.clients import Clients, ServiceClient
from quart_fleet.settings import ServiceSettings
from quart_fleet.web import Envelope

CUT = b""
"""Instead of an answer: the connection ends."""


@dataclass
class Received:
    """A request, by the words of its head."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


def answer(status: int, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Any", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def success(data: bytes) -> bytes:
    return answer(200, b'{"data":%s,"message":"Success","success":true}\n' % data)


def refusal(status: int, message: str, *headers: str, errors: str = "{}") -> bytes:
    body = f'{{"errors":{errors},"message":"{message}","success":false}}'
    return answer(status, body.encode(), *headers)


@dataclass
class Provider:
    """Answers each request by the next of `answers`, and the last one again and again."""

    answers: Sequence[bytes | Callable[[], Awaitable[bytes]]]
    received: list[Received] = field(default_factory=list)
    port: int = 0
    connections: int = 0
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Answer at `port`, which is chosen the first time."""
        serving = set[asyncio.Task[None]]()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._open.add(writer)
            serving.add(asyncio.ensure_future(self._serve(reader, writer)))

        server = await asyncio.start_server(accept, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            # First no client is accepted any more, and each one that was has a transport: Python 3.11's server
            # drops a connection without closing it where it is closed between the two.
            for listener in server.sockets:
                asyncio.get_running_loop().remove_reader(listener.fileno())
            for _ in range(10):
                await asyncio.sleep(0)
            server.close()
            left = [*self._open]
            for writer in left:
                writer.close()
            for task in serving:
                task.cancel()
            closed = (each.wait_closed() for each in left)
            await asyncio.gather(*serving, *closed, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode().rstrip().split("\r\n")
                headers = {
                    name.lower(): value.strip()
                    for name, _, value in (line.partition(":") for line in lines)
                }
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                method, path, _ = first.split()
                self.received.append(Received(method, path, headers, body))
                said = self.answers[min(len(self.received), len(self.answers)) - 1]
                sent = said if isinstance(said, bytes) else await said()
                if sent == CUT:
                    break
                writer.write(sent)
                if b"Connection: close" in sent:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()


@asynccontextmanager
async def calling(
    url: str | None, envelope: type[Envelope] | None = None, **settings: object
) -> AsyncIterator[ServiceClient]:
    """What calls the service at an address, None where a registry says it, while an application serves."""
    app = LeanApplication(__name__, static_folder=None)
    config = ServiceSettings.model_validate(
        {"TESTING": True, "SERVICE_NAME": "order-service", **settings}
    )
    client = Clients(app, config, envelope).of("user-service", url)
    async with app.test_app():
        yield client
