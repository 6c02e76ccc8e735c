"""`create-tables`, `drop-tables` and `reset`: all at once, and only when meant."""

import os
import pty
import subprocess
import sys
from urllib.parse import urlsplit

import asyncpg
import pytest

from db_manager.connection import recreate, restore
from tests.db_manager.conftest import Run
from tests.db_manager.outcome import USERS, execute, fetch, revisions, schema, tables
from tests.db_manager.workspace_copy import WorkspaceCopy


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


KINDS = [
    "CREATE EXTENSION pg_trgm",
    "CREATE TYPE mood AS ENUM ('good')",
    "CREATE TYPE pair AS (a int, b int)",
    "CREATE TYPE span AS RANGE (subtype = float8)",
    "CREATE DOMAIN year AS int CHECK (VALUE > 0)",
    "CREATE SEQUENCE numbers",
    "CREATE FUNCTION one(int, text) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'",
    "CREATE PROCEDURE nothing() LANGUAGE sql AS 'SELECT 1'",
    "CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int)",
    "CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq)",
    "CREATE OPERATOR CLASS other_ops FOR TYPE int USING hash AS OPERATOR 1 =",
    "CREATE OPERATOR FAMILY families USING btree",
    """CREATE COLLATION german (locale = 'C')""",
    "CREATE CONVERSION own FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8",
    "CREATE TEXT SEARCH CONFIGURATION plain (COPY = simple)",
    "CREATE TEXT SEARCH DICTIONARY words (TEMPLATE = simple)",
    "CREATE CAST (pair AS text) WITH INOUT",
    "create cast (span as text) with inout",
    "CREATE SCHEMA billing",
    "CREATE TABLE billing.invoices (id serial PRIMARY KEY, mood mood)",
    'CREATE TABLE "Left overs" (id serial PRIMARY KEY, user_id bigint REFERENCES users)',
    "CREATE TABLE events (at date) PARTITION BY RANGE (at)",
    "CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')",
    "CREATE STATISTICS together (dependencies) ON username, email FROM users",
    "CREATE VIEW names AS SELECT username FROM users",
    "CREATE MATERIALIZED VIEW ages AS SELECT age FROM users",
    "CREATE RULE silent AS ON DELETE TO names DO INSTEAD NOTHING",
    "CREATE FOREIGN DATA WRAPPER far",
    "CREATE SERVER there FOREIGN DATA WRAPPER far",
    "CREATE USER MAPPING FOR PUBLIC SERVER there",
    "CREATE FOREIGN TABLE distant (id int) SERVER there",
    "CREATE PUBLICATION news FOR TABLE users",
    """CREATE FUNCTION notice() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'""",
    "CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION notice()",
    "CREATE INDEX by_age ON users (age)",
]

_OBJECTS = """
    SELECT 'type', typname::text FROM pg_type WHERE oid >= 16384 AND typnamespace <> 99
    UNION ALL SELECT 'relation', relname FROM pg_class WHERE oid >= 16384 AND relnamespace <> 99
    UNION ALL SELECT 'routine', proname FROM pg_proc WHERE oid >= 16384
    UNION ALL SELECT 'operator', oprname FROM pg_operator WHERE oid >= 16384
    UNION ALL SELECT 'opclass', opcname FROM pg_opclass WHERE oid >= 16384
    UNION ALL SELECT 'opfamily', opfname FROM pg_opfamily WHERE oid >= 16384
    UNION ALL SELECT 'collation', collname FROM pg_collation WHERE oid >= 16384
    UNION ALL SELECT 'conversion', conname FROM pg_conversion WHERE oid >= 16384
    UNION ALL SELECT 'cast', castsource::regtype::text FROM pg_cast WHERE oid >= 16384
    UNION ALL SELECT 'configuration', cfgname FROM pg_ts_config WHERE oid >= 16384
    UNION ALL SELECT 'dictionary', dictname FROM pg_ts_dict WHERE oid >= 16384
    UNION ALL SELECT 'extension', extname FROM pg_extension WHERE oid >= 16384
    UNION ALL SELECT 'schema', nspname FROM pg_namespace WHERE oid >= 16384
    UNION ALL SELECT 'wrapper', fdwname FROM pg_foreign_data_wrapper WHERE oid >= 16384
    UNION ALL SELECT 'publication', pubname FROM pg_publication WHERE oid >= 16384
    UNION ALL SELECT 'event trigger', evtname FROM pg_event_trigger WHERE oid >= 16384
    ORDER BY 1, 2
"""


