"""`migrate` and `downgrade`: one at a time, whole revisions only, and back."""

import asyncio
import os
import re
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from db_manager.lock import LOCK_TIMEOUT
from quart_fleet.database_url import describe
from tests.db_manager.conftest import Run
from tests.db_manager.outcome import USERS, execute, fetch, revisions, schema, tables
from tests.db_manager.workspace_copy import WorkspaceCopy

LOCK = "pg_advisory_lock(hashtextextended('db_manager:' || current_database(), 0))"


def test_migrating_makes_the_tables_once(run: Run, fresh_database_url: str) -> None:
    first, second = run("migrate"), run("migrate")

    place = describe(fresh_database_url)
    assert (first.code, first.out) == (0, f"Migrated {place} to {USERS}.\n")
    # Roles are the server's, and other tests make that of the user service: it is granted its own.
    assert first.err.startswith(f"Applying {USERS} create users\n")
    assert (second.code, second.err) == (0, "")
    assert second.out == f"Nothing to do: {place} is at {USERS}.\n"
    assert revisions(fresh_database_url) == [(USERS,)]


def test_an_unknown_revision_is_refused(run: Run) -> None:
    outcome = run("migrate", "nonsense")

    assert outcome.code == 1
    assert outcome.err == (
        "Error: Can't locate revision identified by 'nonsense'\nSee: python -m db_manager history\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize("command", [["migrate"], ["reset", "--yes"]], ids=" ".join)
def test_two_heads_change_nothing(
    copy: WorkspaceCopy, fresh_database_url: str, command: list[str]
) -> None:
    copy.run("migrate")
    copy.add_revision("aaaaaaaaaaa1", USERS, "pass")
    copy.add_revision("aaaaaaaaaaa2", USERS, "pass")

    outcome = copy.run(*command)

    assert outcome.code == 1
    assert outcome.err == (
        "Error: The revisions have 2 heads: aaaaaaaaaaa1, aaaaaaaaaaa2. "
        "Join them: python -m db_manager merge\n"
    )
    assert revisions(fresh_database_url) == [(USERS,)]


def test_of_many_at_once_one_migrates(copy: WorkspaceCopy) -> None:
    copy.add_revision("aaaaaaaaaaa1", USERS, 'op.execute("SELECT pg_sleep(0.3)")')

    processes = [copy.start("migrate") for _ in range(4)]
    printed = [process.communicate(timeout=60) for process in processes]

    assert [process.returncode for process in processes] == [0, 0, 0, 0]
    place = describe(copy.url)
    assert sorted(out for out, _ in printed) == [
        f"Migrated {place} to aaaaaaaaaaa1.\n",
        *[f"Nothing to do: {place} is at aaaaaaaaaaa1.\n"] * 3,
    ]


HOLDER = r"pid \d+ of postgres since [-\d]+ [:\d]+ UTC, idle: SELECT pg_advisory_lock.*"


@pytest.mark.slow
async def test_a_migration_that_waits_for_the_lock_says_so(
    copy: WorkspaceCopy, fresh_database_url: str
) -> None:
    holder = await asyncpg.connect(fresh_database_url)
    await holder.execute(f"SELECT {LOCK}")

    process = copy.start("migrate")
    assert process.stderr is not None
    line = await asyncio.to_thread(process.stderr.readline)
    await holder.close()
    out, _ = await asyncio.to_thread(process.communicate, timeout=60)

    assert re.fullmatch(
        rf"Waiting for another process that is changing .* \(held by {HOLDER}\) …\n", line
    )
    assert process.returncode == 0
    assert out.startswith("Migrated ")


@pytest.mark.slow
async def test_another_migration_is_waited_for_as_long_as_for_a_lock(
    copy: WorkspaceCopy, fresh_database_url: str
) -> None:
    holder = await asyncpg.connect(fresh_database_url)
    await holder.execute(f"SELECT {LOCK}")

    outcome = await asyncio.to_thread(copy.run, "migrate", "--lock-wait", "0.2")
    await holder.close()

    assert outcome.code == 1
    assert re.fullmatch(
        rf"Error: Another process is changing .* \(held by {HOLDER}\)\.\n"
        r"Waited for 0\.2 s; --lock-wait SECONDS sets that\.\n",
        outcome.err,
    )


@pytest.mark.slow
async def test_an_interrupt_ends_it_cleanly(copy: WorkspaceCopy, fresh_database_url: str) -> None:
    holder = await asyncpg.connect(fresh_database_url)
    await holder.execute(f"SELECT {LOCK}")
    process = copy.start("migrate")
    assert process.stderr is not None
    await asyncio.to_thread(process.stderr.readline)

    process.send_signal(signal.SIGINT)
    out, err = await asyncio.to_thread(process.communicate, timeout=60)
    await holder.close()

    assert (process.returncode, out, err.strip()) == (130, "", "Interrupted.")


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ('op.execute("CREATE TABLE users ()")', 'relation "users" already exists'),
        ("op.drop_colum()", "AttributeError: module 'alembic.op' has no attribute 'drop_colum'"),
        (
            'op.execute("CREATE TABLE a (id int PRIMARY KEY)")\n'
            'op.execute("CREATE TABLE b (id int REFERENCES a DEFERRABLE INITIALLY DEFERRED)")\n'
            'op.execute("INSERT INTO b VALUES (1)")',
            'violates foreign key constraint "b_id_fkey" (Key (id)=(1) is not present',
        ),
    ],
    ids=["refused by PostgreSQL", "wrong Python", "refused at the commit"],
)
def test_a_revision_that_fails_is_as_if_it_never_was(
    copy: WorkspaceCopy, fresh_database_url: str, statement: str, complaint: str
) -> None:
    copy.add_revision("aaaaaaaaaaa1", USERS, 'op.execute("CREATE TABLE kept ()")')
    copy.add_revision("aaaaaaaaaaa2", "aaaaaaaaaaa1", statement)

    outcome = copy.run("migrate")

    *progress, error, after = outcome.err.splitlines()
    assert (outcome.code, outcome.out) == (1, "")
    assert progress[:2] == [f"Applying {USERS} create users", "Applying aaaaaaaaaaa1 by hand"]
    assert error.startswith("Error: aaaaaaaaaaa2")
    assert complaint in error
    assert after == "The database stays at the revision before it."
    assert revisions(fresh_database_url) == [("aaaaaaaaaaa1",)]
    tables = fetch(
        fresh_database_url, "SELECT relname FROM pg_class WHERE relname IN ('kept', 'a')"
    )
    assert tables == [("kept",)]


