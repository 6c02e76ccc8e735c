"""What services, their tests and the commands about them have to agree on; see also `workspace`."""

import errno
import os
import re
import socket
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

PREFIX = "/api/v1"
"""The path below which every service answers."""

PROBES = frozenset({f"{PREFIX}/health", f"{PREFIX}/health/ready"})
"""What is asked again and again, to see whether a service is well."""

ASKED_BY_PAGE = PROBES | {f"{PREFIX}/openapi.json"}
"""What the page of a fleet that is up asks by itself."""

PAGES = "quart_fleet_docs"
"""The blueprint of the page of documentation; no resource is named so."""

SECRETS = Path("/run/secrets")
"""Where Docker, Podman and the manifests mount secrets; SECRETS_DIR names another folder."""

FOREIGN_VARIABLES = (
    *(
        "*_SERVICE_URL",
        "CALL_TIMEOUT",
        "CORS_ORIGINS",
        "DATABASE_*",
        "DB_*",
        "DEBUG",
        "DOCS",
        "FORWARDED_ALLOW_IPS",
        "HOST",
        "PG*",
        "PORT",
    ),
    *("GRACEFUL_TIMEOUT", "HEAD_TIMEOUT", "KEEP_ALIVE_TIMEOUT", "MAX_*", "REQUEST_TIMEOUT"),
    *("LIVE_FOLDER", "LOG_*", "METRICS_PORT", "OTEL_*", "PROTECTED", "SECRET_KEY", "SECRETS_DIR"),
    *("SEND_TIMEOUT", "SERVICE_*", "TESTING", "TRUSTED_PROXIES"),
)
"""Patterns of the variables that a service, the database manager or asyncpg would read."""

TOOL_VARIABLES = (*("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV"),)
"""Patterns of those that would turn make, pip and uv to another place than a workspace's own."""

BACKLOG = 2048
"""Connections that may wait to be accepted by a service."""

LOOPBACKS = {"127.0.0.1": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::1": "::1", "::": "::1"}  # noqa: S104 - only looked up
"""Where a program is reached that has the port of an address already."""

_CONNECT_TIMEOUT = 1.0
"""Seconds."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")
"""Of a host; DNS bounds its labels (RFC 1035, section 2.3.4), and containers' names have underscores."""


def role_of(service: str) -> str:
    """Return the role by which a service logs in to the database: its package's name."""
    return service.replace("-", "_").lower()


def without_foreign_variables(
    environment: Mapping[str, str], patterns: Iterable[str] = FOREIGN_VARIABLES
) -> dict[str, str]:
    """Return the variables that match none of the patterns."""
    return {
        name: value
        for name, value in environment.items()
        if not any(fnmatchcase(name, pattern) for pattern in patterns)
    }


def is_host(text: str) -> bool:
    """Say whether this may be asked for its address, or is one: without brackets, without a zone."""
    last = text.rstrip(".").rpartition(".")[2]
    if ":" not in text and not last.isdecimal():
        return bool(_NAME.fullmatch(text)) and len(text) < 254
    try:
        return bool((IPv6Address if ":" in text else IPv4Address)(text)) and "%" not in text
    except ValueError:
        return False


def is_served(port: int, host: str = "127.0.0.1") -> bool:
    """Say whether a program answers at a port of this machine; `host` is its loopback.

    On macOS and the BSDs, a program binds a port beside another that has it at every address, and
    then some clients reach the one, some the other.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as client:
            client.settimeout(_CONNECT_TIMEOUT)
            client.connect((host, port))
            # A socket that was given this very port by chance has reached itself.
            return bool(client.getsockname()[:2] != client.getpeername()[:2])
    except OSError:
        return False


def open_listener(host: str, port: int) -> socket.socket:
    """Listen as a service does; raises OSError, and of it gaierror where there is no such host.

    `::` is every address of this machine, of IPv4 too, whatever the system's default.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise socket.gaierror(socket.EAI_NONAME, "No such host") from None
    families = {each[0] for each in found}
    family = socket.AF_INET if socket.AF_INET in families else socket.AF_INET6
    both = host == "::" and socket.has_dualstack_ipv6()
    loopback = LOOPBACKS.get(next(str(each[4][0]) for each in found if each[0] == family))
    if port and loopback and is_served(port, loopback):
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    return socket.create_server((host, port), family=family, backlog=BACKLOG, dualstack_ipv6=both)
