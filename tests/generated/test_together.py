"""Services in one process: each as if it were alone, whatever becomes of the others."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import pytest

from tests.audit import audit_lines
from tests.chassis.otlp import Collector, collecting
from tests.ports import reserve_port
from tests.workspace import GeneratedWorkspace

pytestmark = pytest.mark.slow

SERVICES = ("order_service", "product_service", "user_service")
TIMEOUT = 60.0
"""Seconds that a test waits for what is to come."""
BROKEN_START = """

@app.before_serving
async def refuse() -> None:
    raise RuntimeError("no stock")
"""


@dataclass
class Together:
    """`python -m quart_fleet.server` as it runs, and what it has said at NOTIFY_SOCKET."""

    process: subprocess.Popen[bytes]
    log: Path
    notify: socket.socket
    ports: Mapping[str, int]
    states: list[str] = field(default_factory=list)

    def until(self, state: str) -> None:
        """Wait until it has said this at NOTIFY_SOCKET."""
        while not any(state in each.split("\n") for each in self.states):
            try:
                self.states.append(self.notify.recv(4096).decode())
            except TimeoutError:
                raise AssertionError(f"{self.states}\n{self.log.read_text()}") from None

    def get(self, package: str, path: str = "/health") -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.ports[package]}/api/v1{path}", timeout=TIMEOUT)

    def until_line(self, words: str) -> dict[str, Any]:
        """Return the first line that holds the words, as soon as there is one."""
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            for line in self.log.read_text().splitlines(keepends=True):
                if words in line and line.endswith("\n"):
                    return dict(json.loads(line))
            time.sleep(0.02)
        raise AssertionError(f"no {words!r} in {self.log.read_text()}")

    def end(self) -> list[dict[str, Any]]:
        """Have it end, and return its lines."""
        self.process.terminate()
        code = self.process.wait(TIMEOUT)
        assert code == 0, self.log.read_text()
        return audit_lines(self.log.read_text())


@dataclass(frozen=True)
class Fleet:
    workspace: GeneratedWorkspace
    ports: Mapping[str, int]
    folder: Path
    url: str

    @contextmanager
    def changed(self, path: str, text: str) -> Iterator[Path]:
        """Have a file end with this text during a block."""
        file = self.workspace.root / "services" / path
        before = file.read_text() if file.exists() else ""
        file.write_text(before + text)
        try:
            yield file
        finally:
            file.write_text(before)

    @contextmanager
    def together(
        self,
        *names: str,
        command: Sequence[str] = ("-m", "quart_fleet.server"),
        given: Sequence[int] = (),
        others: Mapping[str, str] = MappingProxyType({}),
        **variables: str,
    ) -> Iterator[Together]:
        """Run them; a block may end them itself."""
        folder = self.folder / str(time.monotonic_ns())
        folder.mkdir()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(address := f"/tmp/together-{os.getpid()}-{time.monotonic_ns()}")
            notify.settimeout(TIMEOUT)
            environment = self.workspace.environment | {
                "DATABASE_URL": self.url,
                "SECRET_KEY": "a secret of the tests",
                "NOTIFY_SOCKET": address,
            }
            with (folder / "log").open("wb") as log:
                process = subprocess.Popen(
                    [sys.executable, *command, *names], pass_fds=given,
                    cwd=self.workspace.root, env={**environment, **variables, **others},
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                )  # fmt: skip
            try:
                yield Together(process, folder / "log", notify, self.ports)
            finally:
                process.kill()
                process.wait()
                Path(address).unlink()


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> GeneratedWorkspace:
    root = tmp_path_factory.mktemp("together") / "fleet"
    names = [f"{each.replace('_', '-')} {8081 + n}" for n, each in enumerate(SERVICES)]
    return GeneratedWorkspace.make(root, *names)


@pytest.fixture
def fleet(workspace: GeneratedWorkspace, migrated_url: str, tmp_path: Path) -> Fleet:
    ports = {package: reserve_port() for package in SERVICES}
    for package, port in ports.items():
        own = workspace.root / "services" / package / ".env"
        own.write_text(f"SERVICE_PORT={port}\n")
    return Fleet(workspace, ports, tmp_path, migrated_url)


def test_each_line_says_its_service_and_all_drain(fleet: Fleet) -> None:
    paths = {each: f"/{each.removesuffix('_service')}s" for each in SERVICES}
    with fleet.together() as together:
        together.until("READY=1")
        with ThreadPoolExecutor(6) as threads:
            asked = [*SERVICES] * 20
            answers = list(threads.map(lambda each: together.get(each, paths[each]), asked))
        pipelined = b"GET /api/v1/orders HTTP/1.1\r\nHost: x\r\n\r\n" * 5
        with socket.create_connection(("127.0.0.1", fleet.ports["order_service"])) as client:
            client.sendall(pipelined)
            client.settimeout(TIMEOUT)
            received = b""
            while received.count(b"HTTP/1.1 200") < 5:
                received += client.recv(65536)
        body = b'{"username": "ada", "email": "ada@example.com"}'
        head = (
            b"POST /api/v1/users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body)
        )
        with socket.create_connection(("127.0.0.1", fleet.ports["user_service"])) as client:
            client.sendall(head + body[:9])
            together.get("user_service")  # so that the one before has come
            together.process.terminate()
            together.until("STOPPING=1")
            together.until("X_CLOSED=1")
            with pytest.raises(httpx.ConnectError):
                together.get("product_service")
            client.sendall(body[9:])
            client.settimeout(TIMEOUT)
            last = client.recv(65536)
        lines = together.end()

    assert {each.status_code for each in answers} == {200}
    assert last.startswith(b"HTTP/1.1 201")
    accesses = [line for line in lines if line["logger"] == "quart_fleet.access"]
    by_path = {(line["path"], line["service"]) for line in accesses if line["level"] == "info"}
    assert by_path == {(f"/api/v1{paths[each]}", each.replace("_", "-")) for each in SERVICES}
    assert len([line for line in accesses if line["service"] == "order-service"]) == 25
    others = {line["service"] for line in lines if line not in accesses}
    assert others == {"fleet", *(each.replace("_", "-") for each in SERVICES)}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_services_are_imported_ends_it_quietly(
    fleet: Fleet, tmp_path: Path, number: signal.Signals
) -> None:
    importing = tmp_path / "importing"
    os.mkfifo(importing)
    wait = f"open({str(importing)!r}, 'w').close()\n__import__('time').sleep({TIMEOUT})\n"
    with (
        fleet.changed("order_service/app.py", wait),
        fleet.together(LOG_FORMAT="json") as together,
    ):
        importing.read_text()
        together.process.send_signal(number)
        assert together.process.wait(TIMEOUT) == 0
        assert "Traceback" not in together.log.read_text()


@pytest.mark.parametrize(
    ("path", "text", "reason"),
    [
        pytest.param("order_service/bootstrap.py", "\n(", "SyntaxError", id="syntax"),
        pytest.param(
            "order_service/app.py",
            "\nerror = OSError('one\\ntwo')\nerror.add_note('three')\nraise error\n",
            "OSError: one; it is started again", id="note",
        ),
        pytest.param(
            "order_service/.env", "MAX_HEADERS=many\n", "MAX_HEADERS: write a whole number",
            id="settings",
        ),
        pytest.param(
            "order_service/app.py", BROKEN_START, "It cannot start, as its lines say", id="lifespan"
        ),
        pytest.param(
            "order_service/app.py", BROKEN_START.replace("RuntimeError", "SystemExit"),
            "It cannot start, as its lines say", id="no exception",
        ),
    ],
)  # fmt: skip
def test_one_that_cannot_start_is_named_while_the_others_serve_and_comes_back_when_mended(
    path: str, text: str, reason: str, fleet: Fleet
) -> None:
    with fleet.together() as together, fleet.changed(path, text) as file:
        together.until("X_SERVING=product_service user_service")
        told = together.until_line("it is started again in 1 s")
        answers = [together.get(each).status_code for each in SERVICES[1:]]
        with pytest.raises(httpx.ConnectError):
            together.get("order_service")
        assert not any("READY=1" in each for each in together.states)
        file.write_text(file.read_text().removesuffix(text))
        together.until("READY=1")
        mended = together.get("order_service").status_code
        together.end()

    assert told["level"] == "critical"
    assert reason in told["event"]
    assert told["service"] in ("order_service", "order-service")
    assert answers == [200, 200]
    assert mended == 200
    assert any(
        "STATUS=2 of 3 services serve; could not start: order" in each for each in together.states
    )


def test_one_whose_end_fails_leaves_the_end_of_the_others_alone(fleet: Fleet) -> None:
    fails = "\n\n@app.after_serving\nasync def fail() -> None:\n    raise RuntimeError('late')\n"
    with fleet.changed("order_service/app.py", fails), fleet.together() as together:
        together.until("READY=1")
        lines = together.end()

    failed = [line for line in lines if line["level"] == "error"]
    assert {line["service"] for line in failed} == {"order-service"}


def test_a_task_that_exits_takes_no_service_with_it(fleet: Fleet) -> None:
    exits = (
        "\n\nasync def leave() -> None:\n    import sys\n\n    sys.exit('over')\n\n\n"
        "@app.before_serving\nasync def begin() -> None:\n"
        "    import asyncio\n\n    app.leaving = asyncio.create_task(leave())\n"
    )
    with fleet.changed("order_service/app.py", exits), fleet.together() as together:
        told = together.until_line("A task has called sys.exit('over')")
        together.until("READY=1")
        answers = {together.get(each).status_code for each in SERVICES}
        together.end()

    assert told["level"] == "critical"
    assert answers == {200}


def test_where_none_starts_the_process_ends_with_1(fleet: Fleet) -> None:
    with fleet.together(MAX_HEADERS="many") as together:
        assert together.process.wait(TIMEOUT) == 1
        said = together.log.read_text()

    assert said.count("MAX_HEADERS: write a whole number") == len(SERVICES)
    assert "READY=1" not in said


def test_each_has_levels_of_its_own(fleet: Fleet) -> None:
    own = "LOG_LEVEL=WARNING\n"
    with fleet.changed("order_service/.env", own), fleet.together() as together:
        together.until("READY=1")
        for package in SERVICES:
            together.get(package, "/")
        lines = together.end()

    heard = {line["service"] for line in lines if line["logger"] == "quart_fleet.access"}
    assert heard == {"product-service", "user-service"}


@pytest.mark.parametrize("variable", ["SERVICE_PORT", "PORT", "SERVICE_NAME"])
def test_what_one_service_is_called_is_not_said_to_all(variable: str, fleet: Fleet) -> None:
    with fleet.together(others={variable: "8099"}) as together:
        assert together.process.wait(TIMEOUT) == 1
        said = together.log.read_text()

    assert f"{variable} is set in the environment, which 3 services read" in said


def test_a_port_of_two_is_named_with_both(fleet: Fleet) -> None:
    shared = f"SERVICE_PORT={fleet.ports['order_service']}\n"
    with fleet.changed("user_service/.env", shared), fleet.together() as together:
        told = together.until_line("is that of order-service too")
        together.until("X_SERVING=order_service product_service")
        together.end()

    assert told["service"] == "user-service"
    assert f"Port {fleet.ports['order_service']} is that of order-service too" in told["event"]


def test_a_name_is_a_service_or_its_package(fleet: Fleet) -> None:
    with fleet.together("user-service", "product_service") as together:
        together.until("READY=1")
        with pytest.raises(httpx.ConnectError):
            together.get("order_service")
        together.end()
    with fleet.together("usr-service", command=("-m", "scaffold", "serve")) as together:
        assert together.process.wait(TIMEOUT) == 1
        assert "There is no service" in together.log.read_text()


def test_a_second_signal_ends_all_at_once(fleet: Fleet) -> None:
    head = b"POST /api/v1/users HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
    with fleet.together() as together:
        together.until("READY=1")
        with socket.create_connection(("127.0.0.1", fleet.ports["user_service"])) as client:
            client.sendall(head)
            together.get("user_service")
            together.process.send_signal(signal.SIGINT)
            together.until("STOPPING=1")
            began = time.monotonic()
            together.process.send_signal(signal.SIGINT)
            assert together.process.wait(TIMEOUT) == 0
    assert time.monotonic() - began < 20  # GRACEFUL_TIMEOUT is 30


ANIMALS = (
    "ant",
    "bee",
    "cat",
    "cow",
    "crow",
    "dog",
    "goat",
    "hen",
    "jay",
    "kid",
    "mole",
    "owl",
    "pig",
    "ram",
    "rat",
    "sow",
    "toad",
    "wasp",
    "yak",
)
MOST_MEMORY = 150 * 1024 * 1024
_RSS = re.compile(r"^Rss:\s+(\d+) kB$", re.MULTILINE)


@pytest.mark.timeout(300)
def test_twenty_services_have_less_than_150_mb(
    tmp_path_factory: pytest.TempPathFactory, fresh_database_url: str
) -> None:
    names = [f"{each}-service {8082 + n} name:str(80):unique" for n, each in enumerate(ANIMALS)]
    workspace = GeneratedWorkspace.make(
        tmp_path_factory.mktemp("twenty") / "fleet", "user-service 8081", *names
    )
    workspace.python("-m", "db_manager", "migrate", DATABASE_URL=fresh_database_url)
    ports = {}
    for path in sorted((workspace.root / "services").glob("*/app.py")):
        ports[path.parent.name] = reserve_port()
        (path.parent / ".env").write_text(f"SERVICE_PORT={ports[path.parent.name]}\n")
    fleet = Fleet(workspace, ports, tmp_path_factory.mktemp("logs"), fresh_database_url)

    with fleet.together() as together:
        together.until("READY=1")
        with ThreadPoolExecutor(8) as threads:
            asked = [*ports] * 25
            answers = list(
                threads.map(
                    lambda each: together.get(
                        each, f"/{'users' if each == 'user_service' else each[:-8] + 's'}"
                    ),
                    asked,
                )
            )
        used = Path(f"/proc/{together.process.pid}/smaps_rollup").read_text()
        together.end()

    found = _RSS.search(used)
    assert found is not None
    assert len(ports) == 20
    assert {each.status_code for each in answers} == {200}, {
        each.url for each in answers if each.status_code != 200
    }
    assert int(found[1]) * 1024 < MOST_MEMORY, f"{int(found[1]) // 1024} MB"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


def test_the_metrics_of_all_have_one_port_and_each_its_service(fleet: Fleet) -> None:
    port = reserve_port()
    with fleet.together(METRICS_PORT=str(port)) as together:
        together.until("READY=1")
        for package in SERVICES:
            together.get(package, "/")
        told = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=TIMEOUT).text
        lines = together.end()

    families = [line.split()[2] for line in told.splitlines() if line.startswith("# TYPE")]
    assert len(families) == len(set(families))
    for package in SERVICES:
        name = package.replace("_", "-")
        labels = f'job="{name}",method="GET",route="/api/v1/",status="2xx"'
        assert f"http_requests_total{{{labels}}} 1.0" in told
    assert not [line for line in lines if line["level"] == "warning"]


def test_the_spans_of_each_say_its_service_and_its_settings_are_its_own(
    fleet: Fleet, collector: Collector
) -> None:
    own = f"OTEL_EXPORTER_OTLP_ENDPOINT={collector.url}\nOTEL_BSP_SCHEDULE_DELAY=50\n"
    with (
        fleet.changed("order_service/.env", own),
        fleet.changed("user_service/.env", own),
        fleet.together() as together,
    ):
        together.until("READY=1")
        for package in SERVICES:
            together.get(package, "/")
        together.end()

    spans = collector.wait_for(2, name="GET /api/v1/")
    assert [each.service for each in spans] == ["order-service", "user-service"]


def test_each_is_followed_by_a_socket_of_its_own(fleet: Fleet) -> None:
    folder = fleet.folder / "live"
    with fleet.together(LIVE_FOLDER=str(folder), DEBUG="True") as together:
        together.until("READY=1")
        found = {each.name for each in folder.iterdir()}
        together.end()

    assert found == {f"{together.process.pid}-{port}.sock" for port in fleet.ports.values()}
    assert [*folder.iterdir()] == []


@pytest.fixture
def listeners() -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in SERVICES]


def test_a_supervisor_hands_over_the_ports_and_they_stay_open(
    fleet: Fleet, listeners: list[socket.socket]
) -> None:
    files = [each.fileno() for each in listeners]
    handed = {
        package: each.getsockname()[1] for package, each in zip(SERVICES, listeners, strict=True)
    }
    handing = (
        "import fcntl, os, sys\n"
        "files = [fcntl.fcntl(int(each), fcntl.F_DUPFD, 10) for each in sys.argv[1:4]]\n"
        "for number, file in enumerate(files):\n"
        "    os.dup2(file, 3 + number)\n"
        "os.execv(sys.executable, [sys.executable, '-c', \"import os, runpy; "
        "os.environ['LISTEN_PID'] = str(os.getpid()); "
        "runpy.run_module('quart_fleet.server', run_name='__main__')\"])"
    )
    with fleet.together(
        command=("-c", handing, *map(str, files)),
        given=files,
        LISTEN_FDS="3",
        LISTEN_FDNAMES=":".join(SERVICES),
    ) as together:
        together.ports = handed
        together.until("READY=1")
        welcomes = [together.get(each, "/").json()["data"]["message"] for each in SERVICES]
        together.end()
        for each in listeners:
            with socket.create_connection(each.getsockname()):  # waits for the next process
                pass

    assert [each.split()[-1] for each in welcomes] == [each.replace("_", "-") for each in SERVICES]


def test_pools_share_what_a_database_allows_unless_a_service_says_more(
    workspace: GeneratedWorkspace, migrated_url: str
) -> None:
    code = (
        "from quart_fleet.logs import HOSTED, HostedService\n"
        "from order_service.settings import Settings\n"
        "hosted = []\n"
        "hosted += (HostedService(str(n), hosted) for n in range(20))\n"
        "HOSTED.set(hosted[0])\n"
        "print(Settings.load().db_pool_size)\n"
    )
    settings = {"DATABASE_URL": migrated_url, "SECRET_KEY": "a secret of the tests"}

    assert workspace.python("-c", code, **settings) == "4\n"
    assert workspace.python("-c", code, **settings, DB_POOL_SIZE="7") == "7\n"
