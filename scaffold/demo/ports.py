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
    """Listen without ever answering: what only binds a port does not keep others from it."""
    try:
        return socket.create_server((_HOST, port))
    except OSError:
        return socket.create_server((_HOST, 0))