def test_an_index_that_a_killed_run_left_is_made_anew(
    run: Run, copy: WorkspaceCopy, fresh_database_url: str
) -> None:
    run("migrate")
    execute(
        fresh_database_url,
        "INSERT INTO users (username, email, age) VALUES ('a', 'a', 1), ('b', 'b', 1)",
    )
    with pytest.raises(asyncpg.UniqueViolationError):
        execute(fresh_database_url, "CREATE UNIQUE INDEX CONCURRENTLY ages ON users (age)")
    execute(fresh_database_url, "DELETE FROM users WHERE username = 'b'")
    copy.add_revision(
        "aaaaaaaaaaa1",
        USERS,
        """
        with op.get_context().autocommit_block():
            op.create_index("ages", "users", ["age"], unique=True, postgresql_concurrently=True)
        """,
    )

    outcome = copy.run("migrate")

    assert outcome.code == 0
    assert outcome.out.endswith(" to aaaaaaaaaaa1.\n")
    assert outcome.err.startswith(
        "Dropped the invalid index ages, which an interrupted run left.\n"
    )
    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ages'::regclass"
    assert fetch(fresh_database_url, valid) == [(True,)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way_back", "left", "said"),
    [
        ('op.execute("DROP TABLE kept")', [], "its downgrade() took back. The database stays at"),
        ('op.execute("SELECT 1/0")', [("kept",)], "A part of it is committed and stays."),
    ],
    ids=["taken back", "left"],
)
def test_what_a_failed_revision_had_committed_is_taken_back_or_told(
    copy: WorkspaceCopy, fresh_database_url: str, way_back: str, left: list[object], said: str
) -> None:
    copy.add_revision(
        "aaaaaaaaaaa1",
        USERS,
        """
        op.execute("CREATE TABLE kept ()")
        with op.get_context().autocommit_block():
            op.execute("SELECT 1 / (SELECT count(*) FROM users)")
        op.execute("CREATE TABLE later ()")
        """,
    )
    [file] = copy.versions.glob("aaaaaaaaaaa1*")
    not_made_yet = (
        "DROP TABLE later",
        "ALTER TABLE users ALTER age DROP IDENTITY",
        "ALTER TABLE users ALTER age DROP EXPRESSION",
        "ALTER TABLE users ADD PRIMARY KEY (id)",
    )
    there = "".join(f"    op.execute({each!r})\n" for each in not_made_yet)
    file.write_text(file.read_text().replace("    pass\n", f"{there}    {way_back}\n"))

    outcome = copy.run("migrate")

    assert outcome.code == 1
    assert said in outcome.err
    assert "division by zero" in outcome.err
    assert revisions(fresh_database_url) == [(USERS,)]
    tables = "SELECT relname FROM pg_class WHERE relname IN ('kept', 'later')"
    assert fetch(fresh_database_url, tables) == left


