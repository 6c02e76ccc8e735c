"""What an embedded server finds in its way, and how it deals with it."""

import os
from pathlib import Path

import pytest

from quart_fleet.postgres import EmbeddedPostgres, EmbeddedPostgresError
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


def test_half_made_data_is_made_anew(folder: Path, postgres: EmbeddedPostgres) -> None:
    (folder / "data.new" / "base").mkdir(parents=True)

    with postgres:
        assert postgres.status().running


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
