"""`status` and `check`: the database beside the revisions and the models."""

import json
from urllib.parse import urlsplit

import pytest

from tests.db_manager.conftest import Run
from tests.db_manager.outcome import USERS, execute, fetch
from tests.db_manager.workspace_copy import WorkspaceCopy

UNREACHABLE = "postgresql://app:s3cret@127.0.0.1:1/app"


def test_an_empty_database_is_behind(run: Run) -> None:
    outcome = run("status")

    assert outcome.code == 1
    assert f"{USERS} create users" in outcome.out
    assert outcome.err == (
        "Error: The database is behind by 1 revision. Run: python -m db_manager migrate\n"
    )


def test_a_migrated_database_is_in_order(run: Run, fresh_database_url: str) -> None:
    run("migrate")

    outcome = run("status")

    assert (outcome.code, outcome.err) == (0, "")
    lines = dict(line.split(maxsplit=1) for line in outcome.out.splitlines())
    assert lines["Revision"] == lines["Newest"] == USERS
    assert lines["Tables"] == "1 of 1 found"
    assert lines["Drift"] == lines["Pending"] == "none"
    assert urlsplit(fresh_database_url).path[1:] in lines["Database"]


def test_a_program_reads_the_status(run: Run) -> None:
    behind = json.loads(run("status", "--json").out)
    run("migrate")
    in_order = json.loads(run("status", "--json").out)

    assert behind["ok"] is False
    assert behind["problem"].startswith("The database is behind by 1 revision.")
    assert behind["pending"] == [
        {
            "id": USERS,
            "message": "create users",
            "file": f"{USERS}_create_users.py",
            "follows": [],
            "is_contract": False,
        }
    ]
    assert behind["drift"] is None
    assert in_order["server_version"][:2].isdigit()
    del in_order["database"], in_order["server_version"]
    assert in_order == {
        "current": [USERS],
        "heads": [USERS],
        "pending": [],
        "tables_defined": ["users"],
        "tables_found": ["users"],
        "drift": [],
        "not_compared": [],
        "others": [],
        "problem": None,
        "ok": True,
    }


def test_drift_is_said_column_by_column(run: Run, fresh_database_url: str) -> None:
    run("migrate")
    execute(
        fresh_database_url,
        "ALTER TABLE users ADD COLUMN nickname text, DROP COLUMN age",
        "ALTER TABLE users ALTER COLUMN email TYPE varchar(99), ALTER COLUMN email DROP NOT NULL",
        "ALTER TABLE users ALTER COLUMN is_active DROP DEFAULT",
        "ALTER TABLE users DROP CONSTRAINT uq_users_email",
        "CREATE TABLE others (id int)",
        "CREATE INDEX ix_users_first_name ON users (first_name)",
    )

    status, check = run("status", "--json"), run("check")

    differences = [
        "column users.age: in the models, not in the database",
        "column users.email: nullable True in the database, False in the models",
        "column users.email: type VARCHAR(99) in the database, VARCHAR(120) in the models",
        "column users.is_active: default none in the database, true in the models",
        "column users.nickname: in the database, not in the models",
        "constraint users.uq_users_email: in the models, not in the database",
        "index users.ix_users_first_name: in the database, not in the models",
    ]
    assert (status.code, json.loads(status.out)["drift"]) == (0, differences)
    assert json.loads(status.out)["others"] == ["others"]
    assert (check.code, check.out) == (1, "")
    assert check.err == "Error: " + "\n".join(differences) + "\n"


def test_a_dropped_table_is_missed(run: Run, fresh_database_url: str) -> None:
    run("migrate")
    execute(fresh_database_url, "DROP TABLE users")

    outcome = run("status")

    assert "0 of 1 found, missing: users" in outcome.out
    assert "table users: in the models, not in the database" in outcome.out


def test_a_database_of_newer_code_is_named(run: Run, fresh_database_url: str) -> None:
    run("migrate")
    execute(fresh_database_url, "UPDATE alembic_version SET version_num = 'fffffffffff1'")

    status, migrate = run("status"), run("migrate")

    assert status.code == migrate.code == 1
    assert status.err == migrate.err
    assert "The database is at fffffffffff1, which no file" in status.err
    assert "Of another application" in status.err
    assert "[tool.scaffold] version_table" in status.err
    assert "reset" not in status.err


