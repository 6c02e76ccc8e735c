"""A way to PostgreSQL on which one statement meets an accident."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tests.contract.gate import Gate

Accident = Callable[[StreamWriter, StreamWriter, bytes], None]
"""What is done to the client, to the server, and with the statement."""

_FATAL = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0"
_ANSWER = b"E" + (len(_FATAL) + 4).to_bytes(4, "big") + _FATAL
"""A server's message to a session that it ends (PostgreSQL's manual, "Message Formats")."""
_BIND = b"B"
"""The first byte of the message that carries out a prepared statement."""


def refused(client: StreamWriter, _server: StreamWriter, _statement: bytes) -> None:
    """Answer as a server that stops, and close."""
    client.write(_ANSWER)
    client.close()


def lost_on_the_way(client: StreamWriter, _server: StreamWriter, _statement: bytes) -> None:
    """Close before the statement is passed on."""
    client.close()


def lost_on_the_way_back(client: StreamWriter, server: StreamWriter, statement: bytes) -> None:
    """Close, but pass the statement on."""
    client.close()
    server.write(statement)


def swallowed(_client: StreamWriter, _server: StreamWriter, _statement: bytes) -> None:
    """Leave the client waiting for an answer."""


class Road(Gate):
    """A gate; the next statement that comes by meets `accident`."""

    accident: Accident | None = None

    def __init__(self, database_url: str) -> None:
        super().__init__(database_url)
        self._clients: list[StreamWriter] = []

    def announce_the_end(self) -> None:
        """Say to every client that its session ends, but do not close it yet."""
        for client in self._clients:
            client.write(_ANSWER)

    async def _pass_on(
        self, source: StreamReader, target: StreamWriter, client: StreamWriter
    ) -> None:
        self._clients.append(client)
        while data := await source.read(2**16):
            if self.accident is not None and data.startswith(_BIND):
                self.accident(client, target, data)
                self.accident = None
            else:
                target.write(data)
        target.close()


@asynccontextmanager
async def opened_road(database_url: str) -> AsyncIterator[Road]:
    """Open a way to the database, and close it at the end."""
    road = Road(database_url)
    await road.open()
    try:
        yield road
    finally:
        await road.close()
        await asyncio.sleep(0)
