"""What `up` and `stop` tell, in the background as at a terminal, and that it is so by then."""

import shutil
import signal
import socket
import time
from collections.abc import Callable

import pytest

from tests.scaffold.test_up import TIMEOUT, Fleet, Up
from tests.scaffold.test_up_commands import Detached

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return Fleet.make(tmp_path_factory.mktemp("told") / "fleet")


def test_a_port_that_is_taken_is_told_in_the_background_as_at_a_terminal(fleet: Fleet) -> None:
    running = Detached.of(fleet.workspace)
    with socket.create_server(("127.0.0.1", fleet.users)):
        for _ in range(3):
            told = running.run("up", "--detach", code=1)[1]
            assert told.startswith(
                f"Error: user-service cannot listen on 127.0.0.1:{fleet.users}: "
                "Address already in use, by process "
            )
    assert running.left() == []


def test_the_end_waits_for_no_command_of_the_database_manager(fleet: Fleet) -> None:
    with fleet.up("user-service") as up:
        up.until("ends them")
        deadline = time.monotonic() + TIMEOUT
        while not any("db_manager status" in each for each in up.processes().values()):
            assert time.monotonic() < deadline
        began = time.monotonic()
        assert up.end(signal.SIGINT) == 0
        assert time.monotonic() - began < 8


def test_what_only_begins_is_ended_soon(fleet: Fleet) -> None:
    postgres = fleet.workspace.root / ".postgres"
    shutil.rmtree(postgres, ignore_errors=True)
    begun: list[Callable[[Up], bool]] = [
        lambda up: any("postgres run" in each for each in up.processes().values()),
        lambda _: any(postgres.glob("**/PG_VERSION")),
        lambda up: any("db_manager migrate" in each for each in up.processes().values()),
    ]
    for has_begun in begun:
        with fleet.up("--isolated") as up:
            deadline = time.monotonic() + TIMEOUT
            while not has_begun(up):
                assert time.monotonic() < deadline
            began = time.monotonic()
            assert up.end(signal.SIGINT) == 0
            assert time.monotonic() - began < 8
