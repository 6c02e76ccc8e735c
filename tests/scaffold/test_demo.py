"""The demo as a process: what it shows, and what it leaves behind."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.request import urlopen

import asyncpg
import pytest

pytestmark = pytest.mark.slow

_REPOSITORY = Path(__file__).parents[2]
_MARK = "DEMO_UNDER_TEST"
_TIMEOUT = 60.0
"""Seconds."""
_PIPE = 1 << 20
"""Bytes: more than all lines of the checks, which stand in one pipe while the other is read."""


@dataclass(frozen=True, slots=True)
class _Caller:
    """Runs demos with a folder for temporary files, and a mark on all their processes."""

    temporary: Path
    mark: str = field(default_factory=token_hex)

    @contextmanager
    def start(self, *options: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
        """Run a demo beside the block and wait for its end; a block that fails kills it first."""
        own = {"TMPDIR": str(self.temporary), _MARK: self.mark, "PYTHONPATH": str(_REPOSITORY)}
        with subprocess.Popen(
            [sys.executable, "-m", "scaffold", "demo", *options],
            cwd=self.temporary.parent,
            env=os.environ | own | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pipesize=_PIPE,
        ) as process:
            try:
                yield process
            except BaseException:
                process.kill()
                raise

    def run(self, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
        with self.start(*options, **variables) as process:
            output, errors = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def processes(self) -> list[str]:
        """Return the commands of all that run with the mark, however they were started."""
        mark = f"{_MARK}={self.mark}".encode()
        return [_command(path) for path in Path("/proc").glob("[0-9]*") if mark in _variables(path)]

    def leftovers(self) -> list[str]:
        """Return what is still there when everything has had time to go."""
        return _lasting(lambda: self.processes() + [str(each) for each in self.temporary.iterdir()])


@pytest.fixture
def caller(tmp_path: Path) -> _Caller:
    """A caller with an empty folder for temporary files."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    return _Caller(temporary)


@pytest.fixture
def taken_ports() -> Iterator[set[int]]:
    """The fleet's usual ports, in use by another program, which keeps them to the end."""
    taken = set()
    with ExitStack() as stack:
        for port in (8081, 8082, 8083, 8084):
            with suppress(OSError):  # in use already
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
                taken.add(port)
        yield taken


def test_an_installed_fleet_answers_as_the_contract_has_it(caller: _Caller) -> None:
    """With `make install` in the workspace, as its README says."""
    completed = caller.run()

    lines = completed.stdout.splitlines()
    assert completed.returncode == 0, completed.stdout + completed.stderr
    passed = [line for line in lines if line.startswith("✓")]
    assert len(passed) >= 60
    assert len(set(map(_row, passed))) >= 60
    assert all(re.search(r" \d+\.\d ms$", line) for line in passed)
    assert not [line for line in lines if line.startswith("✗")]
    assert re.fullmatch(rf"{len(passed)} of {len(passed)} checks passed in .* s\.", lines[-1])
    assert "http://" not in completed.stdout + completed.stderr
    assert _steps(completed.stderr) == [
        "Making a workspace",
        "Installing it, with all it needs, into its own .venv",
        "Generating user-service, product-service, order-service, notification-service",
        "Setting up the database and migrating it",
        "Starting the services",
        "Stopping and removing everything",
    ]
    assert caller.leftovers() == []


async def test_a_given_server_keeps_its_databases_as_they_were(
    caller: _Caller, fresh_database_url: str, taken_ports: set[int]
) -> None:
    """And on other ports than the usual ones, told to a program."""
    async with _Connected(fresh_database_url) as connection:
        await connection.execute("CREATE TABLE users (mine text)")

        # In SQLAlchemy's words, with a parameter that the driver would not take.
        url = fresh_database_url.replace("postgresql://", "postgresql+psycopg2://", 1)
        url += f"{'&' if '?' in url else '?'}channel_binding=prefer"
        completed = caller.run("--no-install", "--json", DATABASE_URL=url)

        assert completed.returncode == 0, completed.stdout + completed.stderr
        databases = await connection.fetch("SELECT datname FROM pg_database")
        columns = await connection.fetch(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public'"
        )
    assert [row["column_name"] for row in columns] == ["mine"]
    assert not [row for row in databases if "demo" in row["datname"]]
    document = json.loads(completed.stdout)
    assert document["passed"] is True
    assert len(document["checks"]) >= 60
    assert all(each["port"] not in taken_ports for each in document["services"])
    assert all(each["passed"] == each["checks"] >= 30 for each in document["services"])
    assert "url" not in document["services"][0]
    assert "workspace" not in document
    assert caller.leftovers() == []


