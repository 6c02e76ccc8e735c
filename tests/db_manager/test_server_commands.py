"""`postgres`: the embedded server in hand, and what uses it when DATABASE_URL is not set."""

import json

from tests.db_manager.outcome import USERS, revisions
from tests.db_manager.workspace_copy import WorkspaceCopy


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
