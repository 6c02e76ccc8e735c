"""The statements of the peers that ask asyncpg directly, and their pool."""

import asyncpg

from benchmarks.peers.contract import DATABASE_URL, POOL_SIZE

_COLUMNS = "id, username, email, first_name, last_name, age, is_active, created_at, updated_at"
FIND = f"SELECT {_COLUMNS} FROM users WHERE id = $1"  # noqa: S608 - nothing of a client's
PAGE = f"SELECT {_COLUMNS} FROM users WHERE id > $1 ORDER BY id LIMIT $2"  # noqa: S608 - nothing of a client's
ADD = (
    "INSERT INTO users (username, email, first_name, last_name, age)"  # noqa: S608
    f" VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING RETURNING {_COLUMNS}"
)
NAMED = "SELECT id FROM users WHERE username = $1"


def make_pool() -> asyncpg.Pool:
    """Make a pool that, as ours, spares the round trip that clears a session."""
    return asyncpg.create_pool(DATABASE_URL, min_size=0, max_size=POOL_SIZE, reset=_keep)


async def _keep(_connection: asyncpg.Connection) -> None:
    """No statement leaves anything in a session."""
