"""A service gets the port that it asks for, or words that say who has it."""

import errno
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from quart_fleet.errors import ConfigurationError
from quart_fleet.server._listener import listen

GREETING = json.dumps({"data": {"message": "Welcome to order-service"}}).encode()


@contextmanager
def answering(body: bytes) -> Iterator[int]:
    """A program that has a port and answers every GET so."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def refusal(host: str, port: int) -> str:
    with pytest.raises(ConfigurationError) as refused:
        listen(host, port)
    return refused.value.message


def test_a_port_in_use_is_named_with_the_service_that_has_it() -> None:
    with answering(GREETING) as port:
        first, second = refusal("127.0.0.1", port).splitlines()

    assert first == f"Port {port} is in use: order-service is running there."
    assert second.endswith(" SERVICE_PORT=<port> python app.py")


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff", b"hello", b"[]", b"{}", b'{"data": null}', b'{"data": {"message": "Hi"}}'],
    ids=repr,
)
def test_a_program_that_is_no_service_has_no_name(body: bytes) -> None:
    with answering(body) as port:
        assert f"Port {port} is in use: another program listens there." in refusal(
            "127.0.0.1", port
        )


def test_a_program_that_never_answers_has_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quart_fleet.server._listener._PATIENCE", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]

        assert "another program listens there" in refusal("127.0.0.1", port)


@pytest.mark.parametrize("host", ["nosuch.invalid", "a" * 64, "a b"])
def test_a_host_that_is_not_there_is_told(host: str) -> None:
    assert refusal(host, 0) == f"HOST: no such host as {host!r}"


def test_an_address_of_another_machine_is_told() -> None:
    # The address is of a block that is kept for documents.
    reason = os.strerror(errno.EADDRNOTAVAIL)

    assert refusal("192.0.2.1", 8081) == (
        f"Cannot listen on 192.0.2.1:8081: {reason} (HOST and SERVICE_PORT set it)"
    )
