"""What services, their tests and the commands about them have to agree on; see also `workspace`."""

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
