"""What an embedded server finds in its way, and how it deals with it."""

import os
import shutil
from pathlib import Path
from time import monotonic

import asyncpg
import pytest

from quart_fleet.database_url import connect_arguments
from quart_fleet.postgres import EmbeddedPostgres, EmbeddedPostgresError
from quart_fleet.postgres._server import remove_abandoned
from tests.postgres.owner import ask, await_that, find_users_of, is_gone, sockets_of


@pytest.mark.slow
def test_a_server_whose_folder_was_deleted_is_ended(
    folder: Path, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    with postgres:
        former = postgres.status().pid
        folder.rename(tmp_path / "deleted")
        with postgres:
            assert postgres.status().pid != former
    await_that(lambda: not find_users_of(tmp_path / "deleted"))


async def test_a_process_id_that_now_belongs_to_another_process_is_no_server(
    folder: Path, postgres: EmbeddedPostgres
) -> None:
    async with postgres:
        pass
    await_that(lambda: is_gone(folder))
    (folder / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n/data\n1\n5432\n")

    async with postgres as url:
        assert await ask(url, "SELECT 1") == 1


@pytest.mark.parametrize("content", ["", "\n", "x\n"])
async def test_a_pid_file_without_a_number_is_cleared(
    folder: Path, postgres: EmbeddedPostgres, content: str
) -> None:
    async with postgres:
        pass
    await_that(lambda: is_gone(folder))
    (folder / "data" / "postmaster.pid").write_text(content)

    async with postgres as url:
        assert await ask(url, "SELECT 1") == 1


@pytest.mark.slow
async def test_a_pid_file_that_names_a_server_of_other_data_is_cleared(
    folder: Path, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    """As a copy of a workspace has it whose server runs."""
    async with postgres:
        pass
    await_that(lambda: is_gone(folder))
    other = EmbeddedPostgres(tmp_path / "other", durable=False)
    async with other as theirs:
        file = (tmp_path / "other/data/postmaster.pid").read_bytes()
        (folder / "data" / "postmaster.pid").write_bytes(file)

        async with postgres as url:
            assert await ask(url, "SELECT 1") == 1
            assert await ask(theirs, "SELECT 1") == 1
    await_that(lambda: is_gone(tmp_path / "other"))


@pytest.mark.parametrize("is_pinned", [False, True])
async def test_a_server_whose_socket_was_cleaned_away_is_started_anew(
    folder: Path, postgres: EmbeddedPostgres, is_pinned: bool
) -> None:
    async with postgres:
        if is_pinned:
            postgres.start()
        former = postgres.status().pid
        shutil.rmtree(sockets_of(postgres))
        began = monotonic()

        async with postgres as url:
            assert await ask(url, "SELECT 1") == 1
            assert postgres.status().pid != former
            assert postgres.status().pinned is is_pinned
        assert monotonic() - began < 20  # two seconds where the machine has nothing else to do


@pytest.mark.faults
@pytest.mark.slow
async def test_a_socket_that_was_cleaned_away_is_there_again_within_two_seconds(
    postgres: EmbeddedPostgres,
) -> None:
    taken = []
    async with postgres:
        for _ in range(3):
            shutil.rmtree(sockets_of(postgres))
            began = monotonic()
            async with postgres as url:
                assert await ask(url, "SELECT 1") == 1
            taken.append(monotonic() - began)

    assert min(taken) < 2, taken  # of three, as the machine may have more to do


async def test_a_server_whose_folder_was_moved_is_started_anew_and_ends(
    folder: Path, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    moved = EmbeddedPostgres(tmp_path / "moved" / ".postgres", durable=False)
    async with postgres as url:
        await ask(url, "SELECT 1")
        folder.parent.rename(tmp_path / "moved")

        async with moved as there:
            assert await ask(there, "SELECT 1") == 1
    await_that(lambda: is_gone(tmp_path / "moved" / ".postgres"))
    await_that(lambda: is_gone(folder))


async def test_a_server_whose_folder_was_moved_ends_with_its_client(
    folder: Path, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    async with postgres:
        folder.parent.rename(tmp_path / "moved")
    await_that(lambda: is_gone(tmp_path / "moved" / ".postgres"))
    await_that(lambda: is_gone(folder))


@pytest.mark.slow
async def test_what_killed_tests_left_is_removed_and_nothing_that_is_in_use(
    folder: Path, postgres: EmbeddedPostgres
) -> None:
    left, begun = folder.with_name("left"), folder.with_name("begun")
    with EmbeddedPostgres(left, durable=False):
        pass
    await_that(lambda: is_gone(left))
    begun.mkdir(parents=True, exist_ok=True)
    async with postgres as url:
        for each in (left, folder):
            os.utime(each, (0, 0))

        remove_abandoned(folder.parent, "*")

        assert await ask(url, "SELECT 1") == 1
    assert (left.exists(), begun.exists()) == (False, True)


@pytest.mark.slow
async def test_settings_of_other_servers_change_nothing(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in {
        "PGHOST": "192.0.2.1",
        "PGHOSTADDR": "192.0.2.1",
        "PGPORT": "1",
        "PGUSER": "other",
        "PGDATABASE": "other",
        "PGPASSWORD": "x",
        "PGPASSFILE": str(tmp_path / "none"),
        "PGSERVICE": "other",
        "PGSERVICEFILE": str(tmp_path / "none"),
        "PGDATA": "/nowhere",
        "PGTARGETSESSIONATTRS": "standby",
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": "x",
        "PGSSLCERT": "x",
        "PGSSLKEY": "x",
        "PGSSLNEGOTIATION": "direct",
        "PGOPTIONS": "-c x=y",
        "PGCONNECT_TIMEOUT": "0",
        "PGCHANNELBINDING": "require",
        "PGREQUIREAUTH": "gss",
        "PGGSSENCMODE": "require",
        "PGKRBSRVNAME": "x",
        "PGGSSLIB": "x",
        "PGAPPNAME": "x",
        "PGTZ": "x",
        "PGDATESTYLE": "x",
        "PGCLIENTENCODING": "x",
        "PGLOADBALANCEHOSTS": "x",
    }.items():
        monkeypatch.setenv(name, value)

    async with postgres as url:
        connection = await asyncpg.connect(**connect_arguments(url))
        found = await connection.fetchval("SELECT current_user || current_database()")
        await connection.close()
    assert found == "postgrespostgres"


@pytest.mark.slow
def test_half_made_data_is_made_anew(folder: Path, postgres: EmbeddedPostgres) -> None:
    (folder / "data.new" / "base").mkdir(parents=True)

    with postgres:
        assert postgres.status().running


@pytest.mark.slow
async def test_a_long_path_is_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / ("long " * 25) / ("$'\"é" * 20)
    postgres = EmbeddedPostgres(folder, durable=False)
    async with postgres as url:
        assert await ask(url, "SELECT 1") == 1
    await_that(lambda: is_gone(folder))


def test_a_socket_folder_made_by_another_user_is_refused(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    sockets = sockets_of(postgres)
    sockets.symlink_to(tmp_path)

    with pytest.raises(EmbeddedPostgresError, match="Another user made it"), postgres:
        pass

    sockets.unlink()


@pytest.mark.slow
def test_a_server_that_cannot_start_says_why(folder: Path, postgres: EmbeddedPostgres) -> None:
    with postgres:
        pass
    await_that(lambda: is_gone(folder))
    with (folder / "data" / "postgresql.conf").open("a") as settings:
        settings.write("work_mem = 'plenty'\n")

    with (
        pytest.raises(EmbeddedPostgresError, match=r"did not start: .*\n.*postgres\.log"),
        postgres,
    ):
        pass