def test_settings_of_services_change_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_POOL_SIZE", "1")
    monkeypatch.setenv("DB_ECHO", "True")

    migrated, status = run("migrate"), run("status", "--json")

    assert migrated.code == 0
    assert json.loads(status.out)["ok"] is True


@pytest.mark.parametrize("command", ["status", "check", "migrate", "sql", "create-tables"])
def test_an_unreachable_server_is_said_in_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", UNREACHABLE)

    outcome = run(command)

    assert outcome.code == 1
    assert outcome.err == (
        "Error: PostgreSQL cannot be reached: app at 127.0.0.1:1 (Connection refused). "
        "Start it or correct DATABASE_URL. --wait SECONDS keeps trying.\n"
    )


def test_a_program_reads_that_the_server_is_unreachable(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", UNREACHABLE)

    status, check = run("status", "--json"), run("check", "--json")

    assert status.code == check.code == 1
    found = json.loads(status.out)
    assert (found["ok"], found["database"]) == (False, "app at 127.0.0.1:1")
    assert found["server_version"] is None
    assert json.loads(check.out)["problems"] == [found["problem"]]
    assert "s3cret" not in status.out + status.err


def test_a_missing_database_is_named(
    run: Run, fresh_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = urlsplit(fresh_database_url)
    monkeypatch.setenv("DATABASE_URL", parts._replace(path="/nowhere").geturl())

    outcome = run("migrate")

    assert outcome.code == 1
    assert outcome.err.startswith("Error: The database does not exist: nowhere at ")
    assert 'CREATE DATABASE "nowhere"' in outcome.err


def test_a_wrong_password_is_refused_without_showing_it(
    run: Run, fresh_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    demand_a_password(fresh_database_url, "clerk")
    parts = urlsplit(fresh_database_url)
    monkeypatch.setenv("DATABASE_URL", f"postgresql://clerk:s3cret@{parts.path}?{parts.query}")

    outcome = run("status")

    assert outcome.code == 1
    assert 'password authentication failed for user "clerk"' in outcome.err
    assert "s3cret" not in outcome.out + outcome.err


def test_a_bad_database_url_names_the_variable(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://localhost/app")

    outcome = run("status")

    assert outcome.code == 1
    assert outcome.err.startswith("Error: DATABASE_URL: ")


def test_equal_models_pass_the_check(run: Run) -> None:
    run("migrate")

    outcome = run("check", "--json")

    assert outcome.code == 0
    found = json.loads(outcome.out)
    del found["database"]
    assert found == {
        "current": [USERS],
        "heads": [USERS],
        "problems": [],
        "not_compared": [],
        "ok": True,
    }


@pytest.mark.slow
def test_two_heads_fail_the_check(copy: WorkspaceCopy) -> None:
    copy.add_revision("aaaaaaaaaaa1", USERS, "pass")
    copy.add_revision("aaaaaaaaaaa2", USERS, "pass")

    outcome = copy.run("check", "--json")

    assert outcome.code == 1
    assert json.loads(outcome.out)["heads"] == ["aaaaaaaaaaa1", "aaaaaaaaaaa2"]
    assert "The revisions have 2 heads: aaaaaaaaaaa1, aaaaaaaaaaa2" in outcome.err


def demand_a_password(url: str, user: str) -> None:
    """Have the server write a rule before all others of its own."""
    [(file, rules)] = fetch(
        url, "SELECT path, pg_read_file(path) FROM current_setting('hba_file') AS path"
    )
    lines = [f"local all {user} scram-sha-256", *str(rules).splitlines()]
    execute(
        url,
        f"DROP ROLE IF EXISTS {user}",
        f"CREATE ROLE {user} LOGIN PASSWORD 'right'",
        f"COPY (SELECT unnest($lines${{{','.join(map(json.dumps, lines))}}}$lines$::text[])) TO '{file}'",
        "SELECT pg_reload_conf()",
    )
