"""Ports for services that are about to start: the usual ones, or free ones in their place."""

import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from quart_fleet.conventions import is_served
from scaffold.errors import ScaffoldError

_HOST = "127.0.0.1"
ANY = 0
"""Stands for a port that is free."""
_REPLACEMENTS = 20


@dataclass(frozen=True, slots=True)
class Reservation:
    """Ports that no other reservation on this machine gets before its end."""

    ports: list[int]
    _listeners: ExitStack

    def hand_over(self) -> None:
        """Let the services listen; the ports stay reserved against other reservations."""
        self._listeners.close()


@contextmanager
def reserved_ports(wanted: Iterable[int]) -> Iterator[Reservation]:
    """Reserve a port for each that is wanted until the block ends; raises ScaffoldError."""
    with ExitStack() as marks, ExitStack() as listeners:
        ports = []
        for port in wanted:
            listener, mark = _reserve(port)
            listeners.enter_context(listener)
            marks.enter_context(mark)
            ports.append(int(listener.getsockname()[1]))
        yield Reservation(ports, listeners)


def _reserve(port: int) -> tuple[socket.socket, socket.socket]:
    """Listen on the port, or on a free one where it is taken, and never answer.

    A socket that is only bound does not keep other programs from the port. The second socket is
    bound to the same number of UDP, which a service does not need and every reservation asks for;
    a number that is free for TCP need not be free for UDP.
    """
    for candidate in (port, *[ANY] * _REPLACEMENTS):
        if is_served(candidate):
            continue
        with suppress(OSError), ExitStack() as stack:
            listener = stack.enter_context(socket.create_server((_HOST, candidate)))
            mark = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            mark.bind(listener.getsockname())
            stack.pop_all()
            return listener, mark
    raise ScaffoldError(f"Port {port} is in use, and {_REPLACEMENTS} others tried in its place.")
