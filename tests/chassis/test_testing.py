"""The pytest plugin: what tests get, and what is left of it afterwards."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import asyncpg
import pytest
from pydantic import AliasChoices

from quart_fleet.conventions import without_foreign_variables
from quart_fleet.database._engine import Database
from quart_fleet.postgres import EmbeddedPostgres
from quart_fleet.settings import ServiceSettings

ROOT = Path(__file__).parents[2]


async def test_a_test_writes_into_its_database(database: Database) -> None:
    async with database.connect() as connection:
        insert = "INSERT INTO users (username, email) VALUES ('a', 'a') RETURNING id"
        assert await connection.fetchval(insert) == 1


async def test_the_next_test_finds_nothing_of_it(database: Database) -> None:
    await test_a_test_writes_into_its_database(database)


def test_the_settings_of_the_developers_shell_reach_no_test(tmp_path: Path) -> None:
    names = {
        *("DATABASE_URL", "DATABASE_POOLER", "SERVICE_NAME", "SERVICE_PORT", "PORT", "HOST"),
        *("DEBUG", "TESTING", "SECRET_KEY", "PGPASSWORD", "PGSSLMODE"),
    }
    outcome = run_pytest(
        tmp_path,
        f"""
        import os
        def test_variables(): assert not {names} & os.environ.keys()
        """,
        dict.fromkeys(names, "of the developer"),
    )

    assert outcome.returncode == 0, outcome.stdout


def test_every_setting_of_a_service_is_a_foreign_variable() -> None:
    aliases = [field.validation_alias for field in ServiceSettings.model_fields.values()]
    names = {
        str(name)
        for alias in aliases
        for name in (alias.choices if isinstance(alias, AliasChoices) else [alias])
    }

    assert {"SECRET_KEY", "PORT"} < names
    assert without_foreign_variables(dict.fromkeys(names, "")) == {}


def test_other_variables_are_kept() -> None:
    kept = {"PATH": "/bin", "EMBEDDED_POSTGRES_BIN": "/opt/bin", "PYTHONPATH": "."}

    assert without_foreign_variables(kept) == kept


def test_what_is_tested_is_no_test(tmp_path: Path) -> None:
    entities = tmp_path / "lab_service/domain/entities"
    entities.mkdir(parents=True)
    (entities / "lab.py").write_text(
        "class TestLab:\n    def __init__(self, name): ...\n\n\ndef test_of(lab): ...\n"
    )

    outcome = run_pytest(
        tmp_path,
        """
        from lab_service.domain.entities.lab import TestLab, test_of
        class TestOfOurs:
            def test_something(self): assert TestLab and test_of
        """,
    )

    assert outcome.returncode == 0, outcome.stdout
    assert "1 passed" in outcome.stdout


def test_a_run_without_databases_starts_no_server(tmp_path: Path) -> None:
    outcome = run_pytest(
        tmp_path,
        """
        import os, pathlib, sys
        def test_nothing():
            assert not pathlib.Path(os.environ["QUART_FLEET_TEST_FOLDER"]).exists()
            assert not {"sqlalchemy", "alembic", "asyncpg", "pydantic"} & set(sys.modules)
        """,
    )

    assert outcome.returncode == 0, outcome.stdout


@pytest.mark.slow
def test_workers_share_a_server_that_goes_with_the_run(tmp_path: Path) -> None:
    outcome = run_pytest(
        tmp_path,
        """
        import asyncpg, os, pathlib
        async def test_users(database, database_url):
            folder = os.environ["QUART_FLEET_TEST_FOLDER"]
            pathlib.Path("urls", database_url.replace("/", "|")).touch()
            connection = await asyncpg.connect(database_url)
            templates = "SELECT count(*) FROM pg_database WHERE starts_with(datname, 'template_')"
            assert await connection.fetchval(templates) == 1
            await connection.close()
            pathlib.Path("folders", folder.replace("/", "|")).touch()
        """,
        arguments=["-n", "2", "--dist", "each"],
    )

    assert outcome.returncode == 0, outcome.stdout
    assert len(list((tmp_path / "urls").iterdir())) == 2
    [folder] = (tmp_path / "folders").iterdir()
    assert not Path(folder.name.replace("|", "/")).exists()


@pytest.mark.slow
def test_a_run_on_a_given_server_leaves_nothing_there(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / ".postgres", durable=False) as url:
        outcome = run_pytest(
            tmp_path,
            f"""
            import os, pathlib
            from quart_fleet.database import Database
            async def test_users(database: Database, database_url, fresh_database_url):
                place = {url.partition("?")[2]!r}
                assert place.split("&")[0] in database_url
                assert place.split("&")[0] in fresh_database_url
                assert not pathlib.Path(os.environ["QUART_FLEET_TEST_FOLDER"]).exists()
                async with database.connect() as connection:
                    assert await connection.fetchval("SELECT count(*) FROM users") == 0
            """,
            {"TEST_DATABASE_URL": url},
            ["-n", "2", "--dist", "each"],
        )
        left = asyncio.run(list_databases(url))

    assert outcome.returncode == 0, outcome.stdout
    assert left == ["postgres", "template0", "template1"]


@pytest.mark.slow
def test_a_given_server_that_cannot_be_read_is_told_by_its_variable(tmp_path: Path) -> None:
    source = "async def test_users(database): ..."

    outcome = run_pytest(tmp_path, source, {"TEST_DATABASE_URL": "mysql://root:hunter2@x/y"})

    assert outcome.returncode != 0
    assert "TEST_DATABASE_URL: " in outcome.stdout
    assert "hunter2" not in outcome.stdout


@pytest.mark.slow
def test_a_given_server_that_is_not_asked_need_not_be_there(tmp_path: Path) -> None:
    nowhere = {"TEST_DATABASE_URL": "postgresql://postgres@127.0.0.1:1/postgres"}

    outcome = run_pytest(tmp_path, "def test_nothing(): ...", nowhere)

    assert outcome.returncode == 0, outcome.stdout
    assert "Traceback" not in outcome.stdout


async def list_databases(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT datname FROM pg_database ORDER BY datname")
    finally:
        await connection.close()
    return [row["datname"] for row in rows]


@pytest.mark.slow
def test_a_killed_run_leaves_no_server(tmp_path: Path) -> None:
    process = start_pytest(
        tmp_path,
        """
        import os, pathlib, time
        async def test_users(database):
            async with database.connect() as connection:
                pid = await connection.fetchval(
                    "SELECT pg_read_file('postmaster.pid', 0, 20)"
                )
            text = pid.splitlines()[0] + " " + os.environ["QUART_FLEET_TEST_FOLDER"]
            pathlib.Path("written").write_text(text)
            pathlib.Path("written").rename("pid")
            time.sleep(60)
        """,
    )
    while not (tmp_path / "pid").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)

    process.send_signal(signal.SIGKILL)
    process.communicate()

    pid, data = (tmp_path / "pid").read_text().split()
    assert eventually_gone(int(pid))
    shutil.rmtree(data)


def start_pytest(
    folder: Path, source: str, environment: dict[str, str] | None = None, *arguments: str
) -> "subprocess.Popen[str]":
    """Start a run of its own, on one file."""
    for name in ("urls", "folders"):
        (folder / name).mkdir()
    (folder / "test_it.py").write_text(dedent(source))
    ours = ("QUART_FLEET_TEST_FOLDER", "PYTEST_")
    theirs = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    options = ["-q", "-c", str(ROOT / "pyproject.toml"), "-p", "no:cacheprovider"]
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, *arguments, "--rootdir", ".", "."],
        cwd=folder,
        env=theirs | (environment or {}),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def run_pytest(
    folder: Path,
    source: str,
    environment: dict[str, str] | None = None,
    arguments: list[str] | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run pytest to its end."""
    process = start_pytest(folder, source, environment, *(arguments or []))
    out, _ = process.communicate(timeout=120)
    return subprocess.CompletedProcess([], process.returncode, out, "")


def eventually_gone(pid: int) -> bool:
    """Wait up to a minute for a process to end."""
    for _ in range(600):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False