def test_a_server_that_is_not_there_ends_the_demo(caller: _Caller) -> None:
    """In words, without a traceback, and with nothing left."""
    completed = caller.run("--no-install", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")

    assert completed.returncode == 1
    assert "DATABASE_URL: CREATE DATABASE" in completed.stderr
    assert "Traceback" not in completed.stderr
    assert caller.leftovers() == []


async def test_a_closed_terminal_leaves_no_database(
    caller: _Caller, fresh_database_url: str
) -> None:
    """Where the demo can print no more, it still cleans up."""
    with caller.start("--no-install", DATABASE_URL=fresh_database_url) as process:
        assert process.stdout
        assert process.stderr
        _await_words(process, "migrating it")
        process.stdout.close()
        process.stderr.close()
        process.send_signal(signal.SIGHUP)

    assert caller.leftovers() == []
    async with _Connected(fresh_database_url) as connection:
        databases = await connection.fetch("SELECT datname FROM pg_database")
    assert not [row for row in databases if "demo" in row["datname"]]


@pytest.mark.usefixtures("taken_ports")
def test_a_kept_fleet_answers_until_it_is_interrupted(caller: _Caller) -> None:
    """Then nothing runs; the workspace stays, and its services start again as it is printed.

    On other ports than the usual ones, which other demos would take in between.
    """
    with caller.start("--no-install", "--keep") as process:
        progress = _await_words(process, "both stay on disk")
        ended_by, example, workspace = _find_kept(progress)
        users = json.loads(_await_answer(example))
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate()

    assert process.returncode == 0, output + errors
    assert ended_by == str(process.pid)
    assert [user["username"] for user in users["data"]] == ["ada", "bob", "Éva 😀\ufffd"]
    addresses = re.findall(
        r"^[a-z]+-service +(\S+)  \d+ of \d+ checks passed$", output, re.MULTILINE
    )
    assert len(addresses) == 4
    assert example == f"{addresses[0]}users"
    assert "Traceback" not in errors
    assert re.search(r"^Stopping \.\.\. \d+\.\d s\nKept: ", errors, re.MULTILINE)
    assert _lasting(caller.processes) == []
    assert _lasting(lambda: [url for url in addresses if _listens(int(_port(url)))]) == []
    folder, command = re.findall(r"^  (?:cd )?(.*)$", errors, re.MULTILINE)
    assert folder == workspace
    with subprocess.Popen(["/bin/sh", "-c", f"exec env {command}"], cwd=folder) as service:
        try:
            assert json.loads(_await_answer(example)) == users
        finally:
            service.terminate()


@pytest.mark.usefixtures("taken_ports")
def test_a_kept_fleet_is_described_to_a_program_while_it_runs(caller: _Caller) -> None:
    """And ended by the command that was printed; only the workspace stays."""
    with caller.start("--no-install", "--keep", "--json") as process:
        document = _read_json(process)
        _await_words(process, "both stay on disk")
        answers = [_await_answer(each["url"]) for each in document["services"]]
        process.terminate()
        _, errors = process.communicate()

    assert process.returncode == 0, errors
    names = [each["name"] for each in document["services"]]
    assert [json.loads(each)["data"]["message"] for each in answers] == [
        f"Welcome to {name}" for name in names
    ]
    assert document["passed"] is True
    assert _lasting(caller.processes) == []
    assert (Path(document["workspace"]) / "services" / "user_service" / "app.py").is_file()


@pytest.mark.parametrize(
    ("options", "moment", "number"),
    [
        ((), "Installing it", signal.SIGTERM),
        (("--no-install",), "migrating it", signal.SIGINT),
        (("--no-install",), "Starting the services", signal.SIGINT),
        (("--no-install",), r"Starting the services \.\.\. .* s\n", signal.SIGHUP),
    ],
    ids=["installing", "migrating", "starting", "asking"],
)
def test_an_interrupted_demo_leaves_nothing(
    caller: _Caller, options: tuple[str, ...], moment: str, number: signal.Signals
) -> None:
    """Wherever it was; a second signal does not disturb the cleaning up."""
    with caller.start(*options) as process:
        _await_words(process, moment)
        process.send_signal(number)
        _await_words(process, "Stopping and removing")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()

    assert process.returncode == 128 + number
    assert errors.endswith("Error: Interrupted.\n")
    assert "Traceback" not in errors
    assert caller.leftovers() == []


@pytest.mark.parametrize(
    ("options", "moment"),
    [
        ((), "Installing it"),
        (("--no-install",), "migrating it"),
        (("--no-install",), r"Starting the services \.\.\. .* s\n"),
    ],
    ids=["installing", "migrating", "asking"],
)
def test_a_killed_demo_leaves_nothing(
    caller: _Caller, options: tuple[str, ...], moment: str
) -> None:
    """Though it can do nothing about it itself."""
    with caller.start(*options) as process:
        _await_words(process, moment)
        process.kill()

    assert caller.leftovers() == []


class _Connected:
    """A connection for a block."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def __aenter__(self) -> asyncpg.Connection:
        self._connection = await asyncpg.connect(self._url)
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()


def _await_words(process: subprocess.Popen[str], words: str) -> str:
    """Read the progress until the pattern is there, letter by letter: a step's line is long open.

    Return what was read.
    """
    assert process.stderr
    read = ""
    while not re.search(words, read):
        letter = process.stderr.read(1)
        assert letter, read
        read += letter
    return read


def _find_kept(progress: str) -> list[str]:
    """Return the process to end, the address to try and the workspace."""
    pattern = r"\(or: kill (\d+)\)\. To try one: curl (\S+)\nTheir workspace is (\S+),"
    [found] = re.findall(pattern, progress)
    return list(found)


def _read_json(process: subprocess.Popen[str]) -> Any:
    """Read one indented object, which ends with a line of its own."""
    assert process.stdout
    lines = takewhile("}\n".__ne__, process.stdout)
    return json.loads("".join([*lines, "}"]))


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _await_answer(url: str) -> bytes:
    end = time.monotonic() + _TIMEOUT
    while True:
        try:
            with urlopen(url, timeout=5) as answer:
                body: bytes = answer.read()
                return body
        except OSError:
            assert time.monotonic() < end, url
            time.sleep(0.1)


def _lasting(find: Callable[[], list[str]]) -> list[str]:
    """Return what is still found when everything has had time to go."""
    end = time.monotonic() + _TIMEOUT
    while (found := find()) and time.monotonic() < end:
        time.sleep(0.1)
    return found


def _row(line: str) -> str:
    return line.rpartition("  ")[0]


def _steps(progress: str) -> list[str]:
    return re.findall(r"^(.*) \.\.\. \d+\.\d s$", progress, re.MULTILINE)


def _port(url: str) -> str:
    return url.rpartition(":")[2].partition("/")[0]


def _variables(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:
        return b""


def _command(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return str(process)
