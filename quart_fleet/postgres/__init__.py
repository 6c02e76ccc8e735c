"""The mechanism of the embedded PostgreSQL: one server for many processes, and none left behind.

Three kernel locks (flock) tell the truth, because the kernel drops them however a process dies:

    lease    shared, by every process that uses the server; exclusive, by the reaper that ends it
    server   exclusive, by whoever starts the server, and inherited by the server itself:
             while it cannot be taken, something of the server is alive
    reaper   exclusive, by the one reaper that watches

A user takes the lease, sees to it that a reaper watches, and only then starts anything.
The reaper waits for the last lease to go, and ends the server while newcomers wait outside.
"""

from quart_fleet.postgres._embedded import EmbeddedPostgres
from quart_fleet.postgres._errors import EmbeddedPostgresError

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError"]
