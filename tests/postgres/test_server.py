"""One server for many processes, and no process left behind, however they die."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen

import asyncpg
import pytest

from quart_fleet.postgres import EmbeddedPostgres
from quart_fleet.postgres._locks import attempts
from tests.postgres.owner import (
    ENTER,
    ENTER_A_DRAFT,
    ROOT,
    Home,
    ask,
    await_that,
    find_users_of,
    is_gone,
    read_command,
    read_url,
    spawn,
)

Own = Callable[[str], Popen[str]]
LEAVE_A_CHILD = (
    "from subprocess import DEVNULL as no, Popen; "
    "child = Popen(['sleep', '60'], close_fds=False, stdin=no, stdout=no, stderr=no); "
    "print(child.pid, flush=True)"
)


def get_reaper(folder: Path) -> int:
    """Return the process that watches the folder's server."""
    [reaper] = [user for user in find_users_of(folder) if b"postgres._reaper" in read_command(user)]
    return reaper


def kill_reaper(folder: Path) -> None:
    reaper = get_reaper(folder)
    os.kill(reaper, signal.SIGKILL)
    await_that(lambda: reaper not in find_users_of(folder))


async def get_birth(url: str) -> object:
    """Return what distinguishes one server from another."""
    return await ask(url, "SELECT pg_postmaster_start_time()")


@pytest.fixture
def own(folder: Path) -> Iterator[Own]:
    """Start processes that use the server; they all end with the test."""
    home = Home(sys.executable, ROOT, folder)
    owners: list[Popen[str]] = []

    def start(program: str) -> Popen[str]:
        owners.append(spawn(home, program))
        return owners[-1]

    yield start
    for owner in owners:
        owner.kill()
        owner.communicate()


async def test_it_answers_and_leaves_nothing_behind(
    folder: Path, postgres: EmbeddedPostgres
) -> None:
    async with postgres as url:
        assert await ask(url, "SELECT lower('É')") == "é"
        assert await ask(url, "SHOW fsync") == "off"
        assert await ask(url, "SHOW listen_addresses") == ""
    await_that(lambda: is_gone(folder))


@pytest.mark.slow
async def test_data_is_durable_unless_told_otherwise(
    folder: Path, postgres: EmbeddedPostgres
) -> None:
    async with EmbeddedPostgres(folder) as url:
        assert await ask(url, "SHOW fsync") == "on"
        await ask(url, "CREATE TABLE kept AS SELECT 42 AS answer")
        pid = postgres.status().pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await_that(lambda: not postgres.status().running)

        async with EmbeddedPostgres(folder) as again:
            assert await ask(again, "SELECT answer FROM kept") == 42


@pytest.mark.slow
async def test_processes_that_start_at_once_share_one_server(
    folder: Path, postgres: EmbeddedPostgres, own: Own
) -> None:
    processes = [own(ENTER) for _ in range(3)]

    births = {await get_birth(read_url(process)) for process in processes}

    assert len(births) == 1


@pytest.mark.slow
async def test_a_client_that_leaves_does_not_disturb_the_others(
    folder: Path, postgres: EmbeddedPostgres, own: Own
) -> None:
    async with postgres as url:
        birth = await get_birth(url)
        other = own(ENTER)
        read_url(other)
        other.kill()
        other.wait()
        await asyncio.sleep(0.3)  # time enough for a wrong reaper

        assert await get_birth(url) == birth


@pytest.mark.slow
async def test_a_client_that_comes_while_the_server_stops_gets_a_new_one(
    postgres: EmbeddedPostgres,
) -> None:
    for _ in range(5):
        async with postgres as url:
            assert await ask(url, "SELECT 1") == 1


@pytest.mark.slow
async def test_a_client_that_is_cancelled_while_the_server_starts_leaves_it(
    folder: Path, postgres: EmbeddedPostgres
) -> None:
    entering = asyncio.create_task(postgres.__aenter__())
    await asyncio.to_thread(await_that, (folder / "server.lock").exists)

    entering.cancel()
    await asyncio.gather(entering, return_exceptions=True)

    await asyncio.to_thread(await_that, lambda: is_gone(folder))


def test_the_last_attempt_comes_after_the_timeout() -> None:
    """A single attempt may have taken all of it, on a slow machine."""
    assert list(attempts(timeout=0)) == [None]


