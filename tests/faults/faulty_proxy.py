"""A proxy of HTTP before a service, whose answers come late, in part, as nonsense or not at all."""

import asyncio
import re
import socket
import struct
from asyncio import StreamReader, StreamWriter
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from random import Random

FAULTS = ("delay", "reset", "stall", "rubbish")
_CREATED = re.compile(rb'"username":"([^"]+)"')
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


@dataclass
class FaultyProxy:
    """Passes each request on to `port()`, and meets a share of the answers with a fault.

    `delay`: the answer comes up to two of `seconds` later. `reset`: the connection is reset before
    the answer or in its midst. `stall`: half of the answer comes, and then nothing. `rubbish`: other
    bytes come in its place, or too few.
    """

    port: Callable[[], int]
    random: Random
    seconds: float = 1
    fault: str = ""
    share: float = 1
    creations: Counter[bytes] = field(default_factory=Counter)
    """How often each username was sent in the body of a request."""
    requests: int = 0
    connections: set[StreamWriter] = field(default_factory=set)
    address: int = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Serve at `address`."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            for writer in self.connections:
                writer.close()

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.connections.add(writer)
        upstream = None
        try:
            source, upstream = await asyncio.open_connection("127.0.0.1", self.port())
            while request := await _message(reader):
                self.requests += 1
                self.creations.update(_CREATED.findall(request))
                upstream.write(request)
                if not (answer := await _message(source)):
                    break
                if not await self._send(answer, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.connections.discard(writer)
            for each in (writer, upstream):
                if each is not None:
                    each.close()

    async def _send(self, answer: bytes, writer: StreamWriter) -> bool:
        """Return whether the connection goes on."""
        random = self.random
        fault = self.fault if random.random() < self.share else ""
        match fault:
            case "delay":
                await asyncio.sleep(random.uniform(0, 2 * self.seconds))
            case "reset":
                if random.random() < 0.5:
                    writer.write(answer[: len(answer) // 2])
                    await asyncio.sleep(0.005)
                # Closed with bytes unread or so: with no time to linger, TCP sends a reset.
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, linger
                )
                return False
            case "stall":
                writer.write(answer[: len(answer) // 2])
                await asyncio.sleep(3 * self.seconds)
                return False
            case "rubbish":
                head, _, body = answer.partition(b"\r\n\r\n")
                length = str(len(body)).encode()
                answer = random.choice(
                    [
                        random.randbytes(300),
                        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>",
                        answer[:-20],
                        answer.replace(b'"data":', b'"date":'),
                        answer.replace(b'"id":', b'"id":"x",').replace(b": " + length, b": 9999"),
                        head.replace(b": " + length, b": 99999999999") + b"\r\n\r\n" + body,
                        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
                        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                        b"HTTP/1.1 204 No Content\r\n\r\n",
                        b"\r\n" * 100,
                    ]
                )
                writer.write(answer)
                return False
        writer.write(answer)
        await writer.drain()
        return True


async def _message(reader: StreamReader) -> bytes:
    """Return a request or an answer whole, nothing at the end of the connection."""
    with suppress(asyncio.IncompleteReadError):
        head = await reader.readuntil(b"\r\n\r\n")
        found = _LENGTH.search(head)
        return head + await reader.readexactly(int(found[1]) if found else 0)
    return b""
