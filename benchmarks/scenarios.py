"""What is asked under load."""

from dataclasses import dataclass

USERS = "/api/v1/users"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of request, repeated as quickly as it is answered."""

    name: str
    title: str
    path: str
    creates: bool = False
    """POST with a user that nobody has sent before."""

    @property
    def method(self) -> str:
        """Return how it is asked."""
        return "POST" if self.creates else "GET"


HEALTH = Scenario("health", "health", "/api/v1/health")
GET = Scenario("get", "get by id", f"{USERS}/7")
LIST = Scenario("list", "list 20", USERS)
CREATE = Scenario("create", "create", USERS, creates=True)

ALL = (HEALTH, GET, LIST, CREATE)

SEED = (
    "TRUNCATE users RESTART IDENTITY",
    "INSERT INTO users (username, email, first_name, last_name, age, created_at, updated_at)"
    " SELECT 'user' || n, 'user' || n || '@example.com', 'First', 'Last', 20 + n,"
    " timestamptz '2026-01-01 00:00:00+00' + n * interval '1 minute',"
    " timestamptz '2026-01-01 00:00:00+00' + n * interval '1 hour'"
    " FROM generate_series(1, 20) n",
    "ANALYZE users",
)
"""Twenty users, the same before every measurement."""


def new_user(name: str) -> bytes:
    """Return the body that creates a user of this name."""
    return (
        f'{{"username":"{name}","email":"{name}@example.com",'
        '"first_name":"First","last_name":"Last","age":30}'
    ).encode()
