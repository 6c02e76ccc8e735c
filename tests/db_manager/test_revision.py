"""`revision`, `history` and `sql`: what is written, and in which form."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.db_manager.conftest import Run
from tests.db_manager.outcome import USERS, execute, schema
from tests.db_manager.workspace_copy import WorkspaceCopy

NICKNAME = 'nickname: Mapped[str | None] = mapped_column(String(50), index=True, comment="aka")'
ORDERS = """
from shared.models.base import BaseModel


class OrderModel(BaseModel):
    __tablename__ = "orders"
    __table_args__ = {"info": {"service": "order-service"}}
"""


@pytest.mark.slow
def test_a_changed_model_becomes_a_revision_that_needs_no_touch(
    run: Run, copy: WorkspaceCopy
) -> None:
    run("migrate")
    copy.add_column_to_users(NICKNAME)

    written = copy.run("revision", "-m", 'give users a "nickname"')
    migrated, checked = copy.run("migrate"), copy.run("check")

    assert written.code == 0, written.err
    assert written.err == ""
    file = copy.folder / written.out.strip()
    assert file.parent == copy.versions
    assert file.name.endswith("_give_users_a_nickname.py")
    assert 'op.f("ix_users_nickname")' in file.read_text()
    assert "Date" not in file.read_text()
    assert (migrated.code, checked.code) == (0, 0)
    assert_passes(file, "ruff", "check")
    assert_passes(file, "ruff", "format", "--check")
    assert_passes(file, "mypy", "--strict", "--cache-dir=/dev/null", "--follow-imports=skip")


def test_a_revision_without_ruff_is_written_all_the_same(run: Run, copy: WorkspaceCopy) -> None:
    run("migrate")
    copy.add_column_to_users("nickname: Mapped[str | None] = mapped_column(String(50))")
    hide = "import sys; sys.modules['ruff'] = None; from db_manager.cli import main; "

    process = copy.start_python("-c", f"{hide}main(['revision', '-m', 'add nickname'])")
    out, err = process.communicate(timeout=60)

    assert (process.returncode, err) == (0, "")
    assert "nickname" in (copy.folder / out.strip()).read_text()


@pytest.mark.slow
def test_a_revision_leaves_the_service_of_a_table_to_its_model(
    run: Run, copy: WorkspaceCopy
) -> None:
    run("migrate")
    copy.add_model("order", ORDERS)

    written = copy.run("revision", "-m", "add orders")

    text = (copy.folder / written.out.strip()).read_text()
    assert '"orders"' in text
    assert "order-service" not in text


def test_an_empty_revision_asks_no_database_and_needs_no_touch(copy: WorkspaceCopy) -> None:
    copy.url = "postgresql://127.0.0.1:1/nowhere"

    outcome = copy.run("revision", "--empty", "-m", "fill in names")

    assert outcome.code == 0
    file = copy.folder / outcome.out.strip()
    assert f'down_revision = "{USERS}"' in file.read_text()
    assert_passes(file, "ruff", "check")
    assert_passes(file, "ruff", "format", "--check")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["JSON", "dialects.postgresql.JSONB"])
def test_a_default_of_json_is_compared_too(run: Run, copy: WorkspaceCopy, kind: str) -> None:
    run("migrate")
    column = f'settings: Mapped[str] = mapped_column(sqlalchemy.{kind}, server_default="{{}}")'
    copy.add_column_to_users(column, needs="import sqlalchemy.dialects")

    copy.run("revision", "-m", "add settings")
    copy.run("migrate")
    same = copy.run("check")
    copy.user_model.write_text(copy.user_model.read_text().replace("{}", "[]"))
    other = copy.run("check")

    assert (same.code, same.err) == (0, "")
    assert other.code == 1
    assert "column users.settings: default '{}'::json" in other.out + other.err


@pytest.mark.slow
def test_an_enumeration_may_be_added_and_grow(run: Run, copy: WorkspaceCopy) -> None:
    run("migrate")
    sizes = "import enum\n\nclass Size(enum.Enum):\n    SMALL = 's'\n"
    copy.add_column_to_users("size: Mapped[Size | None]", needs=sizes)

    copy.run("revision", "-m", "add size")
    added = copy.run("migrate")
    model = copy.user_model.read_text()
    copy.user_model.write_text(model.replace("SMALL = 's'", "SMALL = 's'\n    MEDIUM = 'm'"))
    grown = copy.run("check")

    assert (added.code, "Applying" in added.err) == (0, True)
    assert grown.code == 1
    assert "type VARCHAR(5) in the database, VARCHAR(6) in the models" in grown.err


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--empty"]], ids=["generated", "empty"])
def test_a_revision_that_the_disk_does_not_hold_leaves_no_half_of_it(
    options: list[str], run: Run, copy: WorkspaceCopy
) -> None:
    run("migrate")
    copy.add_column_to_users(NICKNAME)
    before = sorted(copy.versions.iterdir())
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); "
    call = f"from db_manager.cli import main; main(['revision', '-m', 'too much', *{options}])"

    process = copy.start_python("-B", "-c", limit + call)
    out, err = process.communicate(timeout=60)

    assert (process.returncode, out) == (1, "")
    assert err == f"Error: Nothing was written: {copy.versions}: File too large\n"
    assert sorted(copy.versions.iterdir()) == before


@pytest.mark.slow
def test_without_changes_nothing_is_written(run: Run, copy: WorkspaceCopy) -> None:
    run("migrate")
    before = sorted(copy.versions.glob("*.py"))

    outcome = copy.run("revision", "-m", "nothing")

    assert (outcome.code, outcome.out) == (0, "")
    assert "the models equal the database" in outcome.err
    assert sorted(copy.versions.glob("*.py")) == before


def test_a_revision_follows_a_migrated_database_only(copy: WorkspaceCopy) -> None:
    copy.add_column_to_users(NICKNAME)

    outcome = copy.run("revision", "-m", "too early")

    assert outcome.code == 1
    assert "The database is behind by 1 revision. Run: python -m db_manager migrate" in outcome.err
    assert len(list(copy.versions.glob("*.py"))) == 1


@pytest.mark.parametrize("message", ["", "two\nlines", "x" * 91])
def test_a_message_is_one_line(run: Run, message: str) -> None:
    outcome = run("revision", "--empty", "-m", message)

    assert (outcome.code, outcome.out) == (1, "")
    assert "one line of 1 to 90 characters" in outcome.err


def test_two_heads_take_no_revision(copy: WorkspaceCopy) -> None:
    copy.add_revision("aaaaaaaaaaa1", USERS, "pass")
    copy.add_revision("aaaaaaaaaaa2", USERS, "pass")

    outcome = copy.run("revision", "--empty", "-m", "a third")

    assert outcome.code == 1
    assert "2 heads: aaaaaaaaaaa1, aaaaaaaaaaa2" in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.slow
def test_the_history_is_told_from_the_newest(copy: WorkspaceCopy) -> None:
    copy.add_revision("aaaaaaaaaaa1", USERS, "pass")

    lines, listed = copy.run("history"), copy.run("history", "--json")

    assert lines.out == f"aaaaaaaaaaa1  by hand\n{USERS}  create users\n"
    assert json.loads(listed.out) == [
        {
            "id": "aaaaaaaaaaa1",
            "message": "by hand",
            "file": "aaaaaaaaaaa1_by_hand.py",
            "follows": [USERS],
            "is_contract": False,
        },
        {
            "id": USERS,
            "message": "create users",
            "file": f"{USERS}_create_users.py",
            "follows": [],
            "is_contract": False,
        },
    ]


@pytest.mark.parametrize("text", ["def upgrade(:\n", "undefined\n"], ids=["syntax", "name"])
def test_a_broken_revision_is_named(copy: WorkspaceCopy, text: str) -> None:
    (copy.versions / "aaaaaaaaaaa1_broken.py").write_text(text)

    outcome = copy.run("history")

    assert outcome.code == 1
    assert "aaaaaaaaaaa1_broken.py: line 1." in outcome.err
    assert "Traceback" not in outcome.err


def test_the_printed_statements_make_what_migrate_makes(
    run: Run, fresh_database_url: str, database_url: str
) -> None:
    printed = run("sql")

    execute(fresh_database_url, printed.out)

    assert schema(fresh_database_url) == schema(database_url)
    assert run("status").code == 0


def test_statements_are_printed_from_where_the_database_is(
    run: Run, fresh_database_url: str
) -> None:
    run("migrate")
    nothing = run("sql")
    run("downgrade", "base", "--yes")
    everything = run("sql")
    execute(fresh_database_url, everything.out)

    assert (nothing.code, nothing.out) == (0, "")
    assert run("check").code == 0


def test_a_range_is_printed_without_a_database(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/nowhere")

    outcome = run("sql", "base:head")

    assert (outcome.code, outcome.err) == (0, "")
    assert "CREATE TABLE users" in outcome.out


def assert_passes(file: Path, *tool: str) -> None:
    """Have a tool of the workspace judge a file."""
    command = [sys.executable, "-m", *tool, str(file)]
    verdict = subprocess.run(
        command, cwd=file.parents[3], capture_output=True, text=True, check=False
    )
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr
