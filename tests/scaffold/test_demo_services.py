"""One service of the demo: how it is started and asked, where a whole demo would not show it."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from scaffold.api.row import Records
from scaffold.demo.checks import Result, check, check_metrics
from scaffold.demo.fleet import RunningService, Service, await_exits, started
from scaffold.demo.workspace import Installation, Sandbox, environment
from scaffold.errors import ScaffoldError
from scaffold.supervisor.processes import Processes, SignalGuard
from scaffold.supervisor.reaper import Reaper


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox with an empty workspace."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "fleet").mkdir()
    with Reaper() as reaper:
        yield Sandbox(tmp_path, Processes(SignalGuard(), reaper))


def test_a_service_that_dies_is_named_with_its_last_words(sandbox: Sandbox) -> None:
    """At once, before the timeout of all of them."""
    service = Service("user-service", 1)
    folder = sandbox.workspace / service.folder
    folder.mkdir(parents=True)
    (folder / "app.py").write_text("import sys; sys.exit('no luck')", "utf-8")
    installation = Installation(sandbox, sys.executable, {})

    with (
        pytest.raises(ScaffoldError, match=r"user-service ended with exit code 1:\n  no luck"),
        started([service], installation),
    ):
        pass


def test_a_running_service_that_ends_is_named(tmp_path: Path) -> None:
    """With its exit code and its log, which is what is left of it."""
    process = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    lines: list[str] = []

    await_exits(
        [RunningService(Service("user-service", 1), process, tmp_path / "x.log")], lines.append
    )

    assert lines == [f"user-service ended with exit code 3: its log is {tmp_path / 'x.log'}"]


def test_a_service_that_does_not_answer_is_red(deaf_socket: socket.socket) -> None:
    """In every row, with the reason; the demo goes on to the others."""
    results: list[Result] = []

    _check(deaf_socket.getsockname()[1], results)

    assert len(results) >= 30
    assert not [result for result in results if result.passed]
    reason = f"expected status {results[0].row.status}, got no answer: ConnectionRefusedError"
    assert results[0].faults[0].startswith(reason)


def test_a_service_that_counts_nothing_is_red(deaf_socket: socket.socket) -> None:
    port = deaf_socket.getsockname()[1]
    deaf = check_metrics(Service("user-service", 1, port))
    with _serving(_telling("/api/v1/health")) as port:
        other = check_metrics(Service("user-service", 1, port))
    with _serving(_telling("/api/v1/users")) as port:
        counted = check_metrics(Service("user-service", 1, port))

    assert deaf.faults[0].startswith("expected status 200, got no answer: URLError")
    assert other.faults == (
        'expected http_requests_total of route="/api/v1/users", there was none',
    )
    assert counted.passed


def test_a_service_that_hangs_is_not_asked_for_hours(
    deaf_socket: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every row is red; three have waited for an answer."""
    monkeypatch.setattr("scaffold.demo.checks._ANSWER_TIMEOUT", 0.05)
    deaf_socket.listen()
    results: list[Result] = []

    _check(deaf_socket.getsockname()[1], results)

    faults = [result.faults[0].rpartition(": ")[2] for result in results]
    assert faults[:3] == ["TimeoutError('timed out')"] * 3
    assert len(faults) >= 30
    reason = "TimeoutError('3 requests before were not answered in time')"
    assert set(faults[3:]) == {reason}


def _telling(route: str) -> type[BaseHTTPRequestHandler]:
    """Return what tells of seven requests of a route."""

    class Metrics(_Unstable):
        def do_GET(self) -> None:
            body = f'http_requests_total{{route="{route}"}} 7\n'.encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Metrics


def _check(port: int, results: list[Result]) -> None:
    check(Service("order-service", port), results.append, Records(), lambda _: nullcontext())


class _Unstable(BaseHTTPRequestHandler):
    """Answers 404 to everything, with another body each time."""

    protocol_version = "HTTP/1.1"
    count = 0

    def do_GET(self) -> None:
        type(self).count += 1
        body = str(self.count).encode()
        self.send_response(404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.slow
def test_a_request_that_changes_what_should_stay_is_red() -> None:
    """Though its answer may be right: the list of all records is compared before and after."""
    results: list[Result] = []

    with _serving(_Unstable) as port:
        _check(port, results)

    changed = [r for r in results if "expected what is stored to stay, it changed" in r.faults]
    assert "letters make no id" in {result.row.title for result in changed}


def test_the_callers_settings_stay_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A PORT of the shell would put all four services on it."""
    monkeypatch.setenv("PORT", "3000")
    monkeypatch.setenv("LANG", "C.UTF-8")

    variables = environment({"DEBUG": "False"})

    assert "PORT" not in variables
    assert (variables["LANG"], variables["DEBUG"]) == ("C.UTF-8", "False")