@pytest.mark.slow
def test_what_a_failed_way_back_had_committed_is_taken_back(
    copy: WorkspaceCopy, fresh_database_url: str
) -> None:
    copy.add_revision("aaaaaaaaaaa1", USERS, 'op.execute("CREATE TABLE kept ()")')
    [file] = copy.versions.glob("aaaaaaaaaaa1*")
    way_back = """
    op.execute("DROP TABLE kept")
    with op.get_context().autocommit_block():
        op.execute("SELECT 1 / (SELECT count(*) FROM users)")
"""
    file.write_text(file.read_text().replace("\n    pass\n", way_back))
    copy.run("migrate")

    outcome = copy.run("downgrade", "-1", "--yes")

    assert outcome.code == 1
    assert "its upgrade() took back: what it had dropped is empty." in outcome.err
    assert revisions(fresh_database_url) == [("aaaaaaaaaaa1",)]
    assert fetch(fresh_database_url, "SELECT count(*) FROM kept") == [(0,)]


IN_PARTS = """
    op.execute("CREATE TABLE kept ()")
    with op.get_context().autocommit_block():
        op.execute("SELECT pg_sleep(0)")
        op.execute("SELECT 1 / 1")
    op.execute("CREATE TABLE later ()")
"""


@pytest.mark.slow
def test_what_a_killed_run_left_is_told_and_finished_by_the_same_command_alone(
    copy: WorkspaceCopy, fresh_database_url: str
) -> None:
    copy.add_revision("aaaaaaaaaaa1", USERS, IN_PARTS)
    [file] = copy.versions.glob("aaaaaaaaaaa1*")
    copy.run("migrate", USERS)
    text = file.read_text()
    file.write_text(text.replace("SELECT 1 / 1", "SELECT pg_terminate_backend(pg_backend_pid())"))
    lost = copy.run("migrate")
    assert lost.code == 1
    changed = copy.run("migrate")
    file.write_text(text.replace("pg_sleep(0)", "pg_sleep(0.01)"))
    other = copy.run("migrate")
    file.write_text(text)

    status, back = copy.run("status"), copy.run("downgrade", "-1", "--yes")
    check, waiting = copy.run("check"), copy.run("wait", "--timeout", "0")
    finished = copy.run("migrate")

    half = "The upgrade of aaaaaaaaaaa1 is half done: an interrupted run has committed 2 of its"
    assert "A part of it is committed" in lost.err
    assert changed.code == 1
    assert "has changed since 2 of its statements were committed" in other.err
    for each in (status, back, check, waiting):
        assert each.code == 1
        assert half in each.err
    assert finished.code == 0, finished.err
    assert copy.run("check").code == 0
    assert {"public.kept", "public.later"} <= tables(fresh_database_url)


