"""For root and others, system and wheel: whenever the owner of a server is killed, it ends too."""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen

import asyncpg
import pytest

from tests.postgres.owner import (
    ENTER,
    ENTER_A_DRAFT,
    NOBODY,
    START_AND_STOP,
    Home,
    await_that,
    copy_code,
    find_users_of,
    get_interpreter,
    is_gone,
    read_command,
    read_url,
    spawn,
)

Own = Callable[[str], Popen[str]]


@pytest.fixture(scope="module")
def public() -> Iterator[Path]:
    """A folder that every user may enter, unlike pytest's own, with the code in it."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        copy_code(Path(name, "code"))
        yield Path(name)


@pytest.fixture(params=["root", "an ordinary user"])
def home(request: pytest.FixtureRequest, public: Path, tmp_path: Path) -> Home:
    """As root in a folder that only root may enter."""
    if os.geteuid() != 0 and request.param == "root":
        pytest.skip("only root can be root")
    if os.geteuid() != 0 or request.param == "root":
        return Home(sys.executable, public / "code", tmp_path / "work space" / ".postgres")
    place = Path(tempfile.mkdtemp(dir=public))
    os.chown(place, NOBODY, NOBODY)
    return Home(get_interpreter(public), public / "code", place / ".postgres", NOBODY)


@pytest.fixture(params=["system", "wheel"])
def own(request: pytest.FixtureRequest, home: Home) -> Iterator[Own]:
    """Starts one owner; what it leaves must be nothing."""
    path = "/nowhere" if request.param == "wheel" else os.environ["PATH"]
    owners: list[Popen[str]] = []

    def start(program: str) -> Popen[str]:
        owners.append(spawn(home, program, request.param, path=path))
        return owners[-1]

    yield start
    for owner in owners:
        owner.kill()
        owner.communicate()
    await_that(lambda: is_gone(home.folder))


async def test_an_owner_killed_at_start_leaves_nothing(home: Home, own: Own) -> None:
    owner = own(ENTER_A_DRAFT)
    await_that((home.folder / "data.new" / "base").exists)

    owner.kill()

    await_that(lambda: is_gone(home.folder))
    assert not (home.folder / "data").exists()


async def test_an_owner_killed_in_use_leaves_nothing(home: Home, own: Own) -> None:
    owner = own(ENTER)
    connection = await asyncpg.connect(read_url(owner))
    await connection.execute("BEGIN; CREATE TABLE unfinished (id int)")

    owner.kill()

    await_that(lambda: is_gone(home.folder))
    connection.terminate()


async def test_an_owner_killed_with_the_reaper_leaves_nothing(home: Home, own: Own) -> None:
    owner = own(ENTER)
    read_url(owner)
    [reaper] = [each for each in find_users_of(home.folder) if b"._reaper" in read_command(each)]

    os.kill(reaper, signal.SIGKILL)
    owner.kill()

    began = time.monotonic()
    await_that(lambda: is_gone(home.folder))
    assert time.monotonic() - began < 10


async def test_an_owner_killed_while_it_stops_the_server_leaves_nothing(
    home: Home, own: Own
) -> None:
    owner = own(START_AND_STOP)
    read_url(owner)
    await_that(lambda: not (home.folder / "pinned").exists())

    owner.kill()

    await_that(lambda: is_gone(home.folder))
