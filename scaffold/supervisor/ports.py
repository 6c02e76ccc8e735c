"""Ports for services that are about to start: the usual ones, or free ones in their place."""

import errno
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from quart_fleet.conventions import is_served, open_listener
from scaffold.errors import ScaffoldError, describe
from scaffold.workspace import Service

_HOST = "127.0.0.1"
ANY = 0
"""Stands for a port that is free."""
_LISTEN = "0A"
"""The state of a socket that listens, in /proc/net/tcp."""
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


def listen(service: Service, port: int) -> socket.socket:
    """Listen at a service's host; raises ScaffoldError.

    The error names the program that listens there already.
    """
    place = service.port_place.partition(":")[0]
    try:
        return open_listener(service.host, port)
    except OSError as error:
        what = f"{service.called} cannot listen on {service.host}:{port}: {describe(error)}"
        if error.errno != errno.EADDRINUSE:
            raise ScaffoldError(f"{what}.") from None
        raise ScaffoldError(
            f"{what}{_find_owner(port)}.\n"
            f"End that program, or give the service another port in {place}."
        ) from None


def _find_owner(port: int) -> str:
    """Return which program listens on a port, in words, where Linux tells."""
    inodes = {
        fields[9]
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        for fields in _read_table(Path(table))
        if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port
    }
    for file in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):  # it has ended, or is another user's
            if str(file.readlink())[8:-1] in inodes:
                process = file.parents[1]
                words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
                return f", by process {process.name} ({' '.join(words).strip()[:80]})"
    return ""


def _read_table(path: Path) -> Iterator[list[str]]:
    with suppress(OSError):
        for line in path.read_text().splitlines()[1:]:
            yield line.split()
