"""Ports for the fleet: the usual ones, or free ones where those are taken."""

import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

_HOST = "127.0.0.1"


@contextmanager
def reserved_ports(wanted: Iterable[int]) -> Iterator[list[int]]:
    """Keep a port for each that is wanted until the block ends, so that no other demo takes it."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(_reserve(port)) for port in wanted]
        yield [int(each.getsockname()[1]) for each in sockets]


def _reserve(port: int) -> socket.socket:
    reservation = socket.socket()
    try:
        reservation.bind((_HOST, port))
    except OSError:
        reservation.bind((_HOST, 0))
    return reservation
