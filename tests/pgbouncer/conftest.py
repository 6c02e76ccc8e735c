"""The user service of the contract, but with a PgBouncer before its database."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.contract.conftest import people, port, workspace
from tests.contract.service import RunningService, running
from tests.pgbouncer.load import reading
from tests.pgbouncer.pooler import Pooler, find_program, pooling

__all__ = ["debug_service", "people", "pooler", "port", "sound_service", "workspace"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def pooler(database_url: str) -> AsyncIterator[Pooler]:
    """A PgBouncer before the run's server; a skip where none is installed, but not in CI."""
    program = find_program()
    if program is None:
        reason = "pgbouncer is not installed"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    async with pooling(program, database_url) as running_pooler:
        yield running_pooler


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def sound_service(
    workspace: Path, database_url: str, pooler: Pooler, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningService]:
    """The service as it runs in a cluster: several processes, which share few connections.

    For one module: other tests cut connections, which the reading clients would see.
    """
    log = tmp_path_factory.mktemp("pooled") / "log"
    settings = {"DATABASE_POOLER": "pgbouncer"}
    options = ("--workers", "2")
    async with running(workspace, pooler.url(database_url), log, settings, options) as service:
        async with reading(service.port) as seen:
            yield service
        assert set(seen) == {200}, seen
    assert service.find_in_log("ERROR") is None, log.read_text()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def debug_service(
    workspace: Path, database_url: str, pooler: Pooler, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningService]:
    """The service as a developer runs it, behind the same PgBouncer."""
    log = tmp_path_factory.mktemp("pooled-debug") / "log"
    settings = {"DEBUG": "True", "SECRET_KEY": "change-me", "DATABASE_POOLER": "pgbouncer"}
    async with running(workspace, pooler.url(database_url), log, settings) as service:
        yield service
