"""`python -m quart_fleet.healthcheck PORT`: exit 0 where the service of this container is healthy.

It asks the address and the port that the service listens on: SERVICE_PORT, else PORT, else the
argument. No proxy of the environment is asked, and no installed package imported.
"""

import os
import sys
from contextlib import closing
from http.client import HTTPConnection, HTTPException

from quart_fleet.conventions import PREFIX

_TIMEOUT = 2.0
"""Seconds."""
_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}  # noqa: S104 - only compared with


def is_healthy(default_port: str) -> bool:
    """Say whether the service answers its health route with 200."""
    port = os.environ.get("SERVICE_PORT") or os.environ.get("PORT") or default_port
    host = os.environ.get("HOST") or "127.0.0.1"
    try:
        address = _EVERY_ADDRESS.get(host, host)
        with closing(HTTPConnection(address, int(port), timeout=_TIMEOUT)) as connection:
            connection.request("GET", f"{PREFIX}/health")
            return connection.getresponse().status == 200
    except (OSError, HTTPException, ValueError):  # the last of what is no port, or no host
        return False


if __name__ == "__main__":
    sys.exit(0 if is_healthy(sys.argv[1]) else 1)
