"""kill -9 at any moment of a migration: the next run leads to the schema of a clean one."""

import os
import random
import signal
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.db_manager.outcome import USERS, Outcome, execute, fetch, revisions, schema
from tests.db_manager.workspace_copy import WorkspaceCopy

pytestmark = [pytest.mark.faults, pytest.mark.slow]

WHOLE = bool(os.environ.get("FAULTS"))
NUMBER = 400 if WHOLE else 3
"""Of points: there are about ninety each way."""

IN_PARTS = '''"""in parts, of which none can be repeated"""

from alembic import op
import sqlalchemy as sa

revision = "aaaaaaaaaaa1"
down_revision = "3ef43f3fe70a"


def upgrade() -> None:
    op.create_table("moods", sa.Column("id", sa.Integer(), primary_key=True), sa.Column("word", sa.Text()))
    op.add_column("users", sa.Column("nick", sa.String(20)))
    with op.get_context().autocommit_block():
        op.create_index("by_nick", "users", ["nick"], postgresql_concurrently=True)
        op.execute("INSERT INTO moods (word) VALUES ('good'), ('bad')")
        op.execute("ALTER TYPE mood ADD VALUE 'so-so'")
    op.execute("ALTER TABLE users RENAME COLUMN age TO years")
    op.bulk_insert(sa.table("moods", sa.column("word")), [{"word": "a"}, {"word": "b"}])
    with op.get_context().autocommit_block():
        op.drop_index("by_nick", postgresql_concurrently=True)
        op.create_index("by_years", "users", ["years"], unique=True, postgresql_concurrently=True)
        op.execute("UPDATE moods SET word = word || '!'")
        op.execute("ALTER TABLE users ADD CONSTRAINT uq_years UNIQUE USING INDEX by_years")
    op.drop_column("users", "last_name")


def downgrade() -> None:
    op.add_column("users", sa.Column("last_name", sa.String(50)))
    op.execute("ALTER TABLE users RENAME COLUMN years TO age")
    with op.get_context().autocommit_block():
        op.execute("DELETE FROM moods WHERE word = 'bad!'")
        op.drop_constraint("uq_years", "users")
        op.create_index("by_age", "users", ["age"], postgresql_concurrently=True)
    op.execute("CREATE TYPE mood_before AS ENUM ('happy')")
    with op.get_context().autocommit_block():
        op.execute("DROP TYPE mood")
        op.execute("ALTER TYPE mood_before RENAME TO mood")
    op.drop_column("users", "nick")
    op.drop_table("moods")
'''


def catalogue(url: str) -> list[object]:
    """Return all that a run leaves: the schema, labels, rows and comments."""
    words = "SELECT to_regclass('moods') IS NOT NULL"
    rows = (
        fetch(url, "SELECT word FROM moods ORDER BY id") if fetch(url, words) == [(True,)] else []
    )
    labels = fetch(
        url, "SELECT enumlabel FROM pg_enum JOIN pg_type ON pg_type.oid = enumtypid ORDER BY 1"
    )
    comments = fetch(url, "SELECT obj_description('alembic_version'::regclass, 'pg_class')")
    return [schema(url), rows, labels, comments, revisions(url)]


class Start:
    """A database as it is before a run, of which each run gets a copy."""

    def __init__(self, folder: Path, url: str, way: str) -> None:
        self.workspace = WorkspaceCopy(folder, url)
        (self.workspace.versions / "aaaaaaaaaaa1_in_parts.py").write_text(IN_PARTS)
        self._name = urlsplit(url).path.lstrip("/")
        self._command = ["migrate"]
        done(self.workspace.run("migrate", USERS))
        execute(url, "CREATE TYPE mood AS ENUM ('happy')")
        if way == "downgrade":
            done(self.workspace.run("migrate"))
            self._command = ["downgrade", USERS, "--confirm", f"{self._name}_copy"]
        if way == "reset":
            done(self.workspace.run("migrate"))
            self._command = ["reset", "--confirm", f"{self._name}_copy"]
        self._maintenance = urlsplit(url)._replace(path="/postgres").geturl()
        self.workspace.url = urlsplit(url)._replace(path=f"/{self._name}_copy").geturl()

    def run(self, point: int | None) -> tuple[bool, list[object]]:
        """Kill a run at a point, and run again; return whether it was killed, and what there is."""
        name, was_killed = f'"{self._name}_copy"', False
        drop = f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"
        execute(self._maintenance, drop, f'CREATE DATABASE {name} TEMPLATE "{self._name}"')
        try:
            if point is not None:
                module = "tests.faults.killed_migrations"
                struck = self.workspace.start_python("-m", module, str(point), *self._command)
                _, err = struck.communicate(timeout=60)
                was_killed = struck.returncode == -signal.SIGKILL
                assert was_killed or struck.returncode == 0, err
            done(self.workspace.run(*self._command))
            return was_killed, catalogue(self.workspace.url)
        finally:
            execute(self._maintenance, drop)


def done(outcome: Outcome) -> None:
    """Fail for a command that did."""
    assert outcome.code == 0, outcome.err


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("way", ["upgrade", "downgrade", "reset"])
def test_a_run_that_was_killed_anywhere_is_finished_by_the_next(
    tmp_path: Path, fresh_database_url: str, way: str
) -> None:
    start = Start(tmp_path, fresh_database_url, way)
    _, expected = start.run(None)
    chance = random.Random(os.environ.get("SEED", "0"))
    points = range(NUMBER) if WHOLE else sorted(chance.sample(range(20, 80), NUMBER))
    struck = 0

    for point in points:
        was_killed, found = start.run(point)
        assert found == expected, point
        struck += was_killed
        if not was_killed:
            break

    assert struck >= (20 if WHOLE else NUMBER)
