"""What a supervisor hands over, and what it is told: as between systemd and its services.

The listener is its own (sd_listen_fds(3)), so that one process takes over from another without a
moment in which the port is closed; that it serves is said at NOTIFY_SOCKET (sd_notify(3)).
"""

import os
import socket
from contextlib import suppress

from quart_fleet.errors import ConfigurationError

_FIRST = 3
"""The file that the first listener has (SD_LISTEN_FDS_START)."""


def find_listener() -> socket.socket | None:
    """Return the listener that this process was started with, None without one.

    Raises ConfigurationError where it was started with something else, or with several.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return None  # none, or for the parent of this process
    for name in ("LISTEN_PID", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
    count = os.environ.pop("LISTEN_FDS", "0")
    try:
        listener = socket.socket(fileno=_FIRST)
        is_listening = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError:
        count, is_listening = "0", 0
    if count != "1" or not is_listening:
        raise ConfigurationError(
            f"LISTEN_FDS={count}: hand over one socket that listens (for systemd: one ListenStream)"
        )
    listener.set_inheritable(False)
    return listener


def tell(state: str) -> None:
    """Say `READY=1` or `STOPPING=1` at NOTIFY_SOCKET, where there is one."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):  # Linux's abstract addresses
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, suppress(OSError):
        sender.connect(address)
        sender.sendall(state.encode())
