"""The demo's ports: the usual ones, or others that are free."""

import itertools
import socket

import pytest

from scaffold.errors import ScaffoldError
from scaffold.supervisor.ports import reserved_ports


@pytest.fixture
def free_port() -> int:
    """A port without a listener."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_a_taken_port_is_replaced_by_a_free_one() -> None:
    """And no other program gets it while it is reserved."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with reserved_ports([taken]) as reserved:
            [port] = reserved.ports
            assert port != taken
            with pytest.raises(OSError, match="in use"):
                socket.create_server(("127.0.0.1", port))


def test_a_replacement_that_is_taken_too_is_replaced(
    free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where another program has the UDP port of a number that is free for TCP."""
    chosen = itertools.chain([free_port, free_port], itertools.repeat(0))
    create_server = socket.create_server
    monkeypatch.setattr(
        socket, "create_server", lambda address: create_server((address[0], next(chosen)))
    )
    with _bound_to_udp(free_port), reserved_ports([free_port]) as reserved:
        assert reserved.ports != [free_port]


def test_a_machine_without_free_ports_is_told(
    free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some attempts, in words."""
    create_server = socket.create_server
    monkeypatch.setattr(
        socket, "create_server", lambda address: create_server((address[0], free_port))
    )
    with (
        _bound_to_udp(free_port),
        pytest.raises(ScaffoldError, match=f"Port {free_port} is in use, and 20 others"),
        reserved_ports([free_port]),
    ):
        pass


def test_a_port_is_reserved_against_other_demos_until_a_service_listens(free_port: int) -> None:
    """Which takes it seconds: it is a process that has to start first."""
    with reserved_ports([free_port]) as ours:
        ours.hand_over()

        with reserved_ports(ours.ports) as theirs, _listening(*ours.ports):
            assert theirs.ports != ours.ports

    with reserved_ports([free_port]) as later:
        assert later.ports == [free_port]


def _bound_to_udp(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.bind(("127.0.0.1", port))
    return bound


def _listening(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port))
