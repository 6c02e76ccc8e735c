"""What `up` and `stop` tell, in the background as at a terminal, and that it is so by then."""

import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.scaffold.test_up import MARK, TIMEOUT, Fleet, Up
from tests.scaffold.test_up_commands import Detached

pytestmark = pytest.mark.slow

WAITS = "Waiting for another scaffold that writes in this workspace\n"


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


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&- 2>&-"])
def test_it_is_up_where_a_standard_file_is_closed(fleet: Fleet, closed: str) -> None:
    running = Detached.of(fleet.workspace)
    command = f"exec {sys.executable} -m scaffold up user-service {closed}"
    environment = fleet.workspace.environment | {MARK: running.mark}
    with subprocess.Popen(
        ["sh", "-c", command], cwd=fleet.workspace.root, env=environment
    ) as process:
        try:
            running.run("wait", "user-service")
            assert fleet.get(fleet.users) == 200
        finally:
            process.terminate()
    assert process.returncode == 0
    assert running.left() == []


def test_services_may_be_named_behind_two_dashes(fleet: Fleet) -> None:
    running = Detached.of(fleet.workspace)
    found = running.run("up", "--detach", "--", "user-service")[0]
    running.run("stop")
    assert "user-service" in found
    assert "product-service" not in found
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


def test_stop_returns_when_the_supervisor_has_gone(fleet: Fleet) -> None:
    running = Detached.of(fleet.workspace)
    for _ in range(3):
        running.run("up", "--detach", "user-service")
        running.run("stop")
        left = [each for each in running.processes().values() if "scaffold" in each]
        assert left == []


@pytest.mark.parametrize("option", ["--isolated", "--together"])
def test_up_in_the_background_tells_what_ps_tells_then(fleet: Fleet, option: str) -> None:
    running = Detached.of(fleet.workspace)
    try:
        told = running.run("up", "--detach", "--seed", option)[0]
        found = running.run("ps")[0]
        again = running.run("up", "--detach", "--seed")[0]
    finally:
        running.run("stop")
    database = next(line for line in found.splitlines() if line.startswith("Database: "))
    assert re.fullmatch(r"Database: ready, postgres at \S+, at \w{12}", database)
    assert database in told.splitlines()
    isolated = f"in {fleet.workspace.root}/.postgres"
    for each in (told, found):
        assert (isolated in each) == (option == "--isolated")
    for each in (told, again):
        assert re.search("^database .*user", each, re.MULTILINE), each
    assert running.left() == []


@pytest.mark.parametrize("options", [("--ready-timeout=80",) * 2, ("--together", "--no-reload")])
def test_of_two_starts_at_one_moment_both_have_the_fleet_that_they_want_or_say_why_not(
    fleet: Fleet, options: tuple[str, ...]
) -> None:
    running = Detached.of(fleet.workspace)

    def begin(option: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "scaffold", "up", "--detach", option],
            cwd=fleet.workspace.root, env=fleet.workspace.environment | {MARK: running.mark},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT, check=False,
        )  # fmt: skip
        return done.returncode, done.stderr.removeprefix(WAITS)  # where the first still writes

    try:
        with ThreadPoolExecutor() as pool:
            ended = [*pool.map(begin, options)]
        is_up = running.get_json("ps")["ready"]
    finally:
        running.run("stop")
    refused = {
        (1, f"Error: The fleet is up already, with another choice than {each}. "
            "To end it first: python -m scaffold stop\n")
        for each in options
    }  # fmt: skip
    assert is_up
    assert ended.count((0, "")) == (2 if options[0] == options[1] else 1)
    assert {*ended} - {(0, "")} <= refused
    assert running.left() == []


def test_waiting_for_what_is_not_up_is_told_and_is_no_writing(fleet: Fleet) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "scaffold", "wait"],
        cwd=fleet.workspace.root, env=fleet.workspace.environment, stderr=subprocess.PIPE, text=True,
    ) as waiting:  # fmt: skip
        assert waiting.stderr is not None
        told = waiting.stderr.readline()
        waiting.terminate()
        rest = waiting.stderr.read()

    assert told == (
        "The fleet is not up here. To start it: python -m scaffold up. "
        "It is waited for, 120 s at most.\n"
    )
    assert rest == "Error: Interrupted.\n"
    assert waiting.returncode == 128 + signal.SIGTERM


def test_a_setting_that_cannot_be_used_is_told_whole(fleet: Fleet) -> None:
    path, running = (
        fleet.workspace.root / "services/user_service/.env",
        Detached.of(fleet.workspace),
    )
    running.run("env")
    before = path.read_text()
    path.write_text(f"{before}\nDB_POOL_SIZE=many\n")
    why = f"DB_POOL_SIZE: write a whole number. Set it in the environment or {path}."
    try:
        for option, how in (
            ("--no-reload", "ended with exit code 1"), ("--together", "cannot start")
        ):  # fmt: skip
            told = running.run("up", "--detach", option, code=1)[1]
            shown = running.run("ps")[0]
            logged = running.run("logs", "--json")[0]
            running.run("stop")
            assert told == f"Error: user-service is failed: it {how}: {why}\n"
            assert f"\nuser-service {how}: {why}\n" in shown
            assert "DB_POOL_SIZE: write a whole number" in logged
    finally:
        path.write_text(before)
    assert running.left() == []


def test_services_with_one_port_for_their_metrics_are_refused(fleet: Fleet) -> None:
    running = Detached.of(fleet.workspace)
    running.run("env")
    paths = [fleet.workspace.root / f"services/{each}_service/.env" for each in ("product", "user")]
    before = [path.read_text() for path in paths]

    told = running.run("up", code=1, METRICS_PORT="9464")[1]
    try:
        for path in paths:
            path.write_text(f"{path.read_text()}\nMETRICS_PORT=9464\n")
        own = running.run("up", "--detach", code=1)[1]
    finally:
        for path, text in zip(paths, before, strict=True):
            path.write_text(text)

    assert told == (
        "Error: METRICS_PORT is set in the environment, where 2 services would have one port: unset "
        "it, and set another one in the .env of each, or --together\n"
    )
    assert own == (
        "Error: METRICS_PORT=9464 is that of product-service and of user-service: set another one "
        f"in {paths[1]}\n"
    )
    assert running.left() == []


def test_a_service_that_cannot_be_served_is_named_as_elsewhere(fleet: Fleet) -> None:
    told = Detached.of(fleet.workspace).run("serve", "user-service", "nope", code=2)[1]
    assert told == (
        "Error: There is no service 'nope'. There are: product-service, user-service.\n"
    )
