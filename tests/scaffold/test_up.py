"""The fleet as one thing: what runs, what becomes of a service that changes, and what is left."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from secrets import token_hex
from typing import Self

import httpx
import pytest

from tests.ports import reserve_port
from tests.workspace import GeneratedWorkspace

MARK = "UP_UNDER_TEST"
TIMEOUT = 90.0
"""Seconds."""


@dataclass
class Marked:
    """Processes that have a variable in common, whatever became of their parents."""

    mark: str

    def left(self) -> list[str]:
        """Return what still runs of it after it has had time to end."""
        end = time.monotonic() + 30
        while (found := self.processes()) and time.monotonic() < end:
            time.sleep(0.1)
        return [*found.values()]

    def processes(self) -> dict[int, str]:
        """Return what runs of it, by its id."""
        mark = f"{MARK}={self.mark}".encode()
        found = {}
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if mark in (path / "environ").read_bytes().split(b"\0"):
                    words = (path / "cmdline").read_bytes().replace(b"\0", b" ")
                    found[int(path.name)] = words.decode()
        return found


@dataclass
class Up(Marked):
    """`python -m scaffold up` as it runs, and the lines that it has written."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    _new: "Queue[str]" = field(default_factory=Queue)

    def __post_init__(self) -> None:
        self.reading = threading.Thread(target=self._read)
        self.reading.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._new.put(line.rstrip())

    def until(self, pattern: str) -> str:
        """Return the next line that matches."""
        end = time.monotonic() + TIMEOUT
        while True:
            try:
                line = self._new.get(timeout=max(0.01, end - time.monotonic()))
            except Empty:
                raise AssertionError(f"no {pattern!r} in:\n" + "\n".join(self.lines)) from None
            self.lines.append(line)
            if re.search(pattern, line):
                return line

    def end(self, number: signal.Signals) -> int:
        """Send a signal, and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(TIMEOUT)


def start(
    workspace: GeneratedWorkspace, arguments: Sequence[str], environment: Mapping[str, str]
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "scaffold", "up", *arguments],
        cwd=workspace.root, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


@dataclass(frozen=True)
class Fleet:
    workspace: GeneratedWorkspace
    users: int
    products: int

    @classmethod
    def make(cls, root: Path) -> Self:
        users, products = reserve_port(), reserve_port()
        workspace = GeneratedWorkspace.make(
            root, f"user-service {users}", f"product-service {products}"
        )
        return cls(workspace, users, products)

    @contextmanager
    def up(self, *arguments: str, **variables: str) -> Iterator[Up]:
        mark = token_hex()
        environment = self.workspace.environment | {MARK: mark} | variables
        process = start(self.workspace, arguments, environment)
        assert process.stdout is not None
        up = Up(mark, process)
        try:
            yield up
        finally:
            process.kill()
            process.wait()
            left = up.left()
            up.reading.join()
            process.stdout.close()
            assert left == []

    def get(self, port: int, path: str = "/health") -> int:
        return httpx.get(f"http://127.0.0.1:{port}/api/v1{path}", timeout=TIMEOUT).status_code


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return Fleet.make(tmp_path_factory.mktemp("up") / "fleet")


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, marks=pytest.mark.slow),
    ],
)
def test_all_run_until_a_signal_and_nothing_is_left(fleet: Fleet, number: signal.Signals) -> None:
    with fleet.up() as up:
        up.until("2 services ready in ")
        assert fleet.get(fleet.users, "/users") == fleet.get(fleet.products, "/products") == 200

        assert up.end(number) == 0
        assert up.left() == []
        up.until("Everything has ended.")


@pytest.mark.slow
def test_a_terminal_that_is_closed_does_not_cut_a_request(fleet: Fleet) -> None:
    app = fleet.workspace.root / "services/user_service/app.py"
    source = app.read_text()
    slow = (
        '\n\n@app.get("/slow")\nasync def slow() -> str:\n    import asyncio\n\n'
        '    print("asked", flush=True)\n    await asyncio.sleep(3)\n    return "answered"\n'
    )
    statuses = list[int]()

    def ask() -> None:
        url = f"http://127.0.0.1:{fleet.users}/slow"
        statuses.append(httpx.get(url, timeout=TIMEOUT).status_code)

    asking = threading.Thread(target=ask)
    try:
        app.write_text(source.replace("\nif __name__", f"{slow}\n\nif __name__"))
        with fleet.up("user-service") as up:
            up.until("1 service ready in ")
            asking.start()
            up.until(r"user-service +\S+ asked")
            up.process.send_signal(signal.SIGHUP)  # of the shell
            up.until("Stopping")
            assert up.end(signal.SIGHUP) == 0  # of the kernel
    finally:
        app.write_text(source)
    asking.join()
    assert statuses == [200]


@pytest.mark.slow
def test_output_that_nobody_reads_holds_nothing_up(fleet: Fleet) -> None:
    app = fleet.workspace.root / "services/user_service/app.py"
    source, mark = app.read_text(), token_hex()
    environment = fleet.workspace.environment | {MARK: mark}
    try:
        app.write_text(f"print(*['word ' * 20] * 30_000, sep='\\n', flush=True)\n{source}")
        process = start(fleet.workspace, ["user-service"], environment)
        wait = [sys.executable, "-m", "scaffold", "wait", "--timeout", "60"]
        subprocess.run(
            wait, cwd=fleet.workspace.root, env=environment, timeout=TIMEOUT, check=True,
            capture_output=True,
        )  # fmt: skip
        assert fleet.get(fleet.users) == 200
        up = Up(mark, process)
        up.until(r"\d+ lines are left out here: python -m scaffold logs has the last ones\.")
        assert up.end(signal.SIGINT) == 0
        assert up.left() == []
    finally:
        app.write_text(source)
        process.kill()
        process.wait()
        up.reading.join()
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.slow
def test_where_it_is_and_what_ends_it_is_said_where_one_does_not_start(fleet: Fleet) -> None:
    app = fleet.workspace.root / "services/user_service/app.py"
    source = app.read_text()
    try:
        app.write_text(f"{source}\nthis is no Python\n")
        with fleet.up() as up:
            up.until("2 services, without ")
            up.until(rf"http://localhost:{fleet.products}/api/v1/  product-service")
            up.until("the page, and all of them")
            up.until("Ctrl-C ends them")
            app.write_text(source)
            up.until("2 services ready in ")
    finally:
        app.write_text(source)


@pytest.mark.slow
def test_rows_to_begin_with_are_stored_where_they_are_asked_for(fleet: Fleet) -> None:
    seeds = fleet.workspace.root / "services/user_service/seeds.py"
    text = seeds.read_text()
    with fleet.up("--seed") as up:
        up.until("database +product-service.product: 2 stored")
        up.until("database +user-service.user: 2 stored")
        up.until("2 services ready in ")
        assert fleet.get(fleet.users, "/users/username/ada") == 200
    try:
        seeds.write_text(f"{text}\n1 / 0\n")
        with fleet.up("--seed") as up:
            up.until("ZeroDivisionError")
            assert up.process.wait(90) == 1
            assert up.left() == []
    finally:
        seeds.write_text(text)


@contextmanager
def named_by_env(fleet: Fleet, **urls: str) -> Iterator[None]:
    """Have the .env of services name a database during a block."""
    fleet.workspace.python("-m", "scaffold", "env")
    files = {fleet.workspace.root / f"services/{name}/.env": url for name, url in urls.items()}
    texts = {file: file.read_text() for file in files}
    try:
        for file, url in files.items():
            file.write_text(f"{texts[file]}\nDATABASE_URL={url}\n")
        yield
    finally:
        for file, text in texts.items():
            file.write_text(text)


@pytest.mark.slow
def test_the_database_that_every_env_names_is_the_one_that_is_migrated(
    fleet: Fleet, fresh_database_url: str
) -> None:
    with (
        named_by_env(fleet, user_service=fresh_database_url, product_service=fresh_database_url),
        fleet.up("--seed") as up,
    ):
        up.until("database +user-service.user: 2 stored")
        up.until("2 services ready in ")
        assert fleet.get(fleet.users, "/users/username/ada") == 200
        assert not [each for each in up.processes().values() if "postgres run" in each]


@pytest.mark.slow
@pytest.mark.parametrize("other", [{}, {"user_service": "postgresql://else@127.0.0.1:1/fleet"}])
def test_services_of_several_databases_are_refused(fleet: Fleet, other: dict[str, str]) -> None:
    named = {"product_service": "postgresql://owner@127.0.0.1:1/fleet"} | other
    with named_by_env(fleet, **named), fleet.up() as up:
        assert up.process.wait(TIMEOUT) == 1
        up.until("The .env of user-service names another database, or another login, than")


@pytest.mark.slow
def test_nothing_is_left_where_it_is_killed(fleet: Fleet) -> None:
    with fleet.up() as up:
        up.until("2 services ready in ")
        assert up.end(signal.SIGKILL) == -signal.SIGKILL
        assert up.left() == []


@pytest.mark.slow
def test_one_that_is_named_runs_alone(fleet: Fleet) -> None:
    with fleet.up("user-service") as up:
        up.until("1 service ready in ")
        with pytest.raises(httpx.ConnectError):
            fleet.get(fleet.products)


@pytest.mark.slow
def test_a_process_that_ends_is_followed_by_another(fleet: Fleet) -> None:
    with fleet.up("user-service") as up:
        up.until("1 service ready in ")
        serving = next(each for each, words in up.processes().items() if "app.py" in words)
        os.kill(serving, signal.SIGKILL)

        up.until("user-service +was ended by SIGKILL$")
        up.until(r"user-service +It is started again in 1 s")
        assert fleet.get(fleet.users) == 200  # it waits in the listener until then


@pytest.mark.slow
def test_other_code_takes_over_and_no_request_is_lost(fleet: Fleet) -> None:
    app = fleet.workspace.root / "services/user_service/app.py"
    source = app.read_text()
    statuses: list[int] = []
    is_over = False

    def ask() -> None:
        while not is_over:
            statuses.append(fleet.get(fleet.users))

    with fleet.up() as up:
        up.until("2 services ready in ")
        asking = [threading.Thread(target=ask) for _ in range(4)]
        for each in asking:
            each.start()
        try:
            for number in range(3):
                app.write_text(f"{source}# {number}\n")
                up.until("user-service +reloaded")
        finally:
            is_over = True
            app.write_text(source)
            for each in asking:
                each.join()
        assert not any("product-service  reloaded" in each for each in up.lines)

    assert set(statuses) == {200}
    assert len(statuses) > 10


@pytest.mark.slow
def test_code_that_does_not_start_leaves_the_process_before_it(fleet: Fleet) -> None:
    app = fleet.workspace.root / "services/user_service/app.py"
    source = app.read_text()
    with fleet.up("user-service") as up:
        up.until("1 service ready in ")
        try:
            app.write_text(f"{source}\nthis is no Python\n")
            up.until("SyntaxError")
            up.until("The process before it serves on")
            assert fleet.get(fleet.users, "/users") == 200
        finally:
            app.write_text(source)
        up.until("user-service +reloaded")


@pytest.mark.slow
def test_what_all_share_starts_all_anew_and_a_test_none(fleet: Fleet) -> None:
    services = fleet.workspace.root / "services"
    shared = fleet.workspace.root / "shared/config.py"
    with fleet.up() as up:
        up.until("2 services ready in ")
        (services / "user_service/tests/test_more.py").write_text("")
        (services / "user_service/templates").mkdir()
        (services / "user_service/templates/mail.html").write_text("")
        source = shared.read_text()
        shared.write_text(f"{source}\n")
        found = [up.until("reloaded").split()[0] for _ in range(2)]
        shared.write_text(source)

    assert sorted(found) == ["product-service", "user-service"]


def test_a_port_that_another_program_has_is_named_with_it(fleet: Fleet) -> None:
    with socket.create_server(("127.0.0.1", fleet.users)), fleet.up() as up:
        assert up.process.wait(TIMEOUT) == 1
        up.until(
            rf"user-service cannot listen on 127\.0\.0\.1:{fleet.users}: Address already in use"
        )
        assert f"by process {os.getpid()} (" in up.lines[-1]
        up.until(r"another port in services/user_service/settings\.py")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("user-servce", "There is no service 'user-servce'. Did you mean user-service?"),
        ("nothing", "There is no service 'nothing'. There are: product-service, user-service."),
    ],
)
def test_a_name_that_no_service_has_is_refused(fleet: Fleet, name: str, expected: str) -> None:
    with fleet.up(name) as up:
        assert up.process.wait(TIMEOUT) == 2
        assert up.until("Error").endswith(expected)


@pytest.mark.slow
def test_what_a_service_has_started_neither_hides_its_end_nor_delays_that_of_all(
    fleet: Fleet,
) -> None:
    app = fleet.workspace.root / "services/user_service/app.py"
    source = app.read_text()
    with fleet.up("user-service") as up:
        up.until("1 service ready in ")
        try:
            app.write_text(
                "import subprocess, sys\n"
                "subprocess.Popen(['sleep', '25'], start_new_session=True)\n"
                "print('[' * 100_000, flush=True)\nprint('\\x1b]0;forged\\x07')\nsys.exit(7)\n"
            )
            line = up.until("ended with exit code 7")
            assert r"\x1b]0;forged\x07" in line
            assert fleet.get(fleet.users) == 200
            assert up.end(signal.SIGINT) == 0
            assert [each for each in up.processes().values() if "sleep" not in each] == []
        finally:
            app.write_text(source)


@pytest.mark.slow
def test_code_that_hangs_at_its_start_is_replaced_when_it_is_mended(fleet: Fleet) -> None:
    app = fleet.workspace.root / "services/user_service/app.py"
    source = app.read_text()
    try:
        app.write_text("print('hanging', flush=True)\nimport time\ntime.sleep(600)\n")
        with fleet.up("user-service") as up:
            up.until("hanging")
            app.write_text(source)
            up.until("1 service ready in ")
    finally:
        app.write_text(source)


@pytest.mark.slow
def test_a_signal_ends_a_migration_that_waits(fleet: Fleet) -> None:
    heads = json.loads(fleet.workspace.python("-m", "scaffold", "list", "--json"))["heads"]
    slow = fleet.workspace.root / "db_manager/migrations/versions/slow.py"
    slow.write_text(
        f'import time\n\nrevision = "slow"\ndown_revision = {heads[0]!r}\n\n\n'
        'def upgrade() -> None:\n    print("waiting", flush=True)\n    time.sleep(600)\n\n\n'
        "def downgrade() -> None:\n    pass\n"
    )
    try:
        with fleet.up() as up:
            up.until("waiting")
            assert up.end(signal.SIGINT) == 0
            assert up.left() == []
    finally:
        slow.unlink()


@pytest.mark.slow
def test_a_migration_that_fails_leaves_nothing_running(fleet: Fleet) -> None:
    heads = json.loads(fleet.workspace.python("-m", "scaffold", "list", "--json"))["heads"]
    broken = fleet.workspace.root / "db_manager/migrations/versions/broken.py"
    broken.write_text(
        f'from alembic import op\n\nrevision = "broken"\ndown_revision = {heads[0]!r}\n\n\n'
        'def upgrade() -> None:\n    op.execute("SELECT 1 / 0")\n\n\n'
        "def downgrade() -> None:\n    pass\n"
    )
    try:
        with fleet.up() as up:
            assert up.process.wait(TIMEOUT) == 1
            up.until("division by zero")
            assert up.left() == []
    finally:
        broken.unlink()
