"""Ports for processes that a test starts, which nobody else takes before they listen."""

import random
import socket

_PORTS = range(20000, 32000)
"""Below those that Linux gives to clients, so that no exchange of a test is in the way."""


def reserve_port() -> int:
    """Return a port that no other call returns for some seconds to come, in no other process.

    A connection that ended lies on it. Servers, which set SO_REUSEADDR, listen there all the same.
    """
    while True:
        with socket.socket() as server:
            try:
                server.bind(("127.0.0.1", random.choice(_PORTS)))
            except OSError:
                continue
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.listen()
            with socket.create_connection(server.getsockname()):
                server.accept()[0].close()  # who closes first has the connection's remains
            port: int = server.getsockname()[1]
            return port