STRUCK = """
import os, signal, sys
import db_manager.manager
from db_manager.cli import main
from db_manager.progress import HalfDone
note = HalfDone.note
for number in map(int, sys.argv[1:]):
    def strike(half_done, *arguments):
        if half_done.done == number:
            os.kill(os.getpid(), signal.SIGKILL)
        note(half_done, *arguments)
    if os.fork() == 0:
        HalfDone.note = strike
        main(["migrate"])
    if os.wait()[1] != signal.SIGKILL:
        sys.exit(f"at {number}")
"""
"""Migrates again and again, each time killed when a statement is done, before that is kept."""
NONE_TWICE = [
    "CREATE UNIQUE INDEX CONCURRENTLY uq_age ON users (age)",
    "ALTER TABLE users ADD CONSTRAINT uq_age UNIQUE USING INDEX uq_age",
    "CREATE TABLE things (id int NOT NULL, n int NOT NULL)",
    "ALTER TABLE things ALTER n ADD GENERATED ALWAYS AS IDENTITY",
    "ALTER TABLE things ALTER n DROP IDENTITY",
    "ALTER TABLE things ADD PRIMARY KEY (id)",
    "CREATE TYPE mood AS ENUM ('low')",
    "ALTER TYPE mood RENAME VALUE 'low' TO 'high'",
    "INSERT INTO things VALUES (1, 1)",
    "DO $$ BEGIN UPDATE things SET n = n + 1; END $$",
    "DO $$ BEGIN UPDATE things SET id = 7 WHERE id = 1; COMMIT; END $$",
    "CALL add_ten()",
    "VACUUM things",
]
ADD_TEN = """CREATE PROCEDURE add_ten() LANGUAGE plpgsql AS
$$ BEGIN UPDATE things SET n = 12 WHERE n = 2; COMMIT; END $$"""


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_no_statement_of_a_block_is_done_twice(
    copy: WorkspaceCopy, fresh_database_url: str
) -> None:
    copy.run("migrate")
    execute(fresh_database_url, ADD_TEN)
    lines = "".join(f"    op.execute({each!r})\n" for each in NONE_TWICE)
    block = f"with op.get_context().autocommit_block():\n{lines}"
    copy.add_revision("aaaaaaaaaaa1", USERS, block)

    numbers = map(str, range(1, len(NONE_TWICE) + 1))
    struck = copy.start_python("-c", STRUCK, *numbers)
    _, err = struck.communicate(timeout=150)
    assert struck.returncode == 0, err
    finished = copy.run("migrate")

    assert finished.code == 0, finished.err
    assert fetch(fresh_database_url, "SELECT id, n FROM things") == [(7, 12)]
    assert fetch(fresh_database_url, "SELECT unnest(enum_range(NULL::mood))::text") == [("high",)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "wrong",
    ["ALTER TABLE users DROP COLUMN missing", "CREATE INDEX CONCURRENTLY ix ON missing (age)"],
)
def test_a_wrong_statement_behind_what_a_killed_run_did_is_not_taken_for_done(
    copy: WorkspaceCopy, wrong: str
) -> None:
    copy.add_revision("aaaaaaaaaaa1", USERS, IN_PARTS)
    [file] = copy.versions.glob("aaaaaaaaaaa1*")
    text = file.read_text()
    file.write_text(text.replace("SELECT 1 / 1", "SELECT pg_terminate_backend(pg_backend_pid())"))
    copy.run("migrate")
    file.write_text(text.replace("SELECT 1 / 1", wrong))

    outcome = copy.run("migrate")

    assert outcome.code == 1
    assert "missing" in outcome.err


def test_a_revision_changes_the_lock_timeout_of_no_other(
    copy: WorkspaceCopy, fresh_database_url: str
) -> None:
    """Nor of its blocks, where only what lets others pass waits for longer."""
    copy.add_revision("aaaaaaaaaaa1", USERS, 'op.execute("SET lock_timeout = 0")')
    copy.add_revision(
        "aaaaaaaaaaa2",
        "aaaaaaaaaaa1",
        """
        op.execute("CREATE TABLE seen AS SELECT 1 AS number, current_setting('lock_timeout') AS value")
        op.execute("ALTER TABLE users ADD CONSTRAINT a CHECK (age > 0) NOT VALID")
        op.execute("ALTER TABLE users ADD CONSTRAINT b CHECK (age > 0) NOT VALID")
        op.execute("CREATE FUNCTION see() RETURNS event_trigger LANGUAGE plpgsql AS "
                   "$$ BEGIN INSERT INTO seen SELECT max(number) + 1, current_setting('lock_timeout') FROM seen; END $$")
        op.execute("CREATE EVENT TRIGGER see ON ddl_command_end WHEN tag IN ('ALTER TABLE') "
                   "EXECUTE FUNCTION see()")
        with op.get_context().autocommit_block():
            op.execute("/* a */ ALTER TABLE ONLY users VALIDATE CONSTRAINT a")
            op.execute("ALTER TABLE users VALIDATE CONSTRAINT b, ADD COLUMN nick text")
        op.execute("ALTER TABLE users ADD COLUMN word text")
        """,
    )

    outcome = copy.run("migrate")

    assert outcome.code == 0, outcome.err
    seen = fetch(fresh_database_url, "SELECT value FROM seen ORDER BY number")
    assert seen == [("2s",), ("1min",), ("2s",), ("2s",)]


@pytest.mark.slow
def test_a_constraint_on_an_index_that_still_is_one_hinders_no_way_back(
    copy: WorkspaceCopy, fresh_database_url: str
) -> None:
    """As where one field is no longer unique and another is, which rows break."""
    index = 'op.create_index("{0}", "users", ["{1}"], unique=True, if_not_exists=True, postgresql_concurrently=True)'
    constraint = 'op.execute("ALTER TABLE users ADD CONSTRAINT {0} UNIQUE USING INDEX {0}")'
    copy.run("migrate")
    add_user = "INSERT INTO users (username, email, first_name) VALUES ('{0}', '{0}', 'Ann')"
    execute(fresh_database_url, add_user.format("a"), add_user.format("b"))
    way, way_back = (
        [
            "with op.get_context().autocommit_block():",
            f"    {index.format(new, column)}",
            f'op.drop_constraint("{old}", "users", type_="unique")',
            constraint.format(new),
        ]
        for old, new, column in (
            ("uq_users_email", "uq_users_first_name", "first_name"),
            ("uq_users_first_name", "uq_users_email", "email"),
        )
    )
    copy.add_revision("aaaaaaaaaaa1", USERS, "\n".join(way))
    [file] = copy.versions.glob("aaaaaaaaaaa1*")
    back = "".join(f"    {line}\n" for line in way_back)
    file.write_text(file.read_text().replace("    pass\n", back))

    outcome = copy.run("migrate")

    assert outcome.code == 1
    assert "its downgrade() took back" in outcome.err
    indexes = "SELECT relname FROM pg_class WHERE relname ~ '^uq_users_(email|first_name)'"
    assert fetch(fresh_database_url, indexes) == [("uq_users_email",)]


PATIENCE = 40 if os.environ.get("FAULTS") else 8
"""Seconds that a migration waits for a reader."""
LOCKED = """
    op.execute("LOCK TABLE users")
"""


