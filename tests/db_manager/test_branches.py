"""Revisions of several branches: two heads, a merge, and files that do not hold together."""

import pytest

from tests.db_manager.outcome import USERS, revisions
from tests.db_manager.workspace_copy import WorkspaceCopy


@pytest.fixture
def branched(copy: WorkspaceCopy) -> WorkspaceCopy:
    """A workspace in which two revisions follow the first, and a database that has the later."""
    copy.add_revision("aaaaaaaaaaa2", USERS, "pass")
    copy.run("migrate")
    copy.add_revision("aaaaaaaaaaa1", USERS, "pass")
    return copy


@pytest.mark.slow
def test_a_merge_is_the_way_out_of_two_heads(branched: WorkspaceCopy) -> None:
    advice = branched.run("check").err
    merged = branched.run("merge")
    migrated, checked = branched.run("migrate"), branched.run("check")

    assert advice.endswith("Join them: python -m db_manager merge\n")
    assert (merged.code, migrated.code, checked.code) == (0, 0, 0), migrated.err
    assert migrated.err.count("Applying") == 2
    assert branched.run("merge").err == "Nothing to join: there is one head.\n"


@pytest.mark.slow
def test_what_can_be_reverted_behind_a_merge_is_named(branched: WorkspaceCopy) -> None:
    branched.run("merge")
    branched.run("migrate")
    [merge] = revisions(branched.url)

    ambiguous = branched.run("downgrade", "-1", "--yes")
    back = branched.run("downgrade", "aaaaaaaaaaa1", "--yes")
    again = branched.run("downgrade", "-1", "--yes")
    one = branched.run("downgrade", "aaaaaaaaaaa2@-1", "--yes")

    assert ambiguous.code == again.code == 1
    assert ambiguous.err == (
        f"Error: Several steps lead back from {merge[0]}. "
        "Name one: downgrade aaaaaaaaaaa1 or downgrade aaaaaaaaaaa2\n"
    )
    assert "downgrade aaaaaaaaaaa1@-1 or downgrade aaaaaaaaaaa2@-1" in again.err
    assert (back.code, one.code) == (0, 0), one.err
    assert revisions(branched.url) == [("aaaaaaaaaaa1",)]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["status", "check", "migrate", "history", "merge"])
def test_a_missing_parent_is_told_by_file_and_id(copy: WorkspaceCopy, command: str) -> None:
    copy.add_revision("aaaaaaaaaaa1", "deadbeef0000", "pass")

    outcome = copy.run(command)

    assert outcome.code == 1
    assert "aaaaaaaaaaa1_by_hand.py (revision aaaaaaaaaaa1)" in outcome.err
    assert "deadbeef0000" in outcome.err
    assert len(outcome.err.splitlines()) == 1


@pytest.mark.slow
def test_two_files_of_one_id_are_told_by_their_names(copy: WorkspaceCopy) -> None:
    copy.add_revision("aaaaaaaaaaa1", USERS, "pass")
    (copy.versions / "aaaaaaaaaaa1_by_hand.py").rename(copy.versions / "copied.py")
    copy.add_revision("aaaaaaaaaaa1", USERS, "pass")

    outcome = copy.run("migrate")

    assert outcome.code == 1
    assert "aaaaaaaaaaa1_by_hand.py and copied.py are both revision aaaaaaaaaaa1" in outcome.err
