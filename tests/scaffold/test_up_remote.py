"""What a fleet that is up answers by its socket: of whom, to whom, and for how long it is awaited."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from scaffold.supervisor.place import Place
from tests.scaffold.test_up import TIMEOUT, Fleet
from tests.scaffold.test_up_commands import Detached, detached

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """One of which a service has another name than its folder."""
    made = Fleet.make(tmp_path_factory.mktemp("up") / "fleet")
    settings = made.workspace.root / "services/user_service/settings.py"
    text = settings.read_text()
    assert '"user-service"' in text
    settings.write_text(text.replace('"user-service"', '"people"'))
    return made


@pytest.fixture(scope="module")
def running(fleet: Fleet) -> Iterator[Detached]:
    with detached(fleet.workspace) as (found, _):
        yield found


@contextmanager
def replaced(path: Path, text: str) -> Iterator[None]:
    """Have another text in a file during a block."""
    before = path.read_text()
    path.write_text(text)
    try:
        yield
    finally:
        path.write_text(before)


def follow(fleet: Fleet, *arguments: str) -> "subprocess.Popen[str]":
    """Follow the lines of a fleet."""
    return subprocess.Popen(
        [sys.executable, "-m", "scaffold", "logs", "-f", *arguments],
        cwd=fleet.workspace.root, env=fleet.workspace.environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_a_line_that_is_cut_by_a_kill_is_left_out(fleet: Fleet) -> None:
    app = fleet.workspace.root / "services/user_service/app.py"
    text = f"for _ in range(5):\n    print('x' * 900_000, flush=True)\n{app.read_text()}"
    with replaced(app, text), detached(fleet.workspace) as (_, said):
        following = follow(fleet, "--json")  # whose output is not read: the rest waits for it
        try:
            assert following.stdout is not None
            following.stdout.readline()
            os.kill(said["pid"], signal.SIGKILL)
            out, told = following.communicate(timeout=TIMEOUT)
        finally:
            following.kill()
            following.wait()
    assert (following.returncode, told) == (0, "")
    assert out.count("x" * 900_000) < 5


def test_nobody_who_reads_ends_what_writes(fleet: Fleet) -> None:
    app = fleet.workspace.root / "services/user_service/app.py"
    text = f"for each in range(2000):\n    print('line', each)\n{app.read_text()}"
    with replaced(app, text), detached(fleet.workspace):
        for options in ([], ["--json"]):
            # One that has much to write, and one that waits for what may never come.
            for arguments in ([], ["product-service"]):
                following = follow(fleet, *options, *arguments)
                assert following.stdout is not None
                following.stdout.readline()
                following.stdout.close()
                assert following.wait(TIMEOUT) == 1
                assert following.stderr is not None
                assert following.stderr.read() == ""
                following.stderr.close()


def test_whoever_asks_wrongly_or_leaves_does_not_concern_the_fleet(fleet: Fleet) -> None:
    place = Place.of(fleet.workspace.root)

    def call(line: bytes) -> socket.socket:
        connection = place.find_connection()
        assert connection is not None
        connection.sendall(line + b"\n")
        return connection

    with fleet.up("product-service") as up:
        up.until("1 service ready in ")
        for line in (
            *(b"nonsense", b"[]", b"5", b"{}", b'{"command": 5}', b"[" * 50_000, b"\xff"),
            *(b'{"command": "logs", "services": 5}', b'{"command": "logs", "services": [[]]}'),
            *(b'{"command": "wait", "timeout": "x"}', b'{"command": "logs", "since": []}'),
            *(b'{"command": "describe"}', b'{"command": "wait", "timeout": 1' + b"0" * 400 + b"}"),
        ):
            with call(line) as asked, asked.makefile() as answer:
                assert "error" in json.loads(answer.readline()), line
        with call(b"x" * 100_000) as asked:
            assert select.select([asked], [], [], TIMEOUT)[0]
        with call(b'{"command": "logs", "follow": true}') as asked:
            assert select.select([asked], [], [], TIMEOUT)[0]  # and reads nothing of it
        with call(b'{"command": "migrate"}'):
            pass
        running = Detached.of(fleet.workspace)
        deadline = time.monotonic() + TIMEOUT
        while running.get_json("ps")["database"]["state"] == "migrating":
            assert time.monotonic() < deadline
        assert up.end(signal.SIGINT) == 0
        up.until("Everything has ended.")
        assert "Traceback" not in "\n".join(up.lines)


def test_a_service_is_judged_by_whichever_of_its_names_it_was_waited_for(
    fleet: Fleet, running: Detached
) -> None:
    services = {each["name"]: each for each in running.get_json("ps")["services"]}
    app = fleet.workspace.root / "services/user_service/app.py"
    with replaced(app, "this is no Python\n"):
        os.kill(services["people"]["pid"], signal.SIGKILL)
        for name in ("people", "user_service"):
            out, told = running.run("wait", name, "--timeout", "2", code=1)
            assert told.startswith("Error: people is "), out
        assert running.get_json("wait", "product_service")["waited"] == ["product-service"]
        told = running.run("up", "--detach", "user_service", code=1)[1]
        assert told.startswith("Error: people is ")
    assert sorted(running.get_json("wait")["waited"]) == ["people", "product-service"]


def test_code_that_was_changed_before_it_is_waited_for_answers(
    fleet: Fleet, running: Detached
) -> None:
    app = fleet.workspace.root / "services/user_service/app.py"
    route = '\n\n@app.get("/api/v1/new")\nasync def new() -> str:\n    return "new"\n'
    with replaced(app, app.read_text().replace("\n\nif __name__", f"{route}\n\nif __name__")):
        running.run("wait", "people")
        assert fleet.get(fleet.users, "/new") == 200
    running.run("wait")
    assert fleet.get(fleet.users, "/new") == 404


def test_what_is_waited_for_is_refused_where_older_code_serves_or_none_is_known_in_time(
    fleet: Fleet, running: Detached
) -> None:
    app = fleet.workspace.root / "services/user_service/app.py"
    with replaced(app, f"raise RuntimeError('no')\n{app.read_text()}"):
        told = running.run("wait", "people", code=1)[1]
        assert told.startswith("Error: people is ready (older code): it ended with exit code 1: ")
        assert "RuntimeError: no" in told
        assert fleet.get(fleet.users) == 200
        running.run("wait", "product-service")
    running.run("wait")
    with replaced(app, f"import time\n\ntime.sleep(600)\n{app.read_text()}"):
        told = running.run("wait", "people", "--timeout", "0.1", code=1)[1]
        assert "It is not known in time" in told
    running.run("wait")


def test_an_option_of_a_second_start_is_followed_or_refused(
    fleet: Fleet, running: Detached
) -> None:
    for option in ("--together", "--isolated", "--no-reload", "--no-migrate", "--ready-timeout=9"):
        told = running.run("up", "--detach", option, code=1)[1]
        assert f"with another choice than {option.partition('=')[0]}. " in told
    told = running.run("up", "--detach", "--seed", "--together", "--no-reload", code=1)[1]
    assert "than --together, --no-reload. To end it first: python -m scaffold stop" in told
    assert "No service 'mails' is up." in running.run("up", "--seed", "mails", code=2)[1]
    assert fleet.get(fleet.users, "/users/username/ada") == 404

    running.run("up", "--detach", "--seed", "--ready-timeout=120")
    assert fleet.get(fleet.users, "/users/username/ada") == 200
    running.run("up", "--seed")

    seeds = fleet.workspace.root / "services/user_service/seeds.py"
    with replaced(seeds, f"{seeds.read_text()}\n1 / 0\n"):
        told = running.run("up", "--detach", "--seed", code=1)[1]
        assert told.startswith("Error: The rows cannot be stored: ")
        assert "ZeroDivisionError" in told


def test_the_last_lines_are_shown_and_more_where_that_is_asked(
    fleet: Fleet, running: Detached
) -> None:
    for _ in range(110):
        fleet.get(fleet.users, "/users")
    counts = [
        len(running.get_json("logs", *options))
        for options in (("-n", "7"), ("--since", "1h", "--lines", "3"), ("--lines", "104"))
    ]
    assert counts == [7, 3, 104]
    assert len(running.run("logs")[0].splitlines()) == 100
    for everything in ((), ("--since", "1h")):
        assert len(running.get_json("logs", *everything)) > 110


def products_of(found: Any) -> int:
    """Return the id of the process of a service that no test here changes."""
    services = {each["name"]: each for each in found["services"]}
    pid: int = services["product-service"]["pid"]
    return pid


def test_a_suspended_fleet_is_awaited_for_seconds_and_does_nothing_of_it_later(
    fleet: Fleet, running: Detached
) -> None:
    before = running.get_json("ps")
    commands = ["ps", "logs", "up", "up --detach", "wait --timeout 5", "restart", "stop"]
    os.kill(before["pid"], signal.SIGSTOP)
    try:
        with ThreadPoolExecutor() as pool:
            told = [*pool.map(lambda words: running.run(*words.split(), code=1)[1], commands)]
    finally:
        os.kill(before["pid"], signal.SIGCONT)
    for each in told:
        pid = before["pid"]
        assert f"process {pid} does not answer. Where it is suspended, `fg` " in each
        assert f"or `kill -CONT {pid}` has it go on; `kill -9 {pid}` ends it." in each
    after = running.get_json("wait")
    assert not after["ending"]
    assert products_of(before) == products_of(after)
