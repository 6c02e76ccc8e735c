"""The database of a fleet that is up: what becomes of it, and that all who ask are told."""

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.scaffold.test_up import TIMEOUT, Fleet
from tests.scaffold.test_up_commands import Detached, detached

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return Fleet.make(tmp_path_factory.mktemp("database") / "fleet")


def until(is_so: Callable[[], bool], running: Detached) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not is_so():
        assert time.monotonic() < deadline, running.run("logs", "database")[0]
        time.sleep(0.1)


def stop(fleet: Fleet) -> None:
    fleet.workspace.python("-m", "db_manager", "postgres", "stop")


def kill_postmaster(fleet: Fleet) -> None:
    (pid_file,) = Path(fleet.workspace.root, ".postgres").glob("**/postmaster.pid")
    os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)


def kill_keeper(fleet: Fleet) -> None:
    found = [
        int(each.parent.name)
        for each in Path("/proc").glob("[0-9]*/cmdline")
        if b"db_manager\0postgres\0run" in each.read_bytes()
        and (each.parent / "cwd").resolve() == fleet.workspace.root.resolve()
    ]
    os.kill(found[0], signal.SIGKILL)


@pytest.mark.parametrize("end", [stop, kill_postmaster, kill_keeper])
def test_an_embedded_server_that_is_gone_is_told_and_started_again(
    fleet: Fleet, end: Callable[[Fleet], None]
) -> None:
    with detached(fleet.workspace) as (running, said):
        end(fleet)
        until(lambda: "runs again" in running.run("logs", "database")[0], running)
        lines = running.run("logs", "database")[0]
        assert re.search("embedded PostgreSQL has ended.*\n.*It is started again at once", lines)
        until(lambda: running.get_json("ps")["database"]["state"] == "ready", running)
        assert fleet.get(fleet.users, "/users") == 200
        assert running.get_json("ps")["services"] == said["services"]
