"""Ports for the fleet: the usual ones, or free ones where those are taken."""

import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

_HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Reservation:
    """Ports that no other demo takes before its end."""

    ports: list[int]
    _listening: ExitStack

    def hand_over(self) -> None:
        """Let the services listen; marks keep the ports from other demos to the end."""
        self._listening.close()


@contextmanager
def reserved_ports(wanted: Iterable[int]) -> Iterator[Reservation]:
    """Keep a port for each that is wanted until the block ends."""
    with ExitStack() as marks, ExitStack() as listening:
        ports = [_reserve(port, marks, listening) for port in wanted]
        yield Reservation(ports, listening)


def _reserve(port: int, marks: ExitStack, listening: ExitStack) -> int:
    try:
        listener, mark = _take(port)
    except OSError:
        listener, mark = _take(0)
    listening.enter_context(listener)
    marks.enter_context(mark)
    return int(listener.getsockname()[1])


def _take(port: int) -> tuple[socket.socket, socket.socket]:
    """Listen without ever answering: what only binds a port does not keep others from it.

    The mark is the same number of UDP, which a service does not need and every demo asks for.
    """
    listener = socket.create_server((_HOST, port))
    mark = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        mark.bind(listener.getsockname())
    except OSError:
        listener.close()
        mark.close()
        raise
    return listener, mark
