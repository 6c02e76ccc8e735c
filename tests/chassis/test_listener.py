"""A service listens on the port of its settings, or says why it cannot."""

import errno
import os
import socket

import pytest

from quart_fleet.errors import ConfigurationError
from quart_fleet.server._listener import listen


def refusal(host: str, port: int) -> str:
    with pytest.raises(ConfigurationError) as refused:
        listen(host, port)
    return refused.value.message


def test_a_port_in_use_is_refused_with_the_way_to_choose_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        assert refusal("127.0.0.1", port).splitlines() == [
            f"Port {port} is in use.",
            "Stop the program that listens there, or choose another port: "
            "SERVICE_PORT=<port> python app.py",
        ]


@pytest.mark.parametrize("host", ["nosuch.invalid", "a" * 64, "a b"])
def test_a_host_that_does_not_exist_is_refused(host: str) -> None:
    assert refusal(host, 0) == f"HOST: no such host as {host!r}"


def test_an_address_of_another_machine_is_refused() -> None:
    # The address is of a block that is kept for documents.
    reason = os.strerror(errno.EADDRNOTAVAIL)

    assert refusal("192.0.2.1", 8081) == (
        f"Cannot listen on 192.0.2.1:8081: {reason} (HOST and SERVICE_PORT set it)"
    )


@pytest.mark.parametrize(
    ("host", "reached", "refused"),
    [
        ("::", ["::1", "127.0.0.1"], []),
        ("0.0.0.0", ["127.0.0.1"], ["::1"]),
        ("::1", ["::1"], ["127.0.0.1"]),
        ("0:0:0:0:0:0:0:1", ["::1"], ["127.0.0.1"]),
        ("localhost", ["127.0.0.1"], ["::1"]),
    ],
)
def test_a_host_is_reached_at_its_own_addresses(
    host: str, reached: list[str], refused: list[str]
) -> None:
    with listen(host, 0) as listener:
        port = listener.getsockname()[1]

        for address in reached:
            socket.create_connection((address, port)).close()
        for address in refused:
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((address, port))


def test_an_address_of_ipv6_is_told_in_brackets() -> None:
    assert refusal("2001:db8::1", 8081).startswith("Cannot listen on [2001:db8::1]:8081: ")
