"""Where a service listens, how long it keeps a connection, and which proxies it believes.

By real processes, under both servers, with one worker and with two.
"""

import asyncio
from pathlib import Path

import pytest

from .service import RunningService, running
from .wire import TIMEOUT, Answer
from .workspace import copy

OPTIONS = [
    "",
    pytest.param("--workers 2", marks=pytest.mark.slow),
    "--server hypercorn",
    pytest.param("--server hypercorn --workers 2", marks=pytest.mark.slow),
]
IPV4, IPV6 = "127.0.0.1", "::1"
FORWARDED = "X-Forwarded-Proto: https\r\nX-Forwarded-For: 203.0.113.9\r\n"
TELLING = """

create_service = create_app


def create_app() -> Quart:
    app = create_service()

    @app.get("/asked")
    async def tell() -> str:
        from quart import request

        return f"{request.scheme} {request.remote_addr}"

    return app
"""
_USUAL = 6.0
"""Seconds: longer than the 5 that both servers wait by themselves."""


@pytest.fixture(scope="module")
def telling_workspace(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy whose user service tells what it takes for the client's scheme and address."""
    copied = copy(workspace, tmp_path_factory.mktemp("telling") / "workspace")
    with (copied / "services/user_service/bootstrap.py").open("a") as bootstrap:
        bootstrap.write(TELLING)
    return copied


async def ask(host: str, service: RunningService) -> Answer:
    """Ask what the service takes this client for, as a proxy would."""
    reader, writer = await asyncio.open_connection(host, service.port)
    request = f"GET /asked HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n{FORWARDED}\r\n"
    writer.write(request.encode())
    answer = Answer.read(await reader.read())
    writer.close()
    return answer


async def closes_within(seconds: float, service: RunningService) -> bool:
    """Ask once, and say whether the idle connection is closed within these seconds."""
    reader, writer = await asyncio.open_connection(IPV4, service.port)
    writer.write(b"GET /api/v1/health HTTP/1.1\r\nHost: shop\r\n\r\n")
    assert b" 200 " in await reader.readline()
    try:
        async with asyncio.timeout(seconds):
            await reader.read()
    except TimeoutError:
        return False
    finally:
        writer.close()
    return True


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS)
async def test_the_settings_of_the_socket_hold_under_every_server(
    options: str, telling_workspace: Path, database_url: str, tmp_path: Path
) -> None:
    settings = {
        "HOST": "::",
        "KEEP_ALIVE_TIMEOUT": "1",
        "FORWARDED_ALLOW_IPS": "127.0.0.0/8,10.0.0.0/8",
    }

    async with running(
        telling_workspace, database_url, tmp_path / "log", settings, options.split()
    ) as service:
        believed, unbelieved = await ask(IPV4, service), await ask(IPV6, service)
        closed = await closes_within(TIMEOUT, service)

    assert believed.body == b"https 203.0.113.9"
    assert unbelieved.body == b"http ::1"
    assert closed


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS)
async def test_a_connection_is_kept_longer_than_servers_do_by_themselves(
    options: str, workspace: Path, database_url: str, tmp_path: Path
) -> None:
    async with running(workspace, database_url, tmp_path / "log", {}, options.split()) as service:
        assert not await closes_within(_USUAL, service)
