"""A way to the database that can be closed and opened again, as if its server went and came."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import parse_qs, urlsplit


class Gate:
    """Forwards connections to PostgreSQL while it is open; entered and left by `opened`."""

    def __init__(self, database_url: str) -> None:
        self._database = urlsplit(database_url)
        self._server: asyncio.Server | None = None
        self._connections: set[StreamWriter] = set()
        self._port = 0

    @property
    def url(self) -> str:
        """The database's URL through the gate; known once it was open."""
        user = self._database.username or "postgres"
        address = f"127.0.0.1:{self._port}{self._database.path}"
        return f"postgresql://{user}@{address}?sslmode=disable"

    @property
    def idle(self) -> bool:
        """Whether no connection goes through the gate."""
        return not self._connections

    async def open(self) -> None:
        """Let connections through, always at the same port."""
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Cut every connection and refuse new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    def cut(self) -> None:
        """Cut every connection; the next ones are let through."""
        for writer in self._connections:
            writer.close()

    async def _forward(self, reader: StreamReader, writer: StreamWriter) -> None:
        async with AsyncExitStack() as stack:
            self._keep(stack, writer)
            answers, questions = await self._connect()
            self._keep(stack, questions)
            await asyncio.wait(
                [
                    asyncio.create_task(self._pass_on(reader, questions, writer)),
                    asyncio.create_task(self._pass_back(answers, writer)),
                ]
            )

    async def _pass_on(
        self, source: StreamReader, target: StreamWriter, _client: StreamWriter
    ) -> None:
        """Pass a client's questions on to the server."""
        await _copy(source, target)

    async def _pass_back(self, source: StreamReader, client: StreamWriter) -> None:
        """Pass the server's answers back to a client."""
        await _copy(source, client)

    def _keep(self, stack: AsyncExitStack, writer: StreamWriter) -> None:
        self._connections.add(writer)
        stack.callback(self._connections.discard, writer)
        stack.callback(writer.close)

    async def _connect(self) -> tuple[StreamReader, StreamWriter]:
        options = parse_qs(self._database.query)
        host = self._database.hostname or options.get("host", ["localhost"])[0]
        port = self._database.port or int(options.get("port", ["5432"])[0])
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, port)


@asynccontextmanager
async def opened(database_url: str) -> AsyncIterator[Gate]:
    """Open a gate to the database, and close it at the end."""
    gate = Gate(database_url)
    await gate.open()
    try:
        yield gate
    finally:
        await gate.close()


async def _copy(source: StreamReader, target: StreamWriter) -> None:
    try:
        while data := await source.read(2**16):
            target.write(data)
            await target.drain()
    except ConnectionError:
        pass  # this connection was cut
    finally:
        target.close()
