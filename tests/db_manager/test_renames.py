"""A revision that would drop rows or values: said aloud, and asked whether it is a new name."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.db_manager.outcome import Outcome, execute, fetch
from tests.db_manager.workspace_copy import WorkspaceCopy
from tests.workspace import python_path


@pytest.fixture
def nicked(copy: WorkspaceCopy) -> WorkspaceCopy:
    """A workspace whose model has a new name for a column of users that holds a value."""
    copy.run("migrate")
    model = copy.user_model.read_text()
    copy.add_column_to_users("nick: Mapped[str | None] = mapped_column(String(50), index=True)")
    assert copy.run("revision", "-m", "add nick").code == 0
    assert copy.run("migrate").code == 0
    execute(copy.url, "INSERT INTO users (username, email, nick) VALUES ('a', 'a', 'Al')")
    copy.user_model.write_text(model)
    copy.add_column_to_users("nickname: Mapped[str | None] = mapped_column(String(80), index=True)")
    return copy


def accept(copy: WorkspaceCopy, written: Outcome) -> None:
    """Say in the file that nothing runs meanwhile, without which `check` fails."""
    file = copy.folder / written.out.strip()
    file.write_text(f"# accept renames: nothing runs\n{file.read_text()}")


@pytest.mark.slow
def test_a_new_name_and_a_lost_column_look_alike(nicked: WorkspaceCopy) -> None:
    before = sorted(nicked.versions.iterdir())

    outcome = nicked.run("revision", "-m", "what now")

    assert (outcome.code, outcome.out) == (2, "")
    assert "--rename users.nick:nickname" in outcome.err
    assert "--drop users.nick" in outcome.err
    assert sorted(nicked.versions.iterdir()) == before


@pytest.mark.slow
def test_a_renamed_column_keeps_its_values(nicked: WorkspaceCopy) -> None:
    written = nicked.run("revision", "-m", "rename", "--rename", "users.nick:nickname")
    accept(nicked, written)
    for command in (["migrate"], ["check"], ["downgrade", "-1", "--yes"], ["migrate"]):
        outcome = nicked.run(*command)
        assert outcome.code == 0, outcome.err

    assert written.code == 0, written.err
    assert "[renames]" in written.err
    assert "drop_column" not in (nicked.folder / written.out.strip()).read_text()
    assert fetch(nicked.url, "SELECT nickname FROM users") == [("Al",)]
    width = "SELECT character_maximum_length FROM information_schema.columns WHERE column_name = "
    assert fetch(nicked.url, f"{width}'nickname'") == [(80,)]


@pytest.mark.slow
def test_a_dropped_column_is_dropped_when_that_is_said(nicked: WorkspaceCopy) -> None:
    written = nicked.run("revision", "-m", "drop", "--drop", "users.nick")
    migrated = nicked.run("migrate")

    assert (written.code, migrated.code) == (0, 0)
    assert written.err.startswith("The revision drops the column users.nick, with its values.\n")
    assert fetch(nicked.url, "SELECT nickname FROM users") == [(None,)]


@pytest.mark.slow
def test_a_renamed_table_keeps_its_rows(copy: WorkspaceCopy) -> None:
    text = (
        "from shared.models.base import BaseModel\n\n\n"
        'class TagModel(BaseModel):\n    __tablename__ = "tags"\n'
    )
    copy.run("migrate")
    copy.add_model("tag", text)
    copy.run("revision", "-m", "create tags")
    copy.run("migrate")
    execute(copy.url, "INSERT INTO tags DEFAULT VALUES")
    copy.add_model("tag", text.replace('"tags"', '"labels"'))

    asked = copy.run("revision", "-m", "what now")
    written = copy.run("revision", "-m", "rename", "--rename", "tags:labels")
    accept(copy, written)
    for command in (["migrate"], ["check"], ["downgrade", "-1", "--yes"], ["migrate"]):
        outcome = copy.run(*command)
        assert outcome.code == 0, outcome.err

    assert asked.code == 2
    assert "--rename tags:labels" in asked.err
    assert written.code == 0
    assert fetch(copy.url, "SELECT count(*) FROM labels") == [(1,)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ["--rename", "users.nick"],
        ["--rename", "users.nothing:nickname"],
        ["--drop", "users.email"],
    ],
    ids=["no new name", "no such column", "not to be dropped"],
)
def test_a_name_that_cannot_be_meant_is_misuse(nicked: WorkspaceCopy, options: list[str]) -> None:
    outcome = nicked.run("revision", "-m", "what now", *options)

    assert outcome.code in (1, 2)
    assert "Traceback" not in outcome.err
    assert len(outcome.err.splitlines()) <= 2
    assert len(list(nicked.versions.glob("*.py"))) == 2


@pytest.mark.parametrize(
    ("answers", "kept"), [("y\n", True), ("n\ny\n", False)], ids=["renamed", "dropped"]
)
@pytest.mark.slow
def test_on_a_terminal_it_is_asked(nicked: WorkspaceCopy, answers: str, kept: bool) -> None:
    keyboard, terminal = pty.openpty()
    os.write(keyboard, answers.encode())

    process = subprocess.run(
        [sys.executable, "-m", "db_manager", "revision", "-m", "asked"],
        cwd=nicked.folder,
        stdin=terminal,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"DATABASE_URL": nicked.url, "PYTHONPATH": python_path(nicked.folder)},
    )
    os.close(keyboard)
    os.close(terminal)

    assert process.returncode == 0, process.stderr
    assert "Was the column users.nick renamed to nickname?" in process.stderr
    files = [Path(nicked.folder, each) for each in process.stdout.split()]
    written = files[-1].read_text()
    assert len(files) == (1 if kept else 2)  # the contraction drops
    assert ("RENAME COLUMN" in written) == kept
    assert ("drop_column" in written.partition("def downgrade")[0]) != kept
