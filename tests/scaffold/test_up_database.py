"""The database of a fleet that is up: what becomes of it, and that all who ask are told."""

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.scaffold.test_up import TIMEOUT, Fleet
from tests.scaffold.test_up_commands import Detached, detached

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return Fleet.make(tmp_path_factory.mktemp("database") / "fleet")


def until(is_so: Callable[[], bool], running: Detached) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not is_so():
        assert time.monotonic() < deadline, running.run("logs", "database")[0]
        time.sleep(0.1)


def stop(fleet: Fleet) -> None:
    fleet.workspace.python("-m", "db_manager", "postgres", "stop")


def kill_postmaster(fleet: Fleet) -> None:
    (pid_file,) = Path(fleet.workspace.root, ".postgres").glob("**/postmaster.pid")
    os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)


def kill_keeper(fleet: Fleet) -> None:
    found = [
        int(each.parent.name)
        for each in Path("/proc").glob("[0-9]*/cmdline")
        if b"db_manager\0postgres\0run" in each.read_bytes()
        and (each.parent / "cwd").resolve() == fleet.workspace.root.resolve()
    ]
    os.kill(found[0], signal.SIGKILL)


@pytest.mark.parametrize("end", [stop, kill_postmaster, kill_keeper])
def test_an_embedded_server_that_is_gone_is_told_and_started_again(
    fleet: Fleet, end: Callable[[Fleet], None]
) -> None:
    with detached(fleet.workspace) as (running, said):
        end(fleet)
        until(lambda: "runs again" in running.run("logs", "database")[0], running)
        lines = running.run("logs", "database")[0]
        assert re.search("embedded PostgreSQL has ended.*\n.*It is started again at once", lines)
        until(lambda: running.get_json("ps")["database"]["state"] == "ready", running)
        assert fleet.get(fleet.users, "/users") == 200
        assert running.get_json("ps")["services"] == said["services"]


@pytest.fixture
def revision(fleet: Fleet) -> Iterator[Callable[[str, str], Path]]:
    """Write a revision, by its name and what it does; all are gone after the test."""
    folder = fleet.workspace.root / "db_manager/migrations/versions"
    before = {*folder.glob("*.py")}
    heads = json.loads(fleet.workspace.python("-m", "scaffold", "list", "--json"))["heads"]

    def write(name: str, action: str) -> Path:
        path = folder / f"{name}.py"
        path.write_text(
            f'from alembic import op\n\nrevision = "{name}"\ndown_revision = {heads[0]!r}\n\n\n'
            f"def upgrade() -> None:\n    {action}\n\n\n"
            'def downgrade() -> None:\n    op.execute("SELECT 1")\n'
        )
        return path

    yield write
    for path in {*folder.glob("*.py")} - before:
        path.unlink()


def downgrade(fleet: Fleet) -> None:
    fleet.workspace.python("-m", "db_manager", "downgrade", "--yes", "--", "-1")


def test_revisions_are_applied_before_the_code_that_needs_them_is_served(tmp_path: Path) -> None:
    fleet = Fleet.make(tmp_path / "fleet")
    with detached(fleet.workspace, "--migrate") as (running, said):
        fleet.workspace.python(
            "-m", "scaffold", "field", "product-service", "product", "shelf:str(9)?"
        )
        waited = running.get_json("wait", "product-service")
        assert fleet.get(fleet.products, "/products") == 200
        assert waited["database"]["pending"] == []
        assert waited["database"]["current"] != said["database"]["current"]
        lines = running.run("logs")[0]
        assert lines.index("Migrated ") < lines.index("reloaded")
        assert "is behind the code" not in lines


def test_a_revision_that_fails_keeps_older_code_serving_until_it_is_mended(
    fleet: Fleet, revision: Callable[[str, str], Path]
) -> None:
    app = fleet.workspace.root / "services/user_service/app.py"
    source = app.read_text()
    with detached(fleet.workspace, "--migrate") as (running, said):
        try:
            revision("later", 'op.execute("SELECT 1 FROM nowhere")')
            app.write_text(f"{source}\n")
            message = "user-service is ready (older code): it keeps older code until"
            assert message in running.run("wait", code=1)[1]
            found = running.get_json("ps")
            assert [each["pid"] for each in found["services"]] == [
                each["pid"] for each in said["services"]
            ]
            assert 'relation "nowhere" does not exist. The' in found["database"]["reason"]
            assert "is applied" not in running.run("logs", "database")[0]

            revision("later", "pass")
            mended = running.get_json("wait")
            assert mended["database"]["pending"] == []
            pids = [
                {each["name"]: each["pid"] for each in told["services"]} for told in (said, mended)
            ]
            assert pids[0]["user-service"] != pids[1]["user-service"]
            assert pids[0]["product-service"] == pids[1]["product-service"]
            downgrade(fleet)
        finally:
            app.write_text(source)


def test_a_revision_that_another_program_applies_is_known_at_once(
    fleet: Fleet, revision: Callable[[str, str], Path]
) -> None:
    with detached(fleet.workspace) as (running, _):
        revision("other", "pass")
        until(lambda: "1 revision is pending" in running.run("logs", "database")[0], running)
        fleet.workspace.python("-m", "db_manager", "migrate")
        found = running.get_json("ps")["database"]
        assert (found["current"], found["pending"], found["reason"]) == (["other"], [], "")
        lines = running.run("logs", "database")[0]
        assert lines.count("The revisions are applied, by another program.") == 1
        downgrade(fleet)


@pytest.mark.parametrize("option", ["--migrate", "--no-migrate"])
def test_revisions_that_cannot_be_read_are_told_once_and_mended(
    fleet: Fleet, revision: Callable[[str, str], Path], option: str
) -> None:
    with detached(fleet.workspace, option) as (running, _):
        broken = revision("broken", "this is no Python")
        message = "Syntax error in db_manager/migrations/versions/broken.py"
        until(lambda: message in running.run("logs", "database")[0], running)
        assert message in running.get_json("ps")["database"]["reason"]
        assert running.run("logs", "database")[0].count(message) == 1
        broken.unlink()
        revision("sound", "pass")
        running.run("wait")
        is_applied = option == "--migrate"
        until(
            lambda: (
                "sound"
                in str(running.get_json("ps")["database"]["current" if is_applied else "pending"])
            ),
            running,
        )
        if is_applied:
            downgrade(fleet)
