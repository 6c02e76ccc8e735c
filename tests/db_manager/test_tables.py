"""`create-tables`, `drop-tables` and `reset`: all at once, and only when meant."""

import os
import pty
import subprocess
import sys

import pytest

from tests.db_manager.conftest import Run
from tests.db_manager.outcome import USERS, execute, fetch, revisions, schema


def test_created_tables_equal_migrated_ones(
    run: Run, fresh_database_url: str, database_url: str
) -> None:
    outcome = run("create-tables")

    assert (outcome.code, outcome.out) == (0, "Created: users.\n")
    assert schema(fresh_database_url) == schema(database_url)
    assert revisions(fresh_database_url) == [(USERS,)]
    assert run("check").code == 0


def test_creating_tables_again_does_nothing(run: Run) -> None:
    run("migrate")

    outcome = run("create-tables")

    assert (outcome.code, outcome.out) == (0, "Nothing to do.\n")


@pytest.mark.parametrize(
    ("present", "reason"),
    [
        ("CREATE TABLE users (id int)", "these tables already: users."),
        (
            "CREATE TABLE alembic_version (version_num text);"
            f"INSERT INTO alembic_version VALUES ('{USERS}')",
            f"The database is at {USERS} already.",
        ),
    ],
    ids=["a table without a revision", "a revision without its table"],
)
def test_tables_are_created_where_there_is_nothing(
    run: Run, fresh_database_url: str, present: str, reason: str
) -> None:
    execute(fresh_database_url, present)
    before = schema(fresh_database_url)

    outcome = run("create-tables")

    assert (outcome.code, outcome.out) == (1, "")
    assert reason in outcome.err
    assert schema(fresh_database_url) == before


def test_dropping_tables_spares_those_of_others(run: Run, fresh_database_url: str) -> None:
    run("migrate")
    execute(fresh_database_url, "CREATE TABLE others (id int)")

    outcome = run("drop-tables", "--yes")

    assert outcome.code == 0
    tables = fetch(
        fresh_database_url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    )
    assert tables == [("others",)]


def test_a_reset_database_is_like_new(run: Run, fresh_database_url: str, database_url: str) -> None:
    run("migrate")
    execute(
        fresh_database_url,
        "CREATE EXTENSION IF NOT EXISTS plpgsql",
        "CREATE TYPE mood AS ENUM ('good')",
        'CREATE TABLE "Left overs" (id serial PRIMARY KEY, mood mood, user_id bigint REFERENCES users)',
        "CREATE VIEW names AS SELECT username FROM users",
        "CREATE MATERIALIZED VIEW ages AS SELECT age FROM users",
        "CREATE SEQUENCE numbers",
        "CREATE DOMAIN year AS int",
        "CREATE TYPE pair AS (a int, b int)",
        "CREATE FUNCTION one(int, text) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "INSERT INTO users (username, email) VALUES ('a', 'a')",
    )

    outcome = run("reset", "--yes")

    assert (outcome.code, outcome.out) == (0, f"Dropped everything, then migrated to {USERS}.\n")
    assert schema(fresh_database_url) == schema(database_url)
    assert fetch(fresh_database_url, "SELECT * FROM users") == []
    for catalogue, namespace in (
        ("pg_type WHERE typtype IN ('e', 'd') AND", "typnamespace"),
        ("pg_proc WHERE", "pronamespace"),
        ("pg_class WHERE relkind NOT IN ('i', 'r', 'S') AND", "relnamespace"),
    ):
        left = f"SELECT oid FROM {catalogue} {namespace} = 'public'::regnamespace"
        assert fetch(fresh_database_url, left) == []


@pytest.mark.parametrize(
    "command", [["drop-tables"], ["reset"], ["downgrade", "base"]], ids=" ".join
)
def test_without_a_terminal_nothing_is_destroyed(
    run: Run, fresh_database_url: str, command: list[str]
) -> None:
    run("migrate")

    outcome = run(*command)

    assert (outcome.code, outcome.out) == (1, "")
    assert "There is no terminal to ask at: repeat it with --yes." in outcome.err
    assert run("check").code == 0


@pytest.mark.parametrize(("answer", "code"), [("n", 1), ("y", 0)])
def test_on_a_terminal_the_answer_decides(
    run: Run, fresh_database_url: str, answer: str, code: int
) -> None:
    run("migrate")
    keyboard, terminal = pty.openpty()
    os.write(keyboard, f"{answer}\n".encode())

    process = subprocess.run(
        [sys.executable, "-m", "db_manager", "drop-tables"],
        stdin=terminal,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"DATABASE_URL": fresh_database_url},
    )
    os.close(keyboard)
    os.close(terminal)

    assert process.returncode == code
    assert "Continue? [y/N]" in process.stderr
    assert bool(schema(fresh_database_url)) == (answer == "n")
