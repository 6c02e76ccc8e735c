"""The page of a fleet in this process, without processes of services."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from aiohttp import web

from scaffold.supervisor.fleet import Fleet, Options
from scaffold.supervisor.page.server import page_of
from scaffold.supervisor.reaper import Reaper
from scaffold.supervisor.screen import Screen
from scaffold.supervisor.service import SupervisedService
from scaffold.workspace import Workspace


@contextmanager
def made_fleet(root: Path) -> Iterator[Fleet]:
    """Make a fleet of which nothing runs."""
    with ExitStack() as stack:
        reaper = stack.enter_context(Reaper())
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="page-")))
        yield Fleet(Workspace(root), Options(), folder, reaper, Screen(["database", "fleet"]))


@dataclass
class Served:
    """A fleet, and a client of its page."""

    fleet: Fleet
    client: httpx.AsyncClient
    token: str = ""

    async def events(self, count: int, **headers: str) -> list[tuple[str, Any]]:
        """Return the first events that a page gets."""
        found: list[tuple[str, Any]] = []
        async with self.client.stream("GET", "/_fleet/events", headers=headers) as response:
            assert response.status_code == 200
            text = ""
            async for more in response.aiter_text():
                *events, text = (text + more).split("\n\n")
                for event in events:
                    kind, _, data = event.removeprefix("event: ").partition("\ndata: ")
                    if data:
                        found.append((kind, json.loads(data)))
                if len(found) >= count:
                    return found[:count]
        return found


class LiveProcess:
    """Tells of itself as a process of a service does."""

    def __init__(self, path: Path, service: str, pid: int) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self._begin = {"service": service, "pid": pid, "framework": "9.9"}
        self._told = asyncio.Queue[tuple[str, dict[str, Any]]]()

    def request(self, request_id: str) -> None:
        """Tell of a request."""
        self._told.put_nowait((
            "request",
            {
                "time": 1.0, "id": request_id, "trace_id": None, "method": "GET", "path": "/x",
                "rule": None, "status": 200, "seconds": 0.1, "received": 0, "sent": 0,
                "client": None, "statements": [], "calls": [], "omitted": 0,
            },
        ))  # fmt: skip

    def second(self, memory: int) -> None:
        """Tell of a second."""
        self._told.put_nowait((
            "second",
            {
                "time": 1, "requests": 0, "errors": 0, "p50": None, "p99": None, "running": 0,
                "lag": 0.0, "memory": memory, "pool": None,
            },
        ))  # fmt: skip

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Answer during a block."""

        answering = set[asyncio.Task[None]]()

        def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            answering.add(asyncio.create_task(answer(reader, writer)))

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with closing(writer), suppress(OSError, EOFError):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                kind, told = "process", self._begin
                while True:
                    writer.write(f"event: {kind}\ndata: {json.dumps(told)}\n\n".encode())
                    kind, told = await self._told.get()

        server = await asyncio.start_unix_server(begin, sock=self.socket)
        try:
            yield
        finally:
            server.close()
            for task in answering:
                task.cancel()
            await asyncio.gather(*answering, return_exceptions=True)


def service_at(fleet: Fleet, name: str, listener: socket.socket) -> SupervisedService:
    """Make a service that has no process of its own."""
    port = listener.getsockname()[1]
    around = fleet._around  # of what it shares, nothing is asked here
    return SupervisedService(name, fleet.workspace.root, "127.0.0.1", port, listener, around)


@asynccontextmanager
async def served(root: Path, **services: web.Application) -> AsyncIterator[Served]:
    """Serve the page of a fleet whose services are these applications."""
    with made_fleet(root) as fleet:
        runners = []
        for name, application in services.items():
            listener = socket.create_server(("127.0.0.1", 0))
            runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=1)
            await runner.setup()
            await web.SockSite(runner, listener).start()
            runners.append(runner)
            fleet.services[name] = service_at(fleet, name, listener)
        try:
            async with (
                page_of(fleet, 0) as address,
                httpx.AsyncClient(base_url=address or "", timeout=30) as client,
            ):
                page = (await client.get("/")).text
                assert address
                token = page.partition('fleet-token" content="')[2].partition('"')[0]
                yield Served(fleet, client, token)
        finally:
            for runner in runners:
                await runner.cleanup()
            for service in fleet.services.values():
                service.listener.close()
