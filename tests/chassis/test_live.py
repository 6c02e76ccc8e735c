"""What is told to a follower of a process, in real processes and at the bounds."""

import asyncio
import json
import os
import socket
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from quart_fleet.asgi._application import ServiceApplication
from quart_fleet.observation import ObservedCall
from quart_fleet.telemetry import _live
from quart_fleet.telemetry._live import Live, followed
from tests.audit import COPIES
from tests.chassis.serving import TIMEOUT
from tests.contract.wire import exchange, spell
from tests.observing import ended_statement, observed_request
from tests.ports import reserve_port

FOLLOW = b"GET / HTTP/1.1\r\nHost: live\r\n%s\r\n"
ROOT = Path(__file__).parents[2]
FILE = Path(_live.__file__).with_name("live.schema.json")
Event = tuple[str, dict[str, Any]]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short one: paths of sockets may have some hundred bytes."""
    with TemporaryDirectory() as folder:
        yield Path(folder)


async def events(path: Path, last: int | None = None) -> AsyncIterator[Event]:
    """Follow a process: kinds of events with their data, and the number of each as `number`."""
    reader, writer = await asyncio.open_unix_connection(str(path), limit=1 << 22)
    writer.write(FOLLOW % (b"" if last is None else b"Last-Event-ID: %d\r\n" % last))
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")
    try:
        while True:
            lines = dict(
                line.split(": ", 1)
                for line in (await reader.readuntil(b"\n\n")).decode().splitlines()
                if line
            )
            yield lines["event"], {**json.loads(lines["data"]), "number": int(lines.get("id", 0))}
    except asyncio.IncompleteReadError:
        return
    finally:
        writer.transport.abort()


async def first(path: Path, kind: str, **wanted: object) -> dict[str, Any]:
    """Return the data of the first event of this kind that says this."""
    async with asyncio.timeout(TIMEOUT):
        async for found, told in events(path):
            if found == kind and all(told[name] == value for name, value in wanted.items()):
                return told
    raise AssertionError(f"no {kind} with {wanted}")


async def sockets(folder: Path, number: int = 1) -> list[Path]:
    async with asyncio.timeout(TIMEOUT):
        while len(found := sorted(folder.glob("*.sock"))) != number:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return found


@asynccontextmanager
async def running(database_url: str, *options: str, **settings: str) -> AsyncIterator[int]:
    """A service as a process, at this port."""
    port = reserve_port()
    environment = {
        "PATH": os.environ["PATH"], COPIES: os.environ[COPIES], "HOME": "/", "DATABASE_URL": database_url, "DEBUG": "True",
        "SERVICE_PORT": str(port), "DB_POOL_SIZE": "2", **settings,
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chassis.followed", *options), cwd=ROOT, env=environment
    )
    try:
        await _answers(port, process)
        yield port
    finally:
        if process.returncode is None:
            process.terminate()
        assert await process.wait() == 0


async def _answers(port: int, process: Process) -> None:
    async with asyncio.timeout(TIMEOUT):
        while process.returncode is None:
            with suppress(OSError):
                await exchange(port, spell("GET", "/api/v1/"))
                return
            await asyncio.sleep(0.02)
    raise AssertionError("the service ended")


@pytest.mark.slow
async def test_a_request_is_followed_through_two_services(database_url: str, folder: Path) -> None:
    async with (
        running(database_url, SERVICE_NAME="other-service", LIVE_FOLDER=f"{folder}/b") as other,
        running(database_url, SERVICE_NAME="first-service", LIVE_FOLDER=f"{folder}/a",
                OTHER_URL=f"http://127.0.0.1:{other}") as port,
    ):  # fmt: skip
        [caller], [called] = await sockets(folder / "a"), await sockets(folder / "b")
        trace = "0af7651916cd43dd8448eb211c80319c"
        headers = {"X-Request-ID": "one", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
        await exchange(port, spell("GET", "/api/v1/things/7?token=hidden", headers))
        told, there = (
            await first(caller, "request", id="one"),
            await first(called, "request", id="one"),
        )
        await exchange(port, spell("GET", "/api/v1/things/failed", {"X-Request-ID": "two"}))
        failed = await first(caller, "request", id="two")
        process = await first(caller, "process")
        second = await first(caller, "second")
        mode = caller.stat().st_mode
        schema_faults = [
            *_faults("request", told, there, failed),
            *_faults("process", process),
            *_faults("second", second),
        ]

    assert schema_faults == []
    assert (process["schema"], process["service"], process["port"]) == (1, "first-service", port)
    assert (told["method"], told["path"], told["status"]) == ("GET", "/api/v1/things/7", 200)
    assert told["rule"] == there["rule"] == "/api/v1/things/<int:thing_id>"
    assert told["client"] == "127.0.0.1"
    [statement] = [each for each in told["statements"] if each["summary"] == "SELECT pg_class"]
    [call] = told["calls"]
    assert statement["summary"] == "SELECT pg_class"
    assert statement["sql"].endswith("WHERE relname <> ? AND relname <> $1::VARCHAR")
    assert (call["service"], call["status"], call["outcome"]) == ("other-service", 200, "answered")
    assert call["operation"] == "GET /api/v1/things/{record_id}"
    assert there["seconds"] > 0
    assert 0 < call["seconds"] <= told["seconds"]
    assert there["path"] == "/api/v1/things/7"
    assert there["calls"] == []
    assert "SELECT pg_class" in [each["summary"] for each in there["statements"]]
    assert failed["status"] == 500
    [error] = [each["error"] for each in failed["statements"] if each["error"]]
    assert error == {"type": "InvalidTextRepresentationError", "sqlstate": "22P02"}
    for hidden in ("literal", "parameter", "secret", "hidden", "token"):
        assert hidden not in json.dumps([told, there, failed])
    assert second["memory"] > 1 << 20
    assert second["pool"]["limit"] == 2
    assert mode & 0o777 == 0o600
    assert await sockets(folder / "a", 0) == []


@pytest.mark.slow
async def test_each_worker_is_followed(database_url: str, folder: Path) -> None:
    async with running(database_url, "--workers", "2", LIVE_FOLDER=str(folder)):
        found = await sockets(folder, 2)
        told = [await first(each, "process") for each in found]

    assert [f"{each['pid']}.sock" for each in told] == [each.name for each in found]


@pytest.mark.slow
async def test_without_debug_none_is_followed(database_url: str, folder: Path) -> None:
    settings = {"DEBUG": "False", "SECRET_KEY": "a secret of the tests", "LIVE_FOLDER": str(folder)}
    async with running(database_url, **settings):
        assert [*folder.iterdir()] == []


@pytest.fixture
def app(app: ServiceApplication) -> ServiceApplication:
    app.config.update(SERVICE_NAME="service", SERVICE_PORT=1)

    @app.get("/<path:path>")
    async def get(path: str) -> str:
        return path

    return app


@asynccontextmanager
async def following(app: ServiceApplication, folder: Path) -> AsyncIterator[Path]:
    async with followed(app, folder):
        [path] = await sockets(folder)
        yield path


async def test_a_follower_that_comes_later_gets_what_was_before_and_reads_on(
    app: ServiceApplication, folder: Path
) -> None:
    client = app.test_client()
    async with following(app, folder) as path, asyncio.timeout(TIMEOUT):
        await client.get("/one")
        seen = []
        async for kind, told in events(path):
            if kind == "request":
                seen.append(told)
                if len(seen) == 2:
                    break
                await client.get("/two")
        await client.get("/three")
        async for kind, told in events(path, seen[1]["number"]):
            if kind == "request":
                seen.append(told)
                break

    assert [each["path"] for each in seen] == ["/one", "/two", "/three"]


@pytest.mark.slow
async def test_one_that_does_not_read_holds_nothing_and_hears_what_it_has_missed(
    app: ServiceApplication, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_live, "MOST_REQUESTS", 10)
    monkeypatch.setattr(_live, "MOST_IN_DETAIL", 10**6)
    client, count = app.test_client(), 3_000
    async with following(app, folder) as path, asyncio.timeout(TIMEOUT):
        loop, follower = asyncio.get_running_loop(), socket.socket(socket.AF_UNIX)
        follower.setblocking(False)
        await loop.sock_connect(follower, str(path))
        await loop.sock_sendall(follower, FOLLOW % b"")
        text = await loop.sock_recv(follower, 100)
        [live] = app.observers.all
        assert isinstance(live, Live)
        for number in range(count):
            await client.get(f"/{'a' * 400}{number}")
        [task] = live._followers
        held = live._bytes
        while b"event: lost" not in text or f"a{count - 1}".encode() not in text:
            text += await loop.sock_recv(follower, 65_536)
        follower.close()
        assert not task.done()

    assert held < 20_000
    assert text.count(b"event: request") < count
    lost = [json.loads(each.partition(b"\n")[0]) for each in text.split(b"event: lost\ndata: ")[1:]]
    assert all(set(each) == {"events"} and each["events"] > 0 for each in lost)


async def test_what_the_page_asks_itself_is_neither_told_nor_counted(
    app: ServiceApplication,
) -> None:
    live, client = Live(app), app.test_client()

    @app.get("/api/v1/openapi.json")
    async def document() -> tuple[str, int]:
        return "", statuses.pop()

    statuses = [200, 200, 500]
    with live.observing():
        for path in ("/api/v1/openapi.json", "/one", *2 * ("/api/v1/openapi.json",)):
            await client.get(path)
        app.tell_ended()
        live.end_second()

    told = [json.loads(text.split(b"data: ")[1]) for _, text in live._requests]
    [second] = [json.loads(text.split(b"data: ")[1]) for _, text in live._seconds]
    assert [(each["path"], each["status"]) for each in told] == [
        ("/api/v1/openapi.json", 500),
        ("/one", 200),
    ]
    assert (second["requests"], second["errors"], second["running"]) == (2, 1, 0)


async def test_requests_that_are_too_many_are_counted_and_failed_ones_told(
    app: ServiceApplication,
) -> None:
    live = Live(app)
    for number in range(200):
        status = 500 if number == 150 else 200
        live.begin_request(request := observed_request())
        live.ended_statements.append(ended_statement("SELECT 1", request=request))
        request.status, request.seconds, request.is_whole = status, number / 1000, True
        live.end_requests([request])
    live.end_second()

    told = [json.loads(text.split(b"data: ")[1]) for _, text in live._requests]
    [second] = [json.loads(text.split(b"data: ")[1]) for _, text in live._seconds]
    assert len(told) == 51
    assert [each["status"] for each in told if each["statements"] is None] == [500]
    assert (second["requests"], second["errors"], second["told"]) == (200, 1, 51)
    assert (second["p50"], second["p99"]) == (0.099, 0.197)
    assert live._open == {}


async def test_a_request_is_told_with_the_time_when_it_came(app: ServiceApplication) -> None:
    """Observers are told of it later, with others."""
    live = Live(app)
    live.begin_request(request := observed_request())
    request.started -= 100
    request.seconds = 1.0

    live.end_request(request)

    [(_, text)] = live._requests
    assert 95 < time.time() - json.loads(text.split(b"data: ")[1])["time"] < 105


async def test_steps_of_a_request_have_a_bound(app: ServiceApplication) -> None:
    live = Live(app)
    live.begin_request(request := observed_request())
    for _ in range(150):
        live.ended_statements.append(ended_statement("SELECT 'x'", request=request))
        live.end_call(ObservedCall("other", "GET", "/", request))
    live.end_requests([request])

    [(_, text)] = live._requests
    told = json.loads(text.split(b"data: ")[1])
    assert len(told["statements"]) == len(told["calls"]) == 100
    assert told["omitted"] == 100


@pytest.mark.parametrize(
    "sent", [b"\r\n\r\n", b"x" * 10_000, b"GET / HTTP/1.1\r\nLast-Event-ID: a\r\n\r\n", b""]
)
async def test_what_is_no_request_ends_the_connection_or_is_answered(
    app: ServiceApplication, folder: Path, sent: bytes
) -> None:
    async with following(app, folder) as path, asyncio.timeout(TIMEOUT):
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(sent)
        writer.write_eof()
        with suppress(ConnectionError):
            await reader.read(100)
        writer.transport.abort()

        assert (await first(path, "process"))["service"] == "service"


async def test_a_socket_that_cannot_be_made_is_a_line_of_the_log(
    app: ServiceApplication, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder.chmod(0o777)
    async with followed(app, folder):
        assert app.observers.all == ()
    async with followed(app, folder / "a" / "b"):
        pass
    async with followed(app, folder / ("a" * 150)):
        pass

    assert [each.getMessage() for each in caplog.records] == [
        "LIVE_FOLDER: others can write to the folder: this process cannot be followed",
        "LIVE_FOLDER: No such file or directory: this process cannot be followed",
        "LIVE_FOLDER: AF_UNIX path too long: this process cannot be followed",
    ]


async def test_a_socket_of_a_process_that_was_killed_is_replaced(
    app: ServiceApplication, folder: Path
) -> None:
    (folder / f"{os.getpid()}.sock").touch()

    async with following(app, folder) as path:
        assert (await first(path, "process"))["pid"] == os.getpid()


def _faults(kind: str, *told: dict[str, Any]) -> list[str]:
    """Return how data departs from the schema, in which a test may find what it does not name."""
    if find_spec("jsonschema") is None:
        return []
    whole = json.loads(FILE.read_text())
    schema = {"$ref": f"#/$defs/{kind}", "$defs": whole["$defs"]}
    validator = import_module("jsonschema").Draft202012Validator(schema)
    named = {*whole["$defs"][kind]["properties"], "number"}
    faults = [str(each.message) for data in told for each in validator.iter_errors(data)]
    return faults + [f"{kind}.{name}" for data in told for name in data if name not in named]
