"""What is not of the models: left alone by `check`, `revision`, `drop-tables` and `reset`."""

import json
from pathlib import Path
from textwrap import dedent
from urllib.parse import urlsplit

import pytest

from db_manager.made import Made
from tests.db_manager.outcome import USERS, execute, fetch, tables
from tests.db_manager.workspace_copy import WorkspaceCopy

EVENTS = """
from datetime import datetime

from sqlalchemy import DateTime
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import BaseModel


class EventModel(BaseModel):
    __tablename__ = "events"
    __table_args__ = {"postgresql_partition_by": "RANGE (at)"}
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
"""

INVOICES = """
from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import BaseModel


class InvoiceModel(BaseModel):
    __tablename__ = "invoices"
    __table_args__ = {"schema": "billing"}
    number: Mapped[str] = mapped_column(String(20), unique=True, index=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))


class LineModel(BaseModel):
    __tablename__ = "lines"
    __table_args__ = {"schema": "billing"}
    invoice_id: Mapped[int] = mapped_column(ForeignKey("billing.invoices.id"))
"""


@pytest.fixture
def migrated(copy: WorkspaceCopy) -> WorkspaceCopy:
    """A workspace whose database is at the newest revision."""
    assert copy.run("migrate").code == 0
    return copy


def assert_at_rest(copy: WorkspaceCopy) -> None:
    """Nothing differs, and there is nothing to write."""
    check = copy.run("check")
    assert (check.code, check.out) == (0, "The models equal the migrations.\n"), check.err
    before = sorted(copy.versions.iterdir())
    assert "Nothing to write" in copy.run("revision", "-m", "nothing").err
    assert sorted(copy.versions.iterdir()) == before


@pytest.mark.slow
def test_partitions_that_a_revision_makes_stay(copy: WorkspaceCopy) -> None:
    copy.add_model("event", EVENTS)
    copy.run("migrate")
    assert copy.run("revision", "-m", "create events").code == 0
    assert copy.run("migrate").code == 0
    [head] = [name for name in copy.heads() if name != USERS]
    copy.add_revision(
        "aaaaaaaaaaa1",
        head,
        """
        for year in (2025, 2026):
            op.execute(
                f"CREATE TABLE events_{year} PARTITION OF events "
                f"FOR VALUES FROM ('{year}-01-01') TO ('{year + 1}-01-01')"
            )
        # accept locks-index: there are no rows yet
        op.execute("CREATE INDEX events_by_day ON events (extract(year FROM at AT TIME ZONE 'UTC'))")
        """,
    )
    migrated = copy.run("migrate")

    assert migrated.code == 0, migrated.err
    assert_at_rest(copy)


@pytest.mark.slow
@pytest.mark.parametrize(
    "statements",
    [
        ["CREATE TABLE jobs (id int PRIMARY KEY)", "CREATE INDEX ix ON jobs (id)"],
        ["CREATE TABLE django_migrations (id int)", "CREATE VIEW names AS SELECT 1 AS one"],
        ["CREATE TABLE logins (LIKE users) INHERITS (users)"],
        ["CREATE SCHEMA pgq", "CREATE TABLE pgq.queue (id int)"],
        ["CREATE FOREIGN DATA WRAPPER w", "CREATE SERVER s FOREIGN DATA WRAPPER w",
         "CREATE FOREIGN TABLE far (id int) SERVER s"],
    ],
    ids=["job queue", "another framework", "inherited", "schema", "foreign table"],
)  # fmt: skip
def test_tables_of_others_are_no_drift(migrated: WorkspaceCopy, statements: list[str]) -> None:
    execute(migrated.url, *statements)
    before = tables(migrated.url)

    assert_at_rest(migrated)
    dropped = migrated.run("downgrade", "base", "--yes")

    assert dropped.code == (1 if "logins" in statements[0] else 0)
    if dropped.code == 0:
        assert tables(migrated.url) == before - {"public.users"}


def test_others_are_named_in_the_status(migrated: WorkspaceCopy) -> None:
    execute(migrated.url, "CREATE TABLE jobs (id int)")

    assert "Others    jobs\n" in migrated.run("status").out


