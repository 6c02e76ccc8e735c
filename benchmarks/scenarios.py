"""The requests that are measured, and the rows that they read."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, repeat

from benchmarks.wire import encode

USERS = "/api/v1/users"
ROWS = 100_000
PAGE = 20
PAGES = f"{USERS}/page?limit={PAGE}&after="


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of request, repeated as quickly as it is answered."""

    name: str
    title: str
    path: str
    """May hold one `%d`, replaced by a number drawn anew for every request."""
    drawn: tuple[int, int] | None = None
    """The smallest and the largest number for `%d`."""
    creates: bool = False
    """POST of a user with a name, an email and other values of its own."""

    def requests(self, prefix: str, seed: int = 0) -> Iterator[bytes]:
        """Yield requests without end; equal seeds give equal numbers, a prefix its own names."""
        if self.creates:
            return (encode("POST", self.path, new_user(prefix, number)) for number in count())
        if self.drawn is None:
            return repeat(encode("GET", self.path))
        low, high = self.drawn
        draw = random.Random(seed).randint  # noqa: S311 - no secret
        return (encode("GET", self.path % draw(low, high)) for _ in count())


HEALTH = Scenario("health", "health", "/api/v1/health")
GET = Scenario("get", "get by id", f"{USERS}/%d", drawn=(1, ROWS))
LIST = Scenario("list", "page of 20", f"{PAGES}%d", drawn=(0, ROWS - PAGE))
CREATE = Scenario("create", "create", USERS, creates=True)

ALL = (HEALTH, GET, LIST, CREATE)


def insertion(rows: int) -> str:
    """Return the SQL that inserts users of whom no two have a text or a time in common."""
    return (
        "INSERT INTO users (username, email, first_name, last_name, age, created_at, updated_at)"  # noqa: S608 - our own number
        " SELECT 'user' || n, 'user' || n || '@example.com', 'First' || n, 'Last' || n,"
        " 18 + n % 60,"
        " timestamptz '2026-01-01 00:00:00+00' + n * interval '1 second',"
        " timestamptz '2026-03-01 00:00:00+00' + n * interval '61 seconds'"
        f" FROM generate_series(1, {rows}) n"
    )


FILL = ("TRUNCATE users RESTART IDENTITY", insertion(ROWS), "VACUUM ANALYZE users")
"""Makes the table; the ids are 1 to `ROWS`."""

RESTORE = (
    f"DELETE FROM users WHERE id > {ROWS}",  # noqa: S608 - our own number
    f"SELECT setval(pg_get_serial_sequence('users', 'id'), {ROWS})",
    "VACUUM ANALYZE users",
)
"""Removes what creations have added, so that every measurement begins with the same rows."""


def new_user(prefix: str, number: int = 0) -> bytes:
    """Return the body that creates a user, each value but the age another for each number."""
    name = f"{prefix}{number}"
    return (
        f'{{"username":"{name}","email":"{name}@example.com",'
        f'"first_name":"First{number}","last_name":"Last{number}","age":{18 + number % 60}}}'
    ).encode()