@pytest.mark.slow
async def test_a_revision_that_a_lock_keeps_out_is_tried_again(
    copy: WorkspaceCopy, fresh_database_url: str
) -> None:
    copy.run("migrate")
    copy.add_revision("aaaaaaaaaaa1", USERS, LOCKED)

    async with held(fresh_database_url):
        process = copy.start("migrate")
        assert process.stderr is not None
        line = await asyncio.to_thread(process.stderr.readline)
    out, _ = await asyncio.to_thread(process.communicate, timeout=60)

    assert re.fullmatch(
        r"aaaaaaaaaaa1_by_hand\.py, line 10: canceling statement due to lock timeout \(held by "
        r"pid \d+ of postgres since [-\d]+ [:\d]+ UTC, idle in transaction: "
        r"SELECT FROM users\)\. Trying again …\n",
        line,
    )
    assert process.returncode == 0
    assert out.endswith(" to aaaaaaaaaaa1.\n")


@pytest.mark.slow
async def test_a_way_back_of_several_steps_is_not_begun_anew(
    copy: WorkspaceCopy, fresh_database_url: str
) -> None:
    copy.add_revision("aaaaaaaaaaa1", USERS, "pass")
    copy.add_revision("aaaaaaaaaaa2", "aaaaaaaaaaa1", "pass")
    copy.run("migrate")
    file = copy.versions / "aaaaaaaaaaa1_by_hand.py"
    head, _ = file.read_text().split("def downgrade() -> None:\n")
    file.write_text(f"{head}def downgrade() -> None:{LOCKED}")

    async with held(fresh_database_url):
        outcome = await asyncio.to_thread(copy.run, "downgrade", "-2", "--yes")

    assert outcome.code == 1
    assert "held by pid" in outcome.err
    assert "Trying again" not in outcome.err
    assert await asyncio.to_thread(revisions, fresh_database_url) == [("aaaaaaaaaaa1",)]


@pytest.mark.slow
async def test_a_rename_that_is_tried_out_keeps_no_reader_waiting(copy: WorkspaceCopy) -> None:
    copy.run("migrate")
    copy.user_model.write_text(copy.user_model.read_text().replace("    age:", "    years:"))
    command = ("revision", "-m", "rename age", "--rename", "users.age:years", "--lock-wait", "3")
    waits = list[float]()

    async with held(copy.url):
        reader = await asyncpg.connect(copy.url)
        running = asyncio.create_task(asyncio.to_thread(copy.run, *command))
        while not running.done():
            began = monotonic()
            await reader.fetch("SELECT username FROM users LIMIT 1")
            waits.append(monotonic() - began)
            await asyncio.sleep(0.02)
        await reader.close()

    assert running.result().code == 1
    assert "held by pid" in running.result().err
    assert LOCK_TIMEOUT / 2 < max(waits) < LOCK_TIMEOUT + 0.5
    assert copy.run(*command).code == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "way", [["migrate"], ["downgrade", "-1", "--yes"], ["drop-tables", "--yes"]]
)
async def test_behind_a_long_reader_others_wait_no_longer_than_the_lock_timeout(
    copy: WorkspaceCopy, fresh_database_url: str, way: list[str]
) -> None:
    copy.add_revision("aaaaaaaaaaa1", USERS, 'op.execute("ALTER TABLE users ADD COLUMN nick text")')
    [file] = copy.versions.glob("aaaaaaaaaaa1*")
    back = 'op.execute("ALTER TABLE users DROP COLUMN nick")'
    file.write_text(file.read_text().replace("\n    pass\n", f"\n    {back}\n"))
    copy.run("migrate", "head" if way != ["migrate"] else USERS)
    waits = list[float]()

    async with held(fresh_database_url):
        reader = await asyncpg.connect(fresh_database_url)
        running = asyncio.create_task(
            asyncio.to_thread(copy.run, *way, "--lock-wait", str(PATIENCE))
        )
        while not running.done():
            began = monotonic()
            await reader.fetch("SELECT username FROM users LIMIT 1")
            waits.append(monotonic() - began)
            await asyncio.sleep(0.02)
        await reader.close()
    outcome = running.result()

    assert outcome.code == 1
    assert outcome.err.count("Trying again") >= 2
    assert f"Tried for {PATIENCE} s; --lock-wait SECONDS sets that." in outcome.err
    assert LOCK_TIMEOUT / 2 < max(waits) < LOCK_TIMEOUT + 0.5  # it did wait in line
    assert copy.run(*way).code == 0


