"""A service listens on the port of its settings, or says why it cannot."""

import asyncio
import errno
import os
import resource
import socket

import pytest

from quart_fleet.errors import ConfigurationError
from quart_fleet.server._listener import end_listening, listen


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


async def end(listener: socket.socket, protocol: type[asyncio.Protocol]) -> None:
    listener.setblocking(False)
    await end_listening(listener, [], protocol, is_last=True)


async def test_a_drain_goes_on_where_no_file_can_be_opened() -> None:
    served = list[asyncio.Protocol]()

    class Served(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            served.append(self)
            transport.close()

    listener = listen("127.0.0.1", 0)
    clients = [socket.create_connection(listener.getsockname()) for _ in range(3)]
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(listener.fileno())  # the lowest, and the only one
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, before[1]))
    try:
        await end(listener, Served)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for client in clients:
            client.close()

    assert listener.fileno() == -1
    assert len(served) == 1


async def test_a_client_that_cannot_be_served_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop, asked = asyncio.get_running_loop(), list[socket.socket]()

    async def connect(_protocol: object, client: socket.socket) -> None:
        asked.append(client)
        raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))

    listener = listen("127.0.0.1", 0)
    clients = [socket.create_connection(listener.getsockname()) for _ in range(3)]
    monkeypatch.setattr(loop, "connect_accepted_socket", connect)

    await end(listener, asyncio.Protocol)

    assert [each.fileno() for each in asked] == [-1] * 3
    for client in clients:
        client.close()
