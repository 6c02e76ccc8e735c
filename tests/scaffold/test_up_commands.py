"""What is asked and told of a fleet that is up, in the background and at a terminal."""

import json
import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex
from typing import Any, Self

import httpx
import pytest

from scaffold.supervisor import control
from scaffold.supervisor.place import Place
from tests.ports import reserve_port
from tests.postgres.owner import find_users_of
from tests.scaffold.test_up import MARK, TIMEOUT, Fleet, Marked, Up
from tests.workspace import GeneratedWorkspace

pytestmark = pytest.mark.slow

SCHEMA = json.loads(Path(control.__file__).with_name("control.schema.json").read_text())


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return Fleet.make(tmp_path_factory.mktemp("up") / "fleet")


@dataclass
class Detached(Marked):
    """A fleet in the background, and the commands for it."""

    workspace: GeneratedWorkspace

    @classmethod
    def of(cls, workspace: GeneratedWorkspace) -> Self:
        return cls(token_hex(), workspace)

    def run(self, *arguments: str, code: int = 0, **variables: str) -> tuple[str, str]:
        """Run a command, which ends with this code; return what it printed, and its messages."""
        done = subprocess.run(
            [sys.executable, "-m", "scaffold", *arguments],
            cwd=self.workspace.root, env=self.workspace.environment | {MARK: self.mark} | variables,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"{arguments}: {done.stdout}\n{done.stderr}"
        return done.stdout, done.stderr

    def get_json(self, *arguments: str, code: int = 0) -> Any:
        """Run a command with --json; return what it printed, once that is as its schema says."""
        out, _ = self.run(*arguments, "--json", code=code)
        found = [json.loads(each) for each in out.splitlines()] if arguments[0] == "logs" else [
            json.loads(out)
        ]  # fmt: skip
        kind = {"up": "ps", "wait": "ps"}.get(arguments[0], arguments[0])
        assert [fault for each in found for fault in faults(kind, each)] == []
        return found if arguments[0] == "logs" else found[0]


def faults(kind: str, data: Any) -> list[str]:
    """Return how data departs from its schema, in which it may have nothing that is not named."""
    if find_spec("jsonschema") is None:
        return []

    def closed(part: Any) -> Any:
        if isinstance(part, list):
            return [closed(each) for each in part]
        if not isinstance(part, dict):
            return part
        rest = {name: closed(each) for name, each in part.items()}
        return rest | ({"additionalProperties": False} if "required" in part else {})

    schema = closed(SCHEMA) | {"$ref": f"#/$defs/{kind}"}
    validator = import_module("jsonschema").Draft202012Validator(schema)
    return [str(each.message) for each in validator.iter_errors(data)]


@contextmanager
def detached(workspace: GeneratedWorkspace, *arguments: str) -> Iterator[tuple[Detached, Any]]:
    """Have a fleet up in the background; gives what it said, and leaves nothing."""
    running = Detached.of(workspace)
    try:
        yield running, running.get_json("up", "--detach", *arguments)
    finally:
        running.run("stop")
        left = running.left()
        assert left == []
        assert find_users_of(workspace.root / ".postgres") == set()
        assert not Place.of(workspace.root).folder.exists()


def test_a_fleet_in_the_background_is_asked_told_and_ended(fleet: Fleet) -> None:
    before = Detached.of(fleet.workspace)
    for command in (("ps",), ("wait", "--timeout", "0"), ("restart",), ("logs",)):
        absent = json.loads(before.run(*command, "--json", code=1)[0])
        assert faults("absent", absent) == []
        assert (absent["version"], absent["up"]) == (1, False)
    assert "python -m scaffold up" in before.run("logs", code=1)[1]
    assert before.run("stop")[0] == "It was not up.\n"

    with detached(fleet.workspace) as (running, said):
        assert (said["ready"], said["database"]["embedded"]) == (True, True)
        assert {(each["name"], each["port"]) for each in said["services"]} == {
            ("user-service", fleet.users), ("product-service", fleet.products),
        }  # fmt: skip
        assert fleet.get(fleet.users, "/users") == 200
        assert running.get_json("ps")["pid"] == said["pid"]
        assert str(fleet.users) in running.run("ps")[0]

        _, told = running.run("up", code=1)
        assert "The fleet is up already" in told
        assert running.get_json("up", "--detach")["pid"] == said["pid"]
        assert running.get_json("wait", "user_service")["ready"]

        since = time.time()
        restarted = running.get_json("restart", "user-service")
        pids = [
            {each["name"]: each["pid"] for each in found["services"]} for found in (said, restarted)
        ]
        assert pids[0]["product-service"] == pids[1]["product-service"]
        assert pids[0]["user-service"] != pids[1]["user-service"]
        lines = running.get_json("logs", "user-service", "--since", str(time.time() - since + 1))
        assert [each["message"] for each in lines if each["source"] == "supervisor"] == [
            f"reloaded, as process {pids[1]['user-service']}"
        ]
        assert {each["service"] for each in lines} == {"user-service"}
        assert "product-service" in running.run("logs")[0]
        for each in ("restart", "wait", "logs"):
            printed, told = running.run(each, "user-servce", "--json", code=2)
            assert "Did you mean user-service?" in told
            refused = json.loads(printed)
            assert faults("refused", refused) == []
            assert refused["unknown"] == "user-servce"
        assert "say how long ago" in running.run("logs", "--since", "yesterday", code=2)[1]

        following = subprocess.Popen(
            [sys.executable, "-m", "scaffold", "logs", "-f", "--json"],
            cwd=fleet.workspace.root, env=fleet.workspace.environment,
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert following.stdout is not None
        following.stdout.readline()
        assert running.get_json("stop") == {"version": 1, "up": False, "stopped": True}
        last = following.communicate(timeout=TIMEOUT)[0].splitlines()[-1]
        assert json.loads(last)["message"] == "Everything has ended."


def test_a_service_that_does_not_start_is_named_with_its_line(fleet: Fleet) -> None:
    app = fleet.workspace.root / "services/user_service/app.py"
    source, running = app.read_text(), Detached.of(fleet.workspace)
    app.write_text(f"{source}\nthis is no Python\n")
    place = f"services/user_service/app.py:{len(source.splitlines()) + 2}: SyntaxError: "
    try:
        _, told = running.run("up", "--detach", code=1)
        assert f"user-service is failed: it ended with exit code 1: {place}" in told
        _, told = running.run("wait", code=1)
        assert place in told
        assert place in running.run("ps")[0]
        app.write_text(source)
        deadline = time.monotonic() + TIMEOUT
        while not running.get_json("ps")["ready"]:
            assert time.monotonic() < deadline
            time.sleep(0.1)

        app.write_text(f"{source}\nthis is no Python\n")
        _, told = running.run("restart", "user-service", code=1)
        assert place in told
        assert fleet.get(fleet.users) == 200  # by the process before
        assert re.search(r"user-service +ready \(older code\) ", running.run("ps")[0])
        assert {each["state"] for each in running.get_json("ps")["services"]} == {"ready"}
    finally:
        app.write_text(source)
        running.run("stop")
        assert running.left() == []


def test_a_service_that_is_never_ready_is_shown_with_its_last_lines(fleet: Fleet) -> None:
    app = fleet.workspace.root / "services/user_service/app.py"
    source = app.read_text()
    app.write_text("print('asleep', flush=True)\nimport time\ntime.sleep(600)\n")
    try:
        with fleet.up("user-service", "--ready-timeout", "3") as up:
            up.until("user-service +is not ready after 3 s; its last lines:")
            up.until(r"user-service +\S+ asleep")
            assert "asleep" in Detached.of(fleet.workspace).run("ps")[0]
            assert up.end(signal.SIGINT) == 0
    finally:
        app.write_text(source)


def test_a_start_in_the_background_that_fails_says_why_and_leaves_nothing(fleet: Fleet) -> None:
    running = Detached.of(fleet.workspace)
    nowhere = "postgresql://nobody@127.0.0.1:1/nothing"

    _, told = running.run("up", "--detach", code=1, DATABASE_URL=nowhere)

    assert "127.0.0.1:1" in told
    assert "The database is not migrated, and no service was started." in told
    assert running.left() == []
    assert not Place.of(fleet.workspace.root).folder.exists()


def test_services_that_come_and_go_are_taken_up(fleet: Fleet) -> None:
    services = fleet.workspace.root / "services"
    aside = services.parent / "aside"
    with detached(fleet.workspace) as (running, _):

        def names() -> set[str]:
            return {each["name"] for each in running.get_json("ps")["services"]}

        def until(expected: set[str]) -> None:
            deadline = time.monotonic() + TIMEOUT
            while names() != expected:
                assert time.monotonic() < deadline, names()
                time.sleep(0.1)

        (services / "product_service").rename(aside)
        until({"user-service"})
        with pytest.raises(httpx.ConnectError):
            fleet.get(fleet.products)
        aside.rename(services / "product_service")
        until({"user-service", "product-service"})
        running.run("wait")
        assert fleet.get(fleet.products) == 200


def test_another_name_or_port_of_an_env_is_taken_up_and_what_cannot_be_is_told(
    fleet: Fleet,
) -> None:
    services, port = fleet.workspace.root / "services", reserve_port()
    users, copy = services / "user_service", services / "people_service"
    env, settings = users / ".env", (users / "settings.py").read_text()
    with detached(fleet.workspace) as (running, said):

        def until(*lines: str) -> None:
            deadline = time.monotonic() + TIMEOUT
            while not all(each in running.run("logs")[0] for each in lines):
                assert time.monotonic() < deadline, running.run("logs")[0]
                time.sleep(0.1)

        before = env.read_text()
        env.write_text(f"{before}\nSERVICE_PORT={port}\nSERVICE_NAME=customers\n")
        until(f"is moved: http://localhost:{port}/api/v1/")
        running.run("wait", "customers")
        answer = httpx.get(f"http://127.0.0.1:{port}/api/v1/", timeout=TIMEOUT)
        assert answer.json()["data"] == {"message": "Welcome to customers"}
        names = {each["name"]: each["port"] for each in running.get_json("ps")["services"]}
        assert names == {"customers": port, "product-service": fleet.products}

        env.write_text(f"{before}\nSERVICE_PORT=70000\n")
        copy.mkdir()
        for name in ("__init__.py", "app.py", "bootstrap.py"):
            (copy / name).write_bytes((users / name).read_bytes())
        (copy / "settings.py").write_text(
            settings.replace("user-service", "product-service").replace(
                str(fleet.users), str(reserve_port())
            )
        )
        until(
            "user-service cannot run: its port in services/user_service/.env:",
            "services/people_service: the name 'product-service' is also that of "
            "services/product_service: give one of them another SERVICE_NAME.",
        )
        assert running.get_json("ps")["pid"] == said["pid"]
        assert fleet.get(port) == fleet.get(fleet.products) == 200

        shutil.rmtree(copy)
        env.write_text(before)
        until(f"is moved: http://localhost:{fleet.users}/api/v1/")
        running.run("wait", "user-service")
        assert fleet.get(fleet.users) == 200


def test_what_is_generated_meanwhile_is_taken_up(tmp_path: Path) -> None:
    fleet, mails = Fleet.make(tmp_path / "fleet"), reserve_port()
    generate = ("-m", "scaffold")
    with detached(fleet.workspace, "--migrate") as (running, _):
        fleet.workspace.python(*generate, "resource", "product-service", "shelf", "aisle:str(9)")
        fleet.workspace.python(*generate, "mail-service", str(mails), "--bare")
        deadline = time.monotonic() + TIMEOUT
        while fleet.get(fleet.products, "/shelves") != 200:
            assert time.monotonic() < deadline, running.run("logs")[0]
            time.sleep(0.2)
        running.run("wait", "mail-service")
        assert fleet.get(mails) == 200
        fleet.workspace.python(*generate, "remove", "mail-service")
        assert "mail-service" in running.run("wait", "mail-service", code=1)[1]
        assert "mail-service" not in running.run("ps")[0]


def test_a_killed_fleet_is_followed_by_another_at_once(fleet: Fleet) -> None:
    running = Detached.of(fleet.workspace)
    killed = running.get_json("up", "--detach")["pid"]
    os.kill(killed, signal.SIGKILL)

    with detached(fleet.workspace) as (_, said):
        assert said["pid"] != killed
        assert fleet.get(fleet.users) == 200
    assert running.left() == []


@pytest.mark.parametrize("is_applied", [True, False])
def test_a_revision_that_comes_is_shown_or_applied(fleet: Fleet, is_applied: bool) -> None:
    heads = json.loads(fleet.workspace.python("-m", "scaffold", "list", "--json"))["heads"]
    later = fleet.workspace.root / "db_manager/migrations/versions/later.py"
    try:
        with detached(fleet.workspace, *["--migrate"] * is_applied) as (running, _):
            later.write_text(
                f'revision = "later{is_applied}"\ndown_revision = {heads[0]!r}\n\n\n'
                "def upgrade() -> None:\n    pass\n\n\ndef downgrade() -> None:\n    pass\n"
            )

            def until(what: str) -> Any:
                deadline = time.monotonic() + TIMEOUT
                while True:
                    found = running.get_json("ps")["database"]
                    if found[what] and f"later{is_applied}" in str(found[what]):
                        return found
                    assert time.monotonic() < deadline, found
                    time.sleep(0.2)

            if not is_applied:
                assert until("pending")["reason"].startswith("The database is behind by 1 revision")
                assert "python -m scaffold up --migrate applies it" in running.run("logs")[0]
                running.run("up", "--detach", "--migrate")
            assert until("current")["pending"] == []
            running.workspace.python("-m", "db_manager", "downgrade", "--yes", "--", "-1")
    finally:
        later.unlink(missing_ok=True)


def test_a_revision_that_fails_leaves_the_services_and_is_told(fleet: Fleet) -> None:
    heads = json.loads(fleet.workspace.python("-m", "scaffold", "list", "--json"))["heads"]
    later = fleet.workspace.root / "db_manager/migrations/versions/later.py"
    try:
        with detached(fleet.workspace) as (running, said):
            later.write_text(
                f'from alembic import op\n\nrevision = "later"\ndown_revision = {heads[0]!r}\n\n\n'
                'def upgrade() -> None:\n    op.execute("SELECT 1 / 0")\n\n\n'
                "def downgrade() -> None:\n    pass\n"
            )
            _, told = running.run("up", "--detach", "--migrate", code=1)
            assert "division by zero" in told
            found = running.get_json("ps")
            assert found["services"] == said["services"]
            assert "division by zero" in found["database"]["reason"]
            assert found["database"]["current"] == heads

            later.unlink()
            deadline = time.monotonic() + TIMEOUT
            while (database := running.get_json("ps")["database"])["pending"]:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            assert (database["state"], database["reason"]) == ("ready", "")
    finally:
        later.unlink(missing_ok=True)


def test_an_isolated_copy_has_ports_and_a_database_of_its_own(fleet: Fleet, tmp_path: Path) -> None:
    copy = GeneratedWorkspace(tmp_path / "copy")
    with detached(fleet.workspace) as (running, said):
        ignored = shutil.ignore_patterns(".postgres")  # as by git worktree
        shutil.copytree(fleet.workspace.root, copy.root, symlinks=True, ignore=ignored)
        for each in (*copy.root.glob("services/*/.env"),):
            other = "DATABASE_URL=postgresql://127.0.0.1:1/other\nMETRICS_PORT=9464\n"
            each.write_text(f"{each.read_text()}\n{other}")
        with detached(copy, "--isolated", "--seed") as (_, isolated):
            assert isolated["isolated"]
            ports = {each["name"]: each["port"] for each in isolated["services"]}
            assert not {fleet.users, fleet.products} & set(ports.values())
            assert isolated["database"]["embedded"]
            for each in isolated["services"]:
                variables = Path(f"/proc/{each['pid']}/environ").read_bytes().split(b"\0")
                metrics = [one for one in variables if one.startswith(b"METRICS_PORT=")]
                assert metrics not in ([], [b"METRICS_PORT=9464"])
            url = f"http://127.0.0.1:{ports['user-service']}/api/v1/users/username/ada"
            assert httpx.get(url, timeout=TIMEOUT).status_code == 200
            theirs = f"http://127.0.0.1:{fleet.users}/api/v1/users"
            assert httpx.get(theirs, timeout=TIMEOUT).json()["data"] == []
            assert running.get_json("ps")["pid"] == said["pid"] != isolated["pid"]


class Terminal:
    """`python -m scaffold up` at a terminal of its own, and what it shows there."""

    def __init__(self, workspace: GeneratedWorkspace, *arguments: str, **variables: str) -> None:
        self._terminal, child = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", _SESSION, *arguments],
            cwd=workspace.root, env=workspace.environment | variables,
            stdin=child, stdout=child, stderr=child, start_new_session=True,
        )  # fmt: skip
        os.close(child)
        self.shown, self._is_closed = "", False
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def _read(self) -> None:
        with suppress(OSError):
            while not self._is_closed:
                if select.select([self._terminal], [], [], 0.1)[0]:
                    self.shown += os.read(self._terminal, 4096).decode("utf-8", "replace")

    def until(self, words: str) -> None:
        deadline = time.monotonic() + TIMEOUT
        while words not in self.shown:
            assert time.monotonic() < deadline, f"no {words!r} in {self.shown}"
            time.sleep(0.05)

    def press(self, key: str) -> None:
        self.shown = ""  # what comes next is of this key
        os.write(self._terminal, key.encode())

    def close(self) -> None:
        self._is_closed = True
        self._reading.join()
        os.close(self._terminal)


_SESSION = """
import fcntl, runpy, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
sys.argv[1:1] = ["up"]
runpy.run_module("scaffold", run_name="__main__", alter_sys=True)
"""
"""Makes its standard input the terminal of its session, as a shell's children have one."""


def test_keys_of_a_terminal_restart_and_end_the_fleet(fleet: Fleet) -> None:
    terminal = Terminal(fleet.workspace, "user-service")
    try:
        terminal.until("Keys: m migrate, r restart all, o open the page, q quit.")
        assert "\x1b[" in terminal.shown  # colours
        terminal.press("r")
        terminal.until("reloaded, as process")
        terminal.press("m")
        terminal.until("Nothing to do:")
        terminal.press("q")
        assert terminal.process.wait(TIMEOUT) == 0
        terminal.until("Everything has ended.")
    finally:
        terminal.process.kill()
        terminal.process.wait()
        terminal.close()


def test_a_terminal_that_is_closed_ends_the_fleet(fleet: Fleet) -> None:
    mark = token_hex()
    terminal = Terminal(fleet.workspace, "user-service", NO_COLOR="1", **{MARK: mark})
    terminal.until("Keys: ")
    assert "\x1b[" not in terminal.shown
    running = Detached(mark, fleet.workspace)
    terminal.close()
    assert terminal.process.wait(TIMEOUT) == 0
    assert running.left() == []
    assert not Place.of(fleet.workspace.root).folder.exists()


def test_a_signal_that_python_drops_while_it_imports_ends_the_fleet(fleet: Fleet) -> None:
    drop = (
        "import runpy, sys; from scaffold.signals import Interrupted; Interrupted(15); "
        "sys.argv[1:] = ['up']; runpy.run_module('scaffold', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", drop], cwd=fleet.workspace.root, env=fleet.workspace.environment,
        capture_output=True, text=True, timeout=TIMEOUT, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "Everything has ended.\n")