@asynccontextmanager
async def held(url: str) -> AsyncIterator[None]:
    """Have another session read users in a transaction that does not end."""
    holder = await asyncpg.connect(url)
    async with holder.transaction():
        await holder.execute("SELECT FROM users")
        yield
    await holder.close()


def test_a_way_back_drops_an_index_that_a_killed_run_left(
    run: Run, fresh_database_url: str
) -> None:
    run("migrate")
    execute(fresh_database_url, "CREATE INDEX ages ON users (age)")
    execute(
        fresh_database_url,
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ages'::regclass",
    )

    outcome = run("downgrade", "-1", "--yes")

    assert outcome.code == 0
    assert outcome.err.startswith(
        "Dropped the invalid index ages, which an interrupted run left.\n"
    )


@pytest.mark.slow
async def test_a_server_that_is_starting_is_waited_for(
    copy: WorkspaceCopy, fresh_database_url: str, deaf_socket: socket.socket
) -> None:
    parts = urlsplit(fresh_database_url)
    copy.url = f"postgresql://postgres@127.0.0.1:{deaf_socket.getsockname()[1]}{parts.path}"
    waiting = copy.start("migrate", "--wait", "60")
    without_wait = copy.start("migrate")
    await asyncio.to_thread(without_wait.communicate, timeout=60)

    async with forwarded(deaf_socket, parse_qs(parts.query)["host"][0]):
        out, _ = await asyncio.to_thread(waiting.communicate, timeout=60)

    assert (without_wait.returncode, waiting.returncode) == (1, 0)
    place = describe(fresh_database_url)
    reached = describe(copy.url).partition(" at ")[2]
    assert out == f"Migrated {place} (reached as {reached}) to {USERS}.\n"


def test_down_to_nothing_and_up_again_equals_the_models(run: Run, fresh_database_url: str) -> None:
    run("migrate")
    before = schema(fresh_database_url)

    down = run("downgrade", "base", "--yes")
    emptied = schema(fresh_database_url)
    run("migrate")

    assert (down.code, down.out) == (0, f"Reverted: {USERS}.\n")
    assert not [row for row in emptied if "users" in str(row)]
    assert schema(fresh_database_url) == before
    assert run("check").code == 0


def test_one_step_down_is_minus_one(run: Run, fresh_database_url: str) -> None:
    run("migrate")

    outcome = run("downgrade", "-1", "--yes")

    assert outcome.code == 0
    assert revisions(fresh_database_url) == []


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("nonsense", "No revision 'nonsense'"),
        ("+1", "No revision '+1'"),
        ("nonsense@-1", "No revision 'nonsense'"),
        ("-99", "-99 leads back beyond the first revision"),
    ],
)
def test_a_way_back_that_there_is_not_is_refused_before_it_is_asked_about(
    run: Run, target: str, reason: str
) -> None:
    run("migrate")

    outcome = run("downgrade", target)

    assert outcome.code == 1
    assert outcome.err.startswith(f"Error: {reason}")
    assert "terminal" not in outcome.err


@asynccontextmanager
async def forwarded(listener: socket.socket, folder: str) -> AsyncIterator[None]:
    """Have a TCP socket listen, and lead to the server's unix socket."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.5432")
        await asyncio.gather(carry(reader, up_writer), carry(up_reader, writer))

    server = await asyncio.start_server(connect, sock=listener)
    try:
        yield
    finally:
        server.close()


def test_a_server_that_only_reads_is_told_and_the_primary_asked_for(
    run: Run, fresh_database_url: str
) -> None:
    name = fresh_database_url.partition("?")[0].rpartition("/")[2]
    execute(fresh_database_url, f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')

    outcome = run("migrate")

    assert outcome.code == 1
    assert outcome.err.startswith(f"Error: PostgreSQL only reads: {name} at ")
    assert outcome.err.endswith("name the primary server by DATABASE_URL.\n")