@pytest.mark.slow
def test_what_a_revision_adds_in_its_own_sql_stays(migrated: WorkspaceCopy) -> None:
    migrated.add_revision(
        "aaaaaaaaaaa1",
        USERS,
        '''
        op.execute("""
            ALTER TABLE users
                ADD COLUMN search tsvector
                    GENERATED ALWAYS AS (to_tsvector('simple', username)) STORED,
                ADD CONSTRAINT no_robots CHECK (username <> 'robot')
        """)
        op.execute("CREATE INDEX users_search ON users USING gin (search)")
        ''',
    )
    migrated.run("migrate")

    assert_at_rest(migrated)
    aside = json.loads(migrated.run("check", "--json").out)["not_compared"]

    assert [each.partition(":")[0] for each in aside] == [
        "users.no_robots",
        "users.search",
        "users.users_search",
    ]


@pytest.mark.slow
def test_what_the_settings_leave_out_is_left_alone(migrated: WorkspaceCopy) -> None:
    migrated.set_in_project('unmanaged = ["users.nick", "by_*", "legacy"]')
    migrated.add_model(
        "legacy",
        INVOICES.replace("billing.invoices.id", "users.id")
        .replace('    __table_args__ = {"schema": "billing"}\n', "")
        .replace('"lines"', '"legacy"')
        .split("class InvoiceModel")[0]
        + 'class LegacyModel(BaseModel):\n    __tablename__ = "legacy"\n',
    )
    execute(
        migrated.url,
        "ALTER TABLE users ADD COLUMN nick text",
        "CREATE INDEX by_nick ON users (nick)",
    )

    assert_at_rest(migrated)


@pytest.mark.slow
def test_a_view_that_a_model_maps_is_made_by_its_revision_alone(migrated: WorkspaceCopy) -> None:
    migrated.add_revision(
        "aaaaaaaaaaa1",
        USERS,
        'op.execute("CREATE VIEW actives AS SELECT id, created_at, updated_at FROM users")',
    )
    migrated.add_model(
        "active",
        "from shared.models.base import BaseModel\n\n\n"
        'class ActiveModel(BaseModel):\n    __tablename__ = "actives"\n',
    )
    migrated.run("migrate")

    assert_at_rest(migrated)
    check = migrated.run("check")
    dropped = migrated.run("drop-tables", "--yes")

    assert check.err == "Not compared: view actives: mapped by a model.\n"
    assert (dropped.code, "actives" in dropped.err) == (1, True)  # it depends on users
    execute(migrated.url, "DROP VIEW actives")
    assert migrated.run("drop-tables", "--yes").code == 0
    created = migrated.run("create-tables")
    assert created.out == "Created: users.\n"


@pytest.mark.slow
def test_a_table_of_a_removed_model_is_drift(migrated: WorkspaceCopy) -> None:
    migrated.add_model("invoice", INVOICES.replace('    __table_args__ = {"schema": "billing"}\n', "")
                       .replace("billing.", ""))  # fmt: skip
    migrated.run("revision", "-m", "create invoices")
    migrated.run("migrate")
    (migrated.user_model.parent / "invoice.py").unlink()

    check = migrated.run("check")
    written = migrated.run("revision", "-m", "drop invoices")

    assert "table invoices: in the database, not in the models" in check.err
    assert written.code == 0
    assert written.err == (
        "The revision drops the table lines, with its rows.\n"
        "The revision drops the table invoices, with its rows.\n"
    )
    assert migrated.run("migrate").code == 0
    assert migrated.run("downgrade", "-1", "--yes").code == 0


@pytest.mark.slow
def test_a_schema_is_made_once_and_works_everywhere(migrated: WorkspaceCopy) -> None:
    migrated.add_model("invoice", INVOICES)

    written = migrated.run("revision", "-m", "create invoices")
    applied = migrated.run("migrate")

    assert (written.code, applied.code) == (0, 0), written.err + applied.err
    text = (migrated.folder / written.out.strip()).read_text()
    assert text.count("CREATE SCHEMA IF NOT EXISTS billing") == 1
    assert_at_rest(migrated)
    for command in (["downgrade", "-1", "--yes"], ["migrate"], ["drop-tables", "--yes"],
                    ["create-tables"], ["reset", "--yes"]):  # fmt: skip
        outcome = migrated.run(*command)
        assert outcome.code == 0, outcome.err
    assert_at_rest(migrated)
    assert fetch(migrated.url, "SELECT count(*) FROM billing.lines") == [(0,)]


