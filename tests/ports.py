"""Ports for processes that a test starts, which no other process takes before they listen."""

import random
import socket

_PORTS = range(20000, 32000)
"""Below those that Linux gives to clients, so that no exchange of a test is in the way."""


def reserve_port() -> int:
    """Return a port that no other call returns for some seconds to come, in no other process.

    A connection in TIME_WAIT blocks it. Servers, which set SO_REUSEADDR, listen there all the same.
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
                server.accept()[0].close()  # the side that closes first keeps the port in TIME_WAIT
            port: int = server.getsockname()[1]
            return port
