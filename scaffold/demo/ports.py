"""Ports for the fleet: the usual ones, or free ones where those are taken."""

import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from scaffold.demo.errors import DemoError

_HOST = "127.0.0.1"
_ANY = 0
_REPLACEMENTS = 20


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
    listener, mark = _take_or_replace(port)
    listening.enter_context(listener)
    marks.enter_context(mark)
    return int(listener.getsockname()[1])


def _take_or_replace(port: int) -> tuple[socket.socket, socket.socket]:
    """Take another port where this one is taken; raises DemoError if none can be had.

    What is free for TCP need not be free for UDP, which many programs have ports of at random.
    """
    for candidate in (port, *[_ANY] * _REPLACEMENTS):
        with suppress(OSError):
            return _take(candidate)
    raise DemoError(f"Port {port} is taken, and {_REPLACEMENTS} others that were tried for it.")


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