@pytest.mark.slow
def test_the_default_schema_by_name_is_refused(migrated: WorkspaceCopy) -> None:
    migrated.add_model("invoice", INVOICES.replace("billing", "public"))

    check = migrated.run("check")

    assert check.code == 1
    assert "names the schema public, which is the default of this database" in check.err
    assert "Traceback" not in check.err


def test_a_server_that_only_reads_is_compared_as_far_as_that_goes(migrated: WorkspaceCopy) -> None:
    migrated.add_column_to_users("age2: Mapped[int | None] = mapped_column(Integer)")
    name = urlsplit(migrated.url).path[1:]
    execute(migrated.url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")

    check = migrated.run("check")

    assert check.code == 1
    assert "Not compared: definitions users: PostgreSQL does not take the model's" in check.err
    assert check.err.endswith("Error: column users.age2: in the models, not in the database\n")


@pytest.mark.slow
def test_the_tables_of_an_extension_and_inherited_columns_are_no_drift(
    migrated: WorkspaceCopy,
) -> None:
    migrated.add_revision(
        "aaaaaaaaaaa1",
        USERS,
        """
        for statement in (
            "CREATE EXTENSION file_fdw",
            "CREATE VIEW logs AS SELECT 1 AS one",
            "ALTER EXTENSION file_fdw ADD VIEW logs",
            "CREATE TABLE spatial_ref_sys (id int)",
            "ALTER EXTENSION file_fdw ADD TABLE spatial_ref_sys",
            "CREATE TABLE base_things (label text CHECK (label <> ''), id bigint)",
            "CREATE TABLE things (size int, PRIMARY KEY (id)) INHERITS (base_things)",
        ):
            op.execute(statement)
        """,
    )
    migrated.add_model(
        "thing",
        """
import sqlalchemy as sa

from shared.models.base import BaseModel

sa.Table(
    "things",
    BaseModel.metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("size", sa.Integer),
    postgresql_inherits="base_things",
)
""",
    )
    applied = migrated.run("migrate")

    assert applied.code == 0, applied.err
    assert_at_rest(migrated)
    assert migrated.run("reset", "--yes").code == 0
    assert_at_rest(migrated)


def test_names_are_read_from_constants_keywords_helpers_and_files(tmp_path: Path) -> None:
    """Revisions name what they make in more ways than by a literal."""
    (tmp_path / "versions").mkdir()
    (tmp_path / "versions" / "one.py").write_text(
        dedent("""
        TABLE = "orders"
        op.create_table(TABLE)
        op.create_table(op.f("lines"), schema="billing")
        op.create_table(table_name="notes")
        op.rename_table("old", new_table_name="new")
        op.execute(f"CREATE TABLE {TABLE}_log (id int)")
        op.execute("CREATE TABLE " + TABLE + "_archive (id int)")
        op.execute("CREATE TABLE orders_{} (id int)".format(2026))
        op.execute("CREATE TABLE notes_%s (id int)" % 2026)
        op.execute("CREATE TABLE lines_" + str(2026) + " (id int)")
        """)
    )
    (tmp_path / "helpers.py").write_text("SQL = \"CREATE TYPE mood AS ENUM ('sad')\"\n")
    (tmp_path / "versions" / ".#one.py").symlink_to("an-editors-lock")
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "one.sql").write_text("alter table users add column search tsvector;")

    made = Made(tmp_path)

    assert made.tables == {
        *((None, name) for name in ("orders", "notes", "new")), ("billing", "lines"),
    }  # fmt: skip
    assert made.names("table") == {
        *("orders_log", "orders_archive", "orders_*", "notes_*", "lines_*"),
    }
    assert made.names("type") == {"mood"}
    assert made.parts == {("users", "search")}


def test_an_invalid_index_of_others_is_left_to_them(migrated: WorkspaceCopy) -> None:
    """It may be one that is being made this moment."""
    invalid = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{}'::regclass"
    execute(
        migrated.url,
        "CREATE TABLE jobs (id int)",
        "CREATE INDEX by_id ON jobs (id)",
        "CREATE INDEX by_age ON users (age)",
        invalid.format("by_id"),
        invalid.format("by_age"),
    )
    migrated.add_revision("aaaaaaaaaaa1", USERS, "pass")

    outcome = migrated.run("migrate")

    assert outcome.err.startswith("Dropped the invalid index by_age, ")
    assert "by_id" not in outcome.err
