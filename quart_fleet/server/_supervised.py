"""What a supervisor hands over, and what it is told: as between systemd and its services.

The listener is its own (sd_listen_fds(3)), so that one process takes over from another without a
moment in which the port is closed; that it serves is said at NOTIFY_SOCKET (sd_notify(3)).
"""

import os
import socket
from contextlib import suppress

from quart_fleet.errors import ConfigurationError
from quart_fleet.logs import clean
from quart_fleet.server._listener import bound_unsent

END_TIMEOUT = 20.0
"""Seconds that a process gets to close its database, after those of its requests."""
CLOSED = "X_CLOSED=1"
"""Told where this process accepts no more clients: they reach the one that has taken over."""
_TELL_TIMEOUT = 5.0
"""Seconds that a supervisor gets to take what it is told: the system keeps few lines for it."""
_FIRST = 3
"""The file that the first listener has (SD_LISTEN_FDS_START)."""


def find_listener() -> socket.socket | None:
    """Return the listener that this process was started with, None without one.

    Raises ConfigurationError where it was started with something else, or with several.
    """
    count, found = os.environ.get("LISTEN_FDS", "0"), find_listeners()
    if found is not None and len(found) != 1:
        raise ConfigurationError(
            f"LISTEN_FDS={count}: hand over one socket that listens (for systemd: one ListenStream)"
        )
    return found[0][1] if found else None


def find_listeners() -> list[tuple[str, socket.socket]] | None:
    """Return the listeners that this process was started with, by their names, None without.

    Raises ConfigurationError where one of them does not listen.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return None  # none, or for the parent of this process
    del os.environ["LISTEN_PID"]
    names = os.environ.pop("LISTEN_FDNAMES", "").split(":")
    count = os.environ.pop("LISTEN_FDS", "0")
    found = []
    for number in range(int(count) if count.isdecimal() else 0):
        try:
            listener = socket.socket(fileno=_FIRST + number)
            is_listening = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        except OSError:
            is_listening = 0
        if not is_listening:
            raise ConfigurationError(
                f"LISTEN_FDS={count}: hand over one socket that listens (for systemd: one "
                f"ListenStream) for each service: file {_FIRST + number} is none"
            )
        listener.set_inheritable(False)
        bound_unsent(listener)
        found.append((names[number] if number < len(names) else "", listener))
    return found


def tell(state: str) -> None:
    """Say a state such as `READY=1` at NOTIFY_SOCKET, where there is one."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):  # Linux's abstract addresses
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, suppress(OSError):
        sender.settimeout(_TELL_TIMEOUT)
        sender.connect(address)
        sender.sendall(state.encode())


def tell_refusal(reason: str) -> None:
    """Say why this process ends without having served."""
    tell(f"X_REFUSED={clean(in_one_line(reason))}")


def in_one_line(reason: str) -> str:
    """Return a reason of several lines, each of which is a sentence, in one."""
    lines = [" ".join(line.split()) for line in reason.splitlines() if line.strip()]
    ended = [line if line.endswith((".", ":", ",", ";")) else f"{line}." for line in lines[:-1]]
    return " ".join([*ended, *lines[-1:]])


def tell_stopping(grace: float) -> None:
    """Say that this process ends, and how long that may take where requests get `grace` seconds."""
    tell(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={(grace + END_TIMEOUT) * 1e6:.0f}")
