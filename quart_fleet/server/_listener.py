"""The port that a service listens on, from its first connection to its last."""

import asyncio
import ctypes
import errno
import logging
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress

from quart_fleet.conventions import LOOPBACKS, PREFIX, open_listener
from quart_fleet.errors import ConfigurationError

_MOST_UNSENT = 128 * 1024
"""Bytes that the system holds for a client beyond what is on its way; it would take 2.5 MB of an
answer that its client does not read, which count as the container's memory."""
_SO_ATTACH_FILTER, _BPF_RETURN = 26, 0x06
"""Of linux/socket.h and linux/bpf_common.h: a filter of one instruction that drops all packets."""
SCRAPES = "quart_fleet.scrapes"
"""Where an application keeps the listener of METRICS_PORT."""

_log = logging.getLogger(__name__)


def listen(host: str, port: int, variable: str = "SERVICE_PORT") -> socket.socket:
    """Listen on the port; raises ConfigurationError, which says what to do about it.

    The port is that of the variable.
    """
    try:
        listener = open_listener(host, port)
    except socket.gaierror:
        raise ConfigurationError(f"HOST: no such host as {host!r}") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            message = (
                f"Port {port} is in use.\nStop the program that listens there, "
                f"or choose another port: {variable}=<port> python app.py"
            )
        else:
            reason = os.strerror(error.errno or 0)
            place = f"{in_url(host)}:{port}"
            message = f"Cannot listen on {place}: {reason} (HOST and {variable} set it)"
        raise ConfigurationError(message) from error
    bound_unsent(listener)
    return listener


def bound_unsent(listener: socket.socket) -> None:
    """Bound what the system holds for a client; the connections of the listener inherit it."""
    with suppress(OSError):  # a Unix socket, which holds little
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _MOST_UNSENT)


def written_for_people(host: str, port: int) -> str:
    """Return the URL of a service's routes, by which a browser on this machine reaches it."""
    return f"http://{'localhost' if host in LOOPBACKS else in_url(host)}:{port}{PREFIX}/"


def in_url(host: str) -> str:
    """Return the host as a URL has it: an address of IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


async def end_listening(
    listener: socket.socket,
    servers: Iterable[asyncio.AbstractServer],
    protocol: Callable[[], asyncio.BaseProtocol],
    *,
    is_last: bool,
) -> None:
    """Close the listener and serve what the kernel has accepted already, which it would reset.

    Where no other process holds the listener, the kernel accepts nothing more for the moment
    between the last of these and the close. A client that asks in this moment asks again after a
    second (RFC 6298, section 2.1), and is refused.
    """
    clients = _accept_all(listener)
    if is_last and sys.platform == "linux":
        drop = ctypes.create_string_buffer(struct.pack("HBBI", _BPF_RETURN, 0, 0, 0))
        program = struct.pack("HL", 1, ctypes.addressof(drop))
        with suppress(OSError):  # a sandbox may not know of filters
            listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
    clients += _accept_all(listener)
    for server in servers:
        server.close()
    listener.close()
    for client in clients:
        try:
            client.setblocking(False)
            await asyncio.get_running_loop().connect_accepted_socket(protocol, client)
        except OSError as error:
            _log.warning("A client that was accepted while draining is not served: %s", error)
            client.close()


def _accept_all(listener: socket.socket) -> list[socket.socket]:
    clients = []
    while True:
        try:
            clients.append(listener.accept()[0])
        except BlockingIOError:
            return clients
        except ConnectionError:  # the client has left
            continue
        except OSError as error:  # such as no file left to open: those that run are served
            _log.warning("Clients that still wait to be accepted are not served: %s", error)
            return clients