def test_too_many_open_files_are_told_with_the_command_that_allows_more(fleet: Fleet) -> None:
    command = f"ulimit -n 14; exec {sys.executable} -m scaffold up"
    done = subprocess.run(
        ["sh", "-c", command], cwd=fleet.workspace.root, env=fleet.workspace.environment,
        capture_output=True, text=True, timeout=TIMEOUT, check=False,
    )  # fmt: skip
    expected = "Error: Too many open files, of which 14 are allowed: ulimit -n 1024\n"
    assert (done.returncode, done.stderr) == (1, expected)


def test_a_read_only_folder_is_looked_at_and_said_to_be_one(
    fleet: Fleet, database_url: str
) -> None:
    root = shlex.quote(str(fleet.workspace.root))
    bind = f"mount --bind {root} {root} && mount -o remount,ro,bind {root} && cd {root}"
    unshare = ["unshare", "--mount", "sh", "-c"]
    if subprocess.run([*unshare, bind], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount")
    fleet.workspace.python("-m", "scaffold", "env")
    variables = {"DATABASE_URL": database_url, MARK: token_hex()}
    process = subprocess.Popen(
        [*unshare, f"{bind} && exec {sys.executable} -m scaffold up"],
        env=fleet.workspace.environment | variables,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    up = Up(variables[MARK], process)
    try:
        up.until("on a read-only file system")
        up.until("2 services ready in ")
        assert up.end(signal.SIGINT) == 0
    finally:
        process.kill()
        process.wait()
        left = up.left()
        up.reading.join()
        assert process.stdout is not None
        process.stdout.close()
        assert left == []
