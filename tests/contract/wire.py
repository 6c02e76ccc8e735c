"""One exchange over a socket of its own: what is sent and what comes back, byte for byte."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

TIMEOUT = 60.0
"""Seconds that a test waits for anything at all."""
ANSWERED: dict[int, list[tuple[int, str]]] = {}
"""The status and the X-Request-ID of each answer, by port of those services that log all of them."""
_PROBES = (b"/api/v1/health", b"/api/v1/health/ready")


@dataclass(frozen=True, slots=True)
class Answer:
    """A response; the names of its headers are in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @classmethod
    def read(cls, received: bytes) -> "Answer":
        """Take a response apart; raises ValueError where it is not one whole response."""
        head, _, body = received.partition(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        fields = [line.split(":", 1) for line in lines]
        headers = tuple((name.strip().lower(), value.strip()) for name, value in fields)
        return cls(int(status_line.split(" ")[1]), headers, body)

    def find(self, name: str) -> str | None:
        """Return a header's value, None where it is absent; raises ValueError on several."""
        values = [value for each, value in self.headers if each == name.lower()]
        if len(values) > 1:
            raise ValueError(f"{name} is there {len(values)} times")
        return values[0] if values else None


def spell(
    method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> bytes:
    """Write a request that ends its connection; nothing in it is checked or escaped."""
    fields = {"Host": "localhost", "Connection": "close"}
    if body is not None:
        fields["Content-Length"] = str(len(body))
    fields |= headers or {}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def spell_chunked(
    method: str, path: str, headers: Mapping[str, str], body: bytes, size: int
) -> bytes:
    """Write a request whose body comes in chunks of this size."""
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in [*parts, b""])
    return spell(method, path, {"Transfer-Encoding": "chunked", **headers}) + chunks


async def exchange(port: int, request: bytes) -> Answer:
    """Send the bytes and read until the service closes the connection."""
    async with asyncio.timeout(TIMEOUT):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(request)
            await writer.drain()
            answer = Answer.read(await reader.read())
        finally:
            writer.close()
            await writer.wait_closed()
    if port in ANSWERED and (given := answer.find("x-request-id")):
        target = request.split(b" ")[1].split(b"?")[0]  # which may be a whole URL
        is_probe = answer.status == 200 and target.endswith(_PROBES)
        ANSWERED[port] += [] if is_probe else [(answer.status, given)]
    return answer
