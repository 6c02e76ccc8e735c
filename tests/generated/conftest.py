"""What the tests of generated services share: a workspace's database, and its running services."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack

import httpx
import pytest
import pytest_asyncio

from quart_fleet.testing import NewDatabase
from tests.workspace import GeneratedWorkspace, Serve, booted


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def migrated_url(
    workspace: GeneratedWorkspace, new_database: NewDatabase
) -> AsyncIterator[str]:
    """The module's workspace has its database at the newest revision."""
    async with new_database() as url:
        workspace.python("-m", "db_manager", "migrate", DATABASE_URL=url)
        yield url


@pytest.fixture(scope="module")
def serve(workspace: GeneratedWorkspace, migrated_url: str) -> Iterator[Serve]:
    """Run services of the module's workspace."""
    with ExitStack() as stack:

        def start(package: str) -> httpx.Client:
            address = stack.enter_context(booted(workspace, package, migrated_url))
            return stack.enter_context(httpx.Client(base_url=address, timeout=30))

        yield start
