"""`postgres`: the embedded server in hand, and what uses it when DATABASE_URL is not set."""

import json
import shutil
import subprocess

import pytest

from tests.db_manager.outcome import USERS, revisions
from tests.db_manager.workspace_copy import WorkspaceCopy


@pytest.mark.slow
def test_a_server_started_by_hand_serves_until_it_is_stopped(copy: WorkspaceCopy) -> None:
    copy.url = ""  # as if it were not set

    started = copy.run("postgres", "start")
    try:
        url = copy.run("postgres", "url")
        running = json.loads(copy.run("postgres", "status", "--json").out)
        migrated = copy.run("migrate")
        current = revisions(url.out.strip())
    finally:
        stopped = copy.run("postgres", "stop")
    after = copy.run("postgres", "status")

    assert (started.code, started.out) == (0, url.out)
    assert running["running"] is running["pinned"] is True
    assert running["folder"] == str(copy.folder / ".postgres")
    assert running["url"] == url.out.strip()
    assert (migrated.code, current) == (0, [(USERS,)])
    assert (stopped.code, after.code) == (0, 0)
    assert "Running   no\n" in after.out


def test_a_server_that_cannot_run_is_said_in_two_lines_at_most(copy: WorkspaceCopy) -> None:
    copy.url = ""
    (copy.folder / ".postgres").write_text("in the way")

    for command in (["status"], ["postgres", "start"]):
        outcome = copy.run(*command)

        assert outcome.code == 1
        assert outcome.err.startswith("Error: ")
        assert len(outcome.err.splitlines()) <= 2


FOREIGN = {
    "PGHOST": "elsewhere.invalid",
    "PGHOSTADDR": "192.0.2.1",
    "PGPORT": "5433",
    "PGUSER": "nobody",
    "PGDATABASE": "nowhere",
    "PGSSLMODE": "verify-full",
    "PGSSLROOTCERT": "/nonexistent",
    "PGSSLNEGOTIATION": "direct",
    "PGTARGETSESSIONATTRS": "standby",
    "PGGSSLIB": "foo",
    "PGOPTIONS": "-c nothing=1",
    "PGPASSFILE": "/etc/passwd",
    "PGAPPNAME": "theirs",
    "PGTZ": "Asia/Tokyo",
    "PGCLIENTENCODING": "LATIN1",
    "DATABASE_POOLER": "pgbouncer",
}
"""The shell's settings for another server."""
PSQL_ONLY = {"PGSERVICE": "theirs", "PGCHANNELBINDING": "require", "PGGSSENCMODE": "require"}
"""What a URL cannot keep psql from reading."""


@pytest.mark.slow
@pytest.mark.parametrize("names", [["PGPORT"], ["PGSSLMODE"], list(FOREIGN)])
def test_the_shells_settings_for_another_server_reach_no_command(
    names: list[str], copy: WorkspaceCopy, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy.url = ""
    for name in names:
        monkeypatch.setenv(name, FOREIGN[name])

    outcome = copy.run("status")

    assert "Database  postgres at /" in outcome.out
    assert outcome.err.splitlines() == [
        "Error: The database is behind by 1 revision. Run: python -m db_manager migrate"
    ]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("psql") is None, reason="psql is not installed")
def test_psql_is_opened_on_our_server_whatever_the_shell_is_set_to(
    copy: WorkspaceCopy, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy.url = ""
    for name, value in (FOREIGN | PSQL_ONLY).items():
        monkeypatch.setenv(name, value)

    opened = copy.run("postgres", "psql", "-XAtc", "SELECT current_user, 40 + 2")
    failed = copy.run("postgres", "psql", "-XAtc", "SELECT nothing")

    assert (opened.code, opened.out) == (0, "postgres|42\n")
    assert failed.code == 1
    for name in PSQL_ONLY:
        monkeypatch.delenv(name)
    url = copy.run("postgres", "start").out.strip()
    try:
        asked = subprocess.run(
            ["psql", url, "-XAtc", "SELECT 40 + 2"], capture_output=True, text=True, check=False
        )
    finally:
        copy.run("postgres", "stop")
    assert (asked.stdout, asked.returncode) == ("42\n", 0), asked.stderr


@pytest.mark.slow
def test_where_no_address_was_given_none_is_to_be_corrected(
    copy: WorkspaceCopy, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy.url = ""
    monkeypatch.setenv("PGGSSLIB", "none")  # which no URL overrides

    outcome = copy.run("status")

    assert outcome.code == 1
    assert "DATABASE_URL" not in outcome.err
