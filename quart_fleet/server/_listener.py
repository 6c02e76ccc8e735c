"""The port that a service listens on, or the reason why it cannot be had."""

import errno
import os
import socket
from http.client import HTTPConnection, HTTPException
from json import JSONDecodeError, loads

from quart_fleet.errors import ConfigurationError
from quart_fleet.web._application import PREFIX

_WELCOME = "Welcome to "
_PATIENCE = 5.0
"""Seconds that whoever listens gets to say its name; a fleet that starts is a machine that is busy."""


def listen(host: str, port: int) -> socket.socket:
    """Take the port; raises ConfigurationError, which names who has it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.getaddrinfo(host, port, family)
    except (socket.gaierror, UnicodeError):
        raise ConfigurationError(f"HOST: no such host as {host!r}") from None
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise ConfigurationError(_explain(error, host, port)) from error


def shown(host: str) -> str:
    """Return the name by which a browser on this machine reaches `host`."""
    return "localhost" if host in ("127.0.0.1", "0.0.0.0", "::", "::1") else host  # noqa: S104


def _explain(error: OSError, host: str, port: int) -> str:
    if error.errno != errno.EADDRINUSE:
        reason = os.strerror(error.errno or 0)
        return f"Cannot listen on {host}:{port}: {reason} (HOST and SERVICE_PORT set it)"
    owner = _find_owner(port)
    taken_by = f"{owner} is running there" if owner else "another program listens there"
    return (
        f"Port {port} is in use: {taken_by}.\n"
        "Stop it, or start this service elsewhere: SERVICE_PORT=<port> python app.py"
    )


def _find_owner(port: int) -> str | None:
    """Ask who listens: every service of a workspace says its name at the root of its API."""
    connection = HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
    try:
        connection.request("GET", f"{PREFIX}/")
        greeting = str(loads(connection.getresponse().read())["data"]["message"])
    except (OSError, HTTPException, JSONDecodeError, UnicodeDecodeError, LookupError, TypeError):
        return None
    finally:
        connection.close()
    return greeting.removeprefix(_WELCOME) if greeting.startswith(_WELCOME) else None
