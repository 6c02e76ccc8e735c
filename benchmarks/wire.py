"""One request at a time on a plain socket, byte for byte."""

import socket
from dataclasses import dataclass
from types import TracebackType
from typing import Self

_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What the contract says of an answer: the status, the body's bytes, the next page."""

    status: int
    body: bytes
    link: bytes = b""
    """The value of the header `Link`, which has the next page's address."""


def encode(method: str, path: str, body: bytes | None = None) -> bytes:
    """Write a request as the load generators do."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def ask(port: int, method: str, path: str, body: bytes | None = None) -> Answer:
    """Ask once on a connection of its own."""
    with Connection(port) as connection:
        return connection.ask(encode(method, path, body))


class Connection:
    """A connection that is kept alive."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT)
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()
        self._socket.close()

    def ask(self, request: bytes) -> Answer:
        """Send a request and read its answer; raises ConnectionError where there is none."""
        self._socket.sendall(request)
        status = self._line().split()
        length, chunked, link = 0, False, b""
        while line := self._line():
            name, _, value = line.lower().partition(b":")
            if name == b"link":
                link = value.strip()
            if name == b"content-length":
                length = int(value)
            chunked = chunked or (name == b"transfer-encoding" and b"chunked" in value)
        body = self._chunks() if chunked else self._file.read(length)
        return Answer(int(status[1]), body, link)

    def _line(self) -> bytes:
        line = self._file.readline()
        if not line.endswith(b"\n"):
            raise ConnectionError("the connection ended before the answer did")
        return line.rstrip(b"\r\n")

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self._line(), 16):
            body += self._file.read(size)
            self._line()
        self._line()
        return body
