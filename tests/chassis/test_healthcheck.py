"""The health check of an image asks its own service, wherever that listens, and no proxy."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator

import pytest
from quart import Blueprint

from quart_fleet.asgi import ServiceApplication
from quart_fleet.healthcheck import is_healthy
from tests.chassis.services import make_service
from tests.chassis.serving import under_hypercorn
from tests.ports import reserve_port

PROXY = "http://127.0.0.1:9"
PROXIES = dict.fromkeys(
    ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"), PROXY
) | {"NO_PROXY": "", "no_proxy": ""}


async def check(default_port: int, **settings: str) -> int:
    """Return the exit code of the check, as a container engine runs it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "quart_fleet.healthcheck", str(default_port),
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)} | settings,
    )  # fmt: skip
    return await process.wait()


@pytest.fixture
async def port() -> AsyncIterator[int]:
    app = make_service(Blueprint("pages", __name__))
    assert isinstance(app, ServiceApplication)
    async with under_hypercorn(app) as port:
        yield port


async def test_a_service_that_answers_is_healthy_whatever_proxy_is_set(port: int) -> None:
    assert await check(port) == 0
    assert await check(port, **PROXIES) == 0


async def test_the_port_is_that_of_the_settings(port: int) -> None:
    nothing = reserve_port()

    assert await check(nothing) == 1
    assert await check(nothing, PORT=str(port)) == 0
    assert await check(nothing, SERVICE_PORT=str(port), PORT=str(nothing)) == 0
    assert await check(nothing, SERVICE_PORT="", PORT=str(port)) == 0
    assert await check(port, PORT=str(nothing)) == 1


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "127.0.0.1", "localhost", ""])
async def test_the_address_is_that_of_the_settings(host: str, port: int) -> None:
    assert await check(port, HOST=host) == 0


async def test_what_is_no_healthy_service_is_not() -> None:
    async def refuse(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async def babble(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello\r\n\r\n")
        writer.close()

    for answer in (refuse, babble):
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            assert await check(server.sockets[0].getsockname()[1]) == 1


@pytest.mark.parametrize("settings", [{"PORT": "abc"}, {"PORT": "99999"}, {"HOST": "a" * 70}])
def test_settings_that_no_service_starts_with_are_no_healthy_service(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    assert not is_healthy("1")