@pytest.mark.slow
async def test_a_second_workspace_has_its_own(tmp_path: Path, postgres: EmbeddedPostgres) -> None:
    second = EmbeddedPostgres(tmp_path / "other" / ".postgres", durable=False)
    async with postgres as here, second as there:
        assert await get_birth(here) != await get_birth(there)
    await_that(lambda: is_gone(tmp_path / "other" / ".postgres"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "sign"),
    [
        pytest.param(ENTER_A_DRAFT if "data.new" in sign else ENTER, sign, id=sign)
        for sign in ("reaper.lock", "data.new", "data.new/base/1", "data", "data/postmaster.pid")
    ],
)
def test_an_owner_killed_at_start_leaves_nothing(
    program: str, sign: str, folder: Path, postgres: EmbeddedPostgres, own: Own
) -> None:
    process = own(program)
    await_that((folder / sign).exists)
    process.kill()

    await_that(lambda: is_gone(folder))
    with postgres:
        assert postgres.status().running


@pytest.mark.slow
def test_a_child_that_outlives_the_owner_keeps_nothing_alive(
    folder: Path, postgres: EmbeddedPostgres, own: Own
) -> None:
    owner = own(ENTER.replace("    sys.stdin", f"    {LEAVE_A_CHILD}; sys.stdin"))
    read_url(owner)
    assert owner.stdout is not None
    child = int(owner.stdout.readline())
    owner.kill()

    await_that(lambda: is_gone(folder))
    os.kill(child, signal.SIGKILL)


@pytest.mark.slow
def test_a_dead_reaper_is_replaced_by_the_next_client(
    folder: Path, postgres: EmbeddedPostgres, own: Own
) -> None:
    first = own(ENTER)
    read_url(first)
    kill_reaper(folder)
    server = postgres.status().pid
    second = own(ENTER)
    read_url(second)
    assert postgres.status().pid == server

    first.kill()
    second.kill()

    await_that(lambda: is_gone(folder))


def test_a_dead_reaper_is_replaced_by_the_last_client(
    folder: Path, postgres: EmbeddedPostgres
) -> None:
    with postgres:
        kill_reaper(folder)
    await_that(lambda: is_gone(folder))


@pytest.mark.slow
async def test_a_pinned_server_stays_until_it_is_stopped(
    folder: Path, postgres: EmbeddedPostgres
) -> None:
    url = postgres.start()
    birth = await get_birth(url)
    async with postgres:
        assert postgres.status().pinned
    await asyncio.sleep(0.3)  # time enough for a wrong reaper
    assert await get_birth(url) == birth

    postgres.stop()

    assert not postgres.status().running
    await_that(lambda: is_gone(folder))


async def test_stopping_ends_even_a_server_in_use(postgres: EmbeddedPostgres) -> None:
    async with postgres as url:
        birth = await get_birth(url)
        postgres.stop()
        assert not postgres.status().running

        async with postgres as again:
            assert await get_birth(again) != birth


@pytest.mark.slow
def test_a_pin_ends_with_the_server_it_meant(folder: Path, postgres: EmbeddedPostgres) -> None:
    postgres.start()
    pid = postgres.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await_that(lambda: not postgres.status().running)
    assert not postgres.status().pinned

    with postgres:
        assert not postgres.status().pinned
    await_that(lambda: is_gone(folder))


def test_asking_for_the_status_touches_nothing(folder: Path, postgres: EmbeddedPostgres) -> None:
    status = postgres.status()

    assert (status.running, status.pinned, status.pid) == (False, False, None)
    assert status.url == postgres.url()
    assert status.source
    assert not folder.exists()


async def test_its_processes_get_nothing_of_the_callers_secrets(
    folder: Path, postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DATABASE_URL", "SECRET_KEY", "PGPASSWORD", "POSTGRES_PASSWORD", "API_TOKEN"):
        monkeypatch.setenv(name, "hunter2")

    async with postgres as url:
        connection = await asyncpg.connect(url)
        await connection.execute(
            "CREATE TEMP TABLE variables (line text); COPY variables FROM PROGRAM 'env'"
        )
        of_the_server = await connection.fetch("SELECT line FROM variables")
        await connection.close()
        of_the_reaper = Path(f"/proc/{get_reaper(folder)}/environ").read_text()

    assert any(row["line"].startswith("PATH=") for row in of_the_server)
    assert not any("hunter2" in row["line"] for row in of_the_server)
    assert "PATH=" in of_the_reaper
    assert "hunter2" not in of_the_reaper
