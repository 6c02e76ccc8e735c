"""One generated workspace and one running user service for each process that runs tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from quart_fleet.database._engine import Database

from .people import move_in
from .service import RunningService, running
from .workspace import generate


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a user service, fresh from the generator."""
    return generate(tmp_path_factory.mktemp("contract") / "workspace")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def sound_service(
    workspace: Path, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningService]:
    """The service as it runs in production."""
    log = tmp_path_factory.mktemp("sound") / "log"
    async with running(workspace, database_url, log) as service:
        yield service
    assert service.find_in_log("ERROR") is None, log.read_text()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def debug_service(
    workspace: Path, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningService]:
    """The service as a developer runs it, far from Greenwich."""
    log = tmp_path_factory.mktemp("debug") / "log"
    settings = {"DEBUG": "True", "SECRET_KEY": "change-me", "TZ": "Asia/Kolkata"}
    async with running(workspace, database_url, log, settings) as service:
        yield service


@pytest_asyncio.fixture(loop_scope="session")
async def people(database: Database) -> Database:
    """The database, with Ada, Bob and Éva in it and no other users."""
    await move_in(database)
    return database


@pytest.fixture
def port(sound_service: RunningService, people: Database) -> int:
    """Where the sound service answers, with the people moved in."""
    return sound_service.port