@pytest.mark.slow
def test_a_reset_drops_all_that_the_revisions_made(copy: WorkspaceCopy, database_url: str) -> None:
    copy.run("migrate")
    for number, statement in enumerate(KINDS):
        before = f"kind{number - 1:08}" if number else USERS
        copy.add_revision(f"kind{number:08}", before, f"op.execute({statement!r})")
    first = copy.run("migrate")
    made = fetch(copy.url, _OBJECTS)

    reset = copy.run("reset", "--yes")

    assert first.code == 0, first.err
    assert reset.code == 0, reset.err
    assert reset.out.startswith("Dropped everything, then migrated to ")
    assert fetch(copy.url, _OBJECTS) == made


@pytest.mark.slow
def test_a_reset_of_an_embedded_server_leaves_nothing(copy: WorkspaceCopy) -> None:
    copy.url = ""
    url = copy.run("postgres", "start").out.strip()
    try:
        copy.run("migrate")
        for statement in KINDS:
            execute(url, statement)
        reset = copy.run("reset", "--yes")
        left = {str(name) for _, name in fetch(url, _OBJECTS)}
    finally:
        copy.run("postgres", "stop")

    assert (reset.code, reset.out) == (0, f"Dropped everything, then migrated to {USERS}.\n")
    assert left <= {
        *("users", "_users", "pk_users", "uq_users_email", "uq_users_username", "users_id_seq"),
        *("alembic_version", "_alembic_version", "alembic_version_pkc"),
    }


KILLED = """
import os, signal
import asyncpg
from db_manager.cli import main
execute, statements = asyncpg.Connection.execute, []
async def strike(connection, statement, *arguments, **options):
    done = await execute(connection, statement, *arguments, **options)
    statements.append(statement)
    if statement.startswith({statement!r}):
        os.kill(os.getpid(), signal.SIGKILL)
    return done
asyncpg.Connection.execute = strike
main(["reset", "--yes"])
"""
HALF_DROPPED = "UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'postgres'"
"""As PostgreSQL leaves a database when it is killed while it drops it."""


@pytest.mark.slow
def test_a_reset_that_was_killed_is_finished_by_the_next_command(copy: WorkspaceCopy) -> None:
    copy.url = ""
    url = copy.run("postgres", "start").out.strip()
    others = url.replace("/postgres?", "/template1?")
    outcomes = []
    try:
        copy.run("migrate")
        for step in ("DROP DATABASE", "CREATE DATABASE"):
            execute(url, "CREATE TABLE old ()")
            killed = copy.start_python("-c", KILLED.format(statement=step))
            killed.communicate(timeout=60)
            outcomes += [copy.run("status"), copy.run("migrate"), copy.run("check")]
            assert killed.returncode == -9
            assert "public.old" not in tables(url)
        execute(others, HALF_DROPPED)
        outcomes += [copy.run("status"), copy.run("reset", "--yes"), copy.run("check")]
    finally:
        copy.run("postgres", "stop")

    assert [each.code for each in outcomes] == [1, 0, 0, 1, 0, 0, 1, 0, 0], outcomes
    assert "Run: python -m db_manager migrate" in outcomes[0].err


async def test_a_database_that_another_command_has_created_is_not_created_again(
    fresh_database_url: str,
) -> None:
    await recreate(fresh_database_url)
    connection = await asyncpg.connect(fresh_database_url)
    await connection.execute("CREATE TABLE kept ()")

    await restore(fresh_database_url)

    assert await connection.fetchval("SELECT count(*) FROM kept") == 0
    await connection.close()


