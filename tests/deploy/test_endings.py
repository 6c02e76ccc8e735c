"""A pod that ends loses no request, nor do clients that stay: because of what its manifest says.

Two pods, run as their image runs them, behind a balancer that learns late that one of them ends;
the seconds that the manifest has it wait go by faster here.
"""

import asyncio
import os
import re
import sys
from asyncio.subprocess import DEVNULL, STDOUT
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from quart_fleet.testing import NewDatabase
from tests.audit import COPIES
from tests.containers.dockerfile import read_stages
from tests.contract.wire import TIMEOUT, exchange, spell
from tests.deploy.cluster import Hook, Pod, balancing
from tests.deploy.documents import Documents, name_of
from tests.deploy.traffic import CLIENTS, LOST, TOLD, Seen, loyal_traffic, traffic
from tests.ports import reserve_port
from tests.workspace import GeneratedWorkspace, python_path

pytestmark = pytest.mark.slow

_PACE = 5
"""How many seconds of the manifest's wait go by in one."""
_LAG = 0.5
"""How much of the wait has gone by when the balancer learns of the end."""
_COMMANDS = ["", "--workers 2", "--server hypercorn", "--server hypercorn --workers 2"]
_SLOW_DOWN = """
    TRUNCATE users;
    CREATE OR REPLACE FUNCTION take_time() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_sleep({seconds}); RETURN NEW; END $$;
    CREATE OR REPLACE TRIGGER slow BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION take_time();
"""


@dataclass(frozen=True, slots=True)
class Grant:
    """What the manifest grants a pod that is to end."""

    hook: Hook
    grace: float
    """The pod's seconds; a process that ends is no faster here than elsewhere."""

    @property
    def lag(self) -> float:
        """Seconds until the balancer learns of an end."""
        return _LAG * self.hook.wait


@pytest.fixture
def grant(production: Documents) -> Grant:
    """The user service's."""
    [deployment] = [each for each in production if name_of(each) == "Deployment/user-service"]
    spec = deployment["spec"]["template"]["spec"]
    *shell, script = spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    [seconds] = re.findall(r"sleep (\d+)", script)
    assert shell == ["sh", "-c"]
    hook = Hook(script, int(seconds) / _PACE)
    return Grant(hook, spec["terminationGracePeriodSeconds"])


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def migrated_url(fleet: Path, new_database: NewDatabase) -> AsyncIterator[str]:
    """A database that every test writes to."""
    async with new_database() as url:
        GeneratedWorkspace(fleet).python("-m", "db_manager", "migrate", DATABASE_URL=url)
        yield url


@pytest_asyncio.fixture(loop_scope="session")
async def slow_url(migrated_url: str, grant: Grant) -> str:
    """The database, empty, where writing takes as long as the wait: some requests outlast it."""
    connection = await asyncpg.connect(migrated_url)
    await connection.execute(_SLOW_DOWN.format(seconds=grant.hook.wait))
    await connection.close()
    return migrated_url


@pytest_asyncio.fixture(loop_scope="session")
async def pods(
    fleet: Path, slow_url: str, request: pytest.FixtureRequest
) -> AsyncIterator[list[Pod]]:
    """Two that are ready; the parameter is what is added to their command."""
    options = getattr(request, "param", "").split()
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(_running(fleet, slow_url, options)) for _ in range(2)
        ]


@asynccontextmanager
async def _running(fleet: Path, database_url: str, options: list[str]) -> AsyncIterator[Pod]:
    image = read_stages(fleet / "services/user_service/Dockerfile")[-1]
    port = reserve_port()
    settings = image.get("ENV").settings | {
        "PATH": os.environ["PATH"],
        COPIES: os.environ[COPIES],
        "PYTHONPATH": python_path(fleet),
        "HOME": os.environ.get("HOME", "/"),
        "SECRET_KEY": "of the tests",
        "SERVICE_PORT": str(port),
        "METRICS_PORT": str(reserve_port()),  # on one machine, which no two pods share
        "DATABASE_URL": database_url,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, *image.get("CMD").words[1:], *options, cwd=fleet, env=settings,
        stdin=DEVNULL, stdout=DEVNULL, stderr=STDOUT,
    )  # fmt: skip
    try:
        await _answers(port)
        yield Pod(port, process)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _answers(port: int) -> None:
    async with asyncio.timeout(TIMEOUT):
        while True:
            try:
                await exchange(port, spell("GET", "/api/v1/health/ready"))
            except OSError:
                await asyncio.sleep(0.05)
            else:
                return


async def _count_users(url: str) -> int:
    connection = await asyncpg.connect(url)
    count: int = await connection.fetchval("SELECT count(*) FROM users")
    await connection.close()
    return count


async def _ask_while_one_ends(pods: list[Pod], hook: Hook, grant: Grant) -> tuple[Seen, int]:
    """Return what clients saw, and how many requests outlasted the hook."""
    async with balancing(*(pod.port for pod in pods)) as balancer, traffic(balancer.port) as seen:
        await asyncio.sleep(grant.lag)
        running = await pods[0].end(hook, grant.grace, balancer, grant.lag)
    assert pods[0].process.returncode == 0
    return seen, running


async def test_no_request_is_lost_while_a_pod_ends(
    pods: list[Pod], grant: Grant, slow_url: str
) -> None:
    seen, running = await _ask_while_one_ends(pods, grant.hook, grant)

    assert seen.keys() == {200, 201}, seen
    assert running
    assert await _count_users(slow_url) == seen[201]


async def test_without_the_wait_requests_are_lost(pods: list[Pod], grant: Grant) -> None:
    seen, running = await _ask_while_one_ends(pods, replace(grant.hook, wait=0), grant)

    assert seen[LOST]
    assert running


@pytest.mark.parametrize("pods", _COMMANDS, indirect=True)
async def test_clients_that_keep_their_connection_have_left_when_a_pod_ends(
    pods: list[Pod], grant: Grant
) -> None:
    ports = [pod.port for pod in pods]
    async with balancing(*ports) as balancer, loyal_traffic(balancer.port) as seen:
        left_over = await pods[0].end(grant.hook, grant.grace, balancer, grant.lag)

    assert seen.keys() == {200, TOLD}, seen
    assert left_over == 0
    assert pods[0].process.returncode == 0


async def test_without_the_signal_they_stay(pods: list[Pod], grant: Grant) -> None:
    waiting = Hook("sleep", grant.hook.wait)

    async with balancing(pods[0].port) as balancer, loyal_traffic(balancer.port) as seen:
        await waiting.run(pods[0].process)
        staying = balancer.open[pods[0].port]

    assert seen.keys() == {200}, seen
    assert staying == CLIENTS
