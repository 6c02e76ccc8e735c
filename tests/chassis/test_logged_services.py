"""Services as processes: what they log of requests, on a terminal, in JSON, and where nothing reads it."""

import asyncio
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import httpx
import pytest

from tests.audit import audit, audit_log
from tests.chassis.serving import TIMEOUT
from tests.chassis.test_logs import FORGERIES
from tests.ports import reserve_port

SERVERS = pytest.mark.parametrize("server", ["uvicorn", "hypercorn"])
pytestmark = pytest.mark.slow
_COLOUR = re.compile("\x1b\\[[0-9]*m")


@contextmanager
def talking(
    stderr: "int | IO[bytes] | None", *options: str, **settings: str
) -> Iterator[httpx.Client]:
    """Run the service of `talking`; ends it in good order."""
    port = reserve_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.chassis.talking", *options],
        env={**os.environ, "SERVICE_PORT": str(port), "SERVICE_NAME": "talking"} | settings,
        stdin=subprocess.DEVNULL, stderr=stderr, preexec_fn=None if stderr is not None else _close_stderr,  # noqa: PLW1509 - no threads
    )  # fmt: skip
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=TIMEOUT) as client:
            _wait_for(client, process)
            yield client
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(TIMEOUT)
    assert code == 0


def _close_stderr() -> None:
    os.close(2)


def _wait_for(client: httpx.Client, process: "subprocess.Popen[bytes]") -> None:
    while True:
        assert process.poll() is None
        try:
            client.get("/health")
        except httpx.TransportError:
            continue
        return


@contextmanager
def logged(path: Path, *options: str, **settings: str) -> Iterator[httpx.Client]:
    """Run it with its log in a file, in JSON."""
    with path.open("wb") as log, talking(log, *options, LOG_FORMAT="json", **settings) as client:
        yield client


def accesses(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if line["logger"] == "quart_fleet.access"]