def test_a_reset_leaves_what_others_made_and_says_so(run: Run, fresh_database_url: str) -> None:
    run("migrate")
    execute(
        fresh_database_url,
        "CREATE TABLE jobs (id serial PRIMARY KEY)",
        "CREATE FUNCTION theirs() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "INSERT INTO users (username, email) VALUES ('a', 'a')",
    )

    outcome = run("reset", "--yes")

    assert outcome.code == 0
    assert "Left: function public.theirs() (no model and no revision names it).\n" in outcome.err
    assert "Left: table public.jobs (no model and no revision names it).\n" in outcome.err
    assert fetch(fresh_database_url, "SELECT * FROM users") == []


@pytest.mark.slow
def test_a_reset_drops_nothing_by_a_part_of_its_name(
    copy: WorkspaceCopy, fresh_database_url: str
) -> None:
    loop = "for year in (2025, 2026): op.execute(f'CREATE TABLE orders_{year} (id int)')"
    copy.add_revision("aaaaaaaaaaa1", USERS, loop)
    copy.run("migrate")
    execute(copy.url, "CREATE TABLE orders_export (id int)")

    outcome = copy.run("reset", "--yes")

    assert outcome.code == 1
    for name in ("orders_2025", "orders_2026", "orders_export"):
        assert f"table public.{name}: a revision puts such names together" in outcome.err
    assert fetch(copy.url, "SELECT * FROM orders_export") == []


def test_a_reset_that_migrating_would_stumble_over_fails(run: Run, fresh_database_url: str) -> None:
    run("migrate")
    execute(fresh_database_url, "CREATE TABLE theirs (user_id bigint REFERENCES users)")

    outcome = run("reset", "--yes")

    assert (outcome.code, outcome.out) == (1, "")
    assert (
        "These would be left, and migrating would meet them:\ntable public.users: " in outcome.err
    )
    assert "theirs" in outcome.err
    assert run("check").code == 0


DESTRUCTIVE = [["drop-tables"], ["reset"], ["downgrade", "base"]]


@pytest.mark.parametrize("command", DESTRUCTIVE, ids=" ".join)
@pytest.mark.parametrize("consent", ["", "--yes", "--confirm=other"])
@pytest.mark.slow
def test_rows_of_a_given_server_go_by_its_name_alone(
    copy: WorkspaceCopy, command: list[str], consent: str
) -> None:
    copy.run("migrate")
    name = urlsplit(copy.url).path.lstrip("/")

    process = copy.start(*command, *[consent] * bool(consent))
    out, err = process.communicate(timeout=60)

    assert (process.returncode, out) == (1, "")
    if consent == "--confirm=other":
        assert f"The database is {name} at " in err
        assert "not other: nothing was changed." in err
    else:
        assert f"There is no terminal to ask at: repeat it with --confirm {name}." in err
    assert copy.run("check").code == 0


@pytest.mark.parametrize("command", DESTRUCTIVE, ids=" ".join)
def test_nothing_of_a_protected_database_is_destroyed(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    run("migrate")
    monkeypatch.setenv("PROTECTED", "True")

    outcome = run(*command, "--yes")

    assert (outcome.code, outcome.out) == (1, "")
    assert "PROTECTED is set, so that nothing of " in outcome.err
    assert run("check").code == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way_back", "loses"),
    [
        ('op.drop_index("ages")', False),
        ("op.execute('ALTER TABLE users RENAME COLUMN age TO years')", False),
        ('op.drop_column("users", "nick")', True),
        ('op.execute("DELETE FROM users")', True),
        ('op.get_bind().exec_driver_sql("TRUNCATE users")', True),
        ('op.alter_column("users", "age", type_=sa.SmallInteger())', True),
        ("helper()", True),
        ("op.execute('ALTER TABLE users DROP CONSTRAINT uq, DROP COLUMN email')", True),
        ("op.execute('ALTER TABLE users ADD CONSTRAINT ck CHECK (f(age, 1))')", False),
    ],
)
def test_a_way_back_that_loses_nothing_goes_without_a_name(
    copy: WorkspaceCopy, way_back: str, loses: bool
) -> None:
    copy.add_revision("aaaaaaaaaaa1", USERS, "pass")
    [file] = copy.versions.glob("aaaaaaaaaaa1*")
    text = file.read_text()
    copy.run("migrate")
    head, _ = text.split("def downgrade() -> None:\n")
    file.write_text(f"{head}def downgrade() -> None:\n    return\n    {way_back}\n")

    process = copy.start("downgrade", "-1", "--yes")
    _, err = process.communicate(timeout=60)

    assert process.returncode == int(loses), err
    assert ("--confirm" in err) is loses


@pytest.mark.slow
def test_a_way_back_of_another_name_may_lose(copy: WorkspaceCopy) -> None:
    copy.add_revision("aaaaaaaaaaa1", USERS, "pass")
    [file] = copy.versions.glob("aaaaaaaaaaa1*")
    copy.run("migrate")
    file.write_text(
        file.read_text().replace("def downgrade", "def _back") + "\n\ndowngrade = _back\n"
    )

    process = copy.start("downgrade", "-1", "--yes")
    _, err = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "--confirm" in err


@pytest.mark.slow
def test_what_only_seems_to_be_ours_is_left(copy: WorkspaceCopy) -> None:
    """A name in another schema, in words, and what may have been there before."""
    copy.add_revision(
        "aaaaaaaaaaa1",
        USERS,
        """
        '''Create table ledger comes later.'''
        op.execute("CREATE TABLE audit (id int)")
        op.execute("CREATE TABLE IF NOT EXISTS shared (id int)")
        op.create_table("common", if_not_exists=True)
        if not op:
            raise RuntimeError("create table journal by hand")
        """,
    )
    theirs = ("payroll.audit", "ledger", "shared", "common", "journal")
    execute(
        copy.url, "CREATE SCHEMA payroll", *(f"CREATE TABLE {name} (id int)" for name in theirs)
    )
    copy.run("migrate")

    outcome = copy.run("reset", "--yes")

    assert outcome.code == 0, outcome.err
    left = tables(copy.url)
    assert {"payroll.audit", *(f"public.{name}" for name in theirs[1:])} <= left


@pytest.mark.parametrize("is_tried", [False, True])
def test_a_table_of_others_with_the_name_of_ours_is_left(
    run: Run, fresh_database_url: str, is_tried: bool
) -> None:
    execute(fresh_database_url, "CREATE TABLE users (id int)", "INSERT INTO users VALUES (1)")
    if is_tried:  # which leaves an empty alembic_version
        assert 'relation "users" already exists' in run("migrate").err

    dropped, reset = run("drop-tables", "--yes"), run("reset", "--yes")

    assert "Left: table users (no applied revision made it).\n" in dropped.err
    assert reset.code == 1
    assert "table public.users: no applied revision made it" in reset.err
    assert fetch(fresh_database_url, "SELECT id FROM users") == [(1,)]


@pytest.mark.slow
def test_a_table_that_a_revision_dropped_may_be_of_others_since(copy: WorkspaceCopy) -> None:
    copy.add_revision("aaaaaaaaaaa1", USERS, 'op.create_table("payroll")')
    copy.add_revision("aaaaaaaaaaa2", "aaaaaaaaaaa1", 'op.drop_table("payroll")')
    [file] = copy.versions.glob("aaaaaaaaaaa2*")
    file.write_text(file.read_text().replace("\n    pass\n", '\n    op.create_table("payroll")\n'))
    copy.run("migrate")
    execute(copy.url, "CREATE TABLE payroll (id int)", "INSERT INTO payroll VALUES (1)")

    check, revision = copy.run("check"), copy.run("revision", "-m", "nothing")
    dropped, reset = copy.run("drop-tables", "--yes"), copy.run("migrate")

    assert check.code == 0, check.err
    assert revision.out == ""
    assert dropped.code == 0, dropped.err
    assert reset.code == 1
    assert fetch(copy.url, "SELECT id FROM payroll") == [(1,)]


@pytest.mark.parametrize(("answer", "code"), [("n", 1), ("{name}", 0)])
def test_on_a_terminal_the_answer_decides(
    run: Run, fresh_database_url: str, answer: str, code: int
) -> None:
    run("migrate")
    keyboard, terminal = pty.openpty()
    answer = answer.format(name=urlsplit(fresh_database_url).path.lstrip("/"))
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
    assert "Type the database's name to go on:" in process.stderr
    assert bool(schema(fresh_database_url)) == (code == 1)