@SERVERS
def test_what_clients_send_forges_no_line_in_json(server: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with logged(log, "--server", server) as client:
        for text in FORGERIES:
            sent = text.encode(errors="surrogatepass").decode(errors="replace")
            client.get(quote(sent))
            client.get("/health", headers={"X-Request-ID": "a b"}, params={"q": sent})
            assert client.post("/say", content=sent.encode()).status_code == 200

    lines = audit_log(log)
    of_requests = accesses(lines)
    assert len(of_requests) == 2 * len(FORGERIES)  # without the probes, which are well
    assert len([line for line in lines if line["logger"].startswith("talking.")]) == 5 * len(
        FORGERIES
    )
    for name in ("sqlalchemy.engine", "uvicorn.error", "hypercorn.error"):
        assert len([line for line in lines if line["logger"] == name]) == len(FORGERIES)
    assert {line["level"] for line in lines} == {"info", "warning", "error"}
    assert not [line for line in lines if line["event"] == "forged"]


def test_what_clients_send_forges_no_line_on_a_terminal() -> None:
    reading, writing = pty.openpty()
    os.set_blocking(reading, False)
    said = b""
    with talking(writing, NO_COLOR="", TERM="xterm") as client:
        for text in FORGERIES:
            sent = text.encode(errors="surrogatepass").decode(errors="replace")
            client.get(quote(sent))
            client.post("/say", content=sent.encode())
            said += os.read(reading, 1 << 20)
    os.close(writing)
    os.close(reading)

    first, *lines = said.decode().rstrip("\r\n").split("\r\n")
    assert first.endswith("(Ctrl-C stops it)")
    assert "\x1b[32m" in said.decode()
    for line in lines:
        plain = _COLOUR.sub("", line)
        assert plain.isprintable(), line
        assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [A-Z]+ |  ", plain), line
        own = _COLOUR.findall(line)
        assert len(own) % 2 == 0


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What a service has logged of some requests."""
    log = tmp_path_factory.mktemp("talking") / "log"
    with logged(log, "--server", "uvicorn", TRUSTED_PROXIES="10.0.0.0/8") as client:
        answer = client.get(
            "/fail", headers={"X-Request-ID": "of-fail", "X-Forwarded-For": "8.8.8.8"}
        )
        assert answer.headers["x-request-id"] == "of-fail"
        made = client.get("/task/7", params={"key": "hunter2"}).headers["x-request-id"]
        assert re.fullmatch("[0-9a-f]{24}", made)
        client.get("/lost", headers={"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"})
        client.get("/other")
        with client.stream("GET", "/stream") as stream:
            next(stream.iter_raw(10))
        with pytest.raises(httpx.RemoteProtocolError):
            client.get("/torn")
        with pytest.raises(httpx.ReadTimeout):
            client.get("/wait", timeout=0.1)
        client.get("/wait")  # until the other has ended
        for _ in range(20):
            asyncio.run(_send(client.base_url.port or 0, b"GARBAGE\r\n\r\n"))
    return audit_log(log)


async def _send(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    async with asyncio.timeout(TIMEOUT):
        answer = await reader.read()
    writer.close()
    return answer


def of(told: list[dict[str, Any]], path: str) -> dict[str, Any]:
    (line,) = (each for each in accesses(told) if each.get("path") == f"/api/v1{path}")
    return line


def test_an_exception_is_logged_once_with_its_request(told: list[dict[str, Any]]) -> None:
    (failed,) = (line for line in told if "RuntimeError: postgresql" in line.get("exception", ""))

    assert failed["request_id"] == of(told, "/fail")["request_id"] == "of-fail"
    assert failed["route"] == "/api/v1/fail"
    assert failed["exception"].endswith(
        "RuntimeError: postgresql://app:***@db/shop cannot be reached"
    )


def test_an_access_line_says_what_was_asked_and_answered(told: list[dict[str, Any]]) -> None:
    line = of(told, "/fail")

    assert (line["method"], line["status"], line["bytes_sent"]) == ("GET", 500, 52)
    assert line["client"] == "127.0.0.1"  # which is no proxy that is believed
    assert "hunter2" not in str(told)
    assert of(told, "/lost")["trace_id"] == "a" * 32


def test_tasks_and_threads_belong_to_their_request(told: list[dict[str, Any]]) -> None:
    made = of(told, "/task/7")["request_id"]

    assert [line["request_id"] for line in told if line["event"] in ("task 7", "thread 7")] == [
        made
    ] * 2


def test_what_nothing_caught_is_logged(told: list[dict[str, Any]]) -> None:
    (lost,) = (line for line in told if "unseen" in line.get("exception", ""))
    (thread,) = (line for line in told if "in a thread" in line.get("exception", ""))
    (warning,) = (line for line in told if line["logger"] == "py.warnings")

    assert (lost["logger"], lost["level"], thread["level"]) == ("asyncio", "error", "error")
    if sys.version_info >= (3, 12):
        assert lost["request_id"] == of(told, "/lost")["request_id"]
    assert "UserWarning: of warnings\\nforged" in warning["event"]


def test_a_client_that_left_is_told_of(told: list[dict[str, Any]]) -> None:
    first, second = (line for line in accesses(told) if line.get("path") == "/api/v1/wait")

    assert of(told, "/stream")["ended"] == first["ended"] == "client left"
    assert "ended" not in second


def test_a_stream_that_failed_is_told_of_with_its_exception_once(
    told: list[dict[str, Any]],
) -> None:
    (failed,) = (line for line in told if "RuntimeError: torn" in line.get("exception", ""))

    assert (of(told, "/torn")["ended"], of(told, "/torn")["status"]) == ("failed", 200)
    assert failed["request_id"] == of(told, "/torn")["request_id"]


def test_a_flood_of_what_is_refused_is_two_lines(told: list[dict[str, Any]]) -> None:
    first, last = (line for line in accesses(told) if "path" not in line)

    assert first["event"] == "A request was answered 400 before the application"
    assert (first["status"], "(19 more like this)" in last["event"]) == (400, True)


@SERVERS
def test_what_a_server_refuses_is_answered_with_lines_for_people(
    server: str, tmp_path: Path
) -> None:
    path = tmp_path / "log"
    with path.open("wb") as log, talking(log, "--server", server, LOG_FORMAT="console") as client:
        for head in (b"GARBAGE", b"GET / HTTP/1.1", b"GET / HTTP/1.1\r\nHost: x\r\nHost: y"):
            answer = asyncio.run(_send(client.base_url.port or 0, head + b"\r\n\r\n"))
            assert answer.startswith(b"HTTP/1.1 400 "), head
        assert client.get("/task/1").status_code == 200

    said = path.read_text()
    assert " A request was answered 400 before the application [quart_fleet.access] " in said
    assert re.search(r" GET /api/v1/task/1 \[quart_fleet.access\] .*status=200", said)
    assert "Traceback" not in said


@SERVERS
def test_without_access_lines_all_others_know_their_request(server: str, tmp_path: Path) -> None:
    log, settings = tmp_path / "log", {"LOG_LEVEL": "quart_fleet.access=WARNING"}
    with logged(log, "--server", server, **settings) as client:
        answer = client.get("/fail", headers={"X-Request-ID": "of-fail"})
        client.get("/task/7")

    lines = audit_log(log)
    assert "x-request-id" not in answer.headers
    assert accesses(lines) == []
    assert [line["request_id"] for line in lines if "exception" in line] == ["of-fail"]
    assert len({line["request_id"] for line in lines if line["logger"] == "talking.stdlib"}) == 1


def test_probes_are_told_of_where_all_is(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with logged(log, LOG_LEVEL="WARNING,quart_fleet.access=DEBUG") as client:
        client.get("/health")

    probes = accesses(audit_log(log))
    assert len(probes) >= 2
    assert {line["level"] for line in probes} == {"debug"}


@SERVERS
def test_each_worker_says_which_it_is(server: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with logged(log, "--server", server, "--workers", "2") as client:
        port = client.base_url.port
        for _ in range(40):
            httpx.post(f"http://127.0.0.1:{port}/api/v1/say", content=b"x" * 5000)

    assert len({line["pid"] for line in accesses(audit_log(log))}) == 2


@SERVERS
def test_a_pipe_that_nothing_reads_does_not_stop_the_service(server: str) -> None:
    reading, writing = os.pipe()
    with talking(writing, "--server", server, LOG_FORMAT="json") as client:
        assert client.get("/much/300").status_code == 200
        assert client.get("/much/10").status_code == 200
        os.set_blocking(reading, False)
        said = os.read(reading, 1 << 20)
        client.get("/much/1")
        said += os.read(reading, 1 << 20)
        os.close(reading)
        assert client.get("/much/10").status_code == 200
    os.close(writing)

    lines = [audit(line) for line in said.decode().splitlines()]
    assert any("lines of the log were lost" in line["event"] for line in lines)


@SERVERS
def test_a_stderr_that_is_closed_does_not_stop_the_service(server: str, tmp_path: Path) -> None:
    with talking(None, "--server", server) as client:
        assert client.get("/fail").status_code == 500
    with (tmp_path / "log").open("wb") as log, talking(log, "--server", server) as client:
        assert client.get("/silence").status_code == 200
        assert client.get("/fail").status_code == 500
