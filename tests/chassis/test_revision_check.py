"""What a service says at its start about its database."""

import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from quart_fleet.database._engine import Database
from quart_fleet.database._revision_check import RevisionCheck
from quart_fleet.postgres import EmbeddedPostgres
from quart_fleet.revisions import History
from quart_fleet.settings import DatabaseSettings
from quart_fleet.testing import NewDatabase
from quart_fleet.workspace import Workspace
from tests.db_manager.outcome import USERS

WORKSPACE = Workspace.find(Path(__file__))


async def test_a_migrated_database_is_not_mentioned(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await RevisionCheck(WORKSPACE)(database)

    assert caplog.records == []


async def test_a_database_behind_is_warned_of_and_left_alone(
    fresh_database_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", fresh_database_url)
    async with opened(fresh_database_url) as database:
        await RevisionCheck(WORKSPACE)(database)
        async with database.connect() as connection:
            tables = await connection.fetchval(
                "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
            )

    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert f"is at no revision, the newest revision is {USERS}." in record.getMessage()
    assert record.getMessage().endswith("Run: python -m db_manager migrate")
    assert tables == 0


@pytest.mark.parametrize("current", ["0123456789ab", "0123456789ab {known}"])
async def test_a_database_ahead_is_warned_of_as_such(
    new_database: NewDatabase, caplog: pytest.LogCaptureFixture, tmp_path: Path, current: str
) -> None:
    """Newer code has migrated it; with two branches of revisions, one may still be known."""
    (tmp_path / "versions").mkdir()
    for revision, before in (("aaa", None), ("bbb", "aaa")):
        text = f"revision = {revision!r}\ndown_revision = {before!r}"
        (tmp_path / "versions" / f"{revision}.py").write_text(text)
    ids = sorted(current.format(known="aaa").split())
    async with new_database() as url, opened(url) as database:
        async with database.connect() as connection:
            await connection.execute("CREATE TABLE alembic_version (version_num text)")
            await connection.executemany(
                "INSERT INTO alembic_version VALUES ($1)", [(each,) for each in ids]
            )
        await RevisionCheck(replace(WORKSPACE, migrations=str(tmp_path)))(database)

    [message] = caplog.messages
    assert message.startswith("The database is ahead of the code: ")
    assert message.endswith(
        f" is at {', '.join(ids)}, and the code has no revision 0123456789ab; "
        "its newest is bbb. Update the code."
    )


async def test_the_embedded_database_needs_no_url(
    fresh_database_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setattr(EmbeddedPostgres, "url", lambda _self: fresh_database_url)
    async with opened(fresh_database_url) as database:
        await RevisionCheck(WORKSPACE)(database)

    assert caplog.messages[0].endswith("Run: python -m db_manager migrate")


async def test_a_database_that_only_the_service_knows_is_to_be_named(
    fresh_database_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    async with opened(fresh_database_url) as database:
        await RevisionCheck(WORKSPACE)(database)

    assert caplog.messages[0].endswith("Run: DATABASE_URL=… python -m db_manager migrate")


async def test_an_unreachable_database_is_named_and_nothing_raised(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with opened("postgresql://app:s3cret@127.0.0.1:1/app") as database:
        await RevisionCheck(WORKSPACE)(database)

    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        "PostgreSQL cannot be reached: app at 127.0.0.1:1 (Connection refused). "
        "Start it or correct DATABASE_URL. Requests that need it answer 503 until then."
    )


async def test_a_revision_that_cannot_be_read_is_named(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    versions = tmp_path / "versions"
    versions.mkdir()
    (versions / "torn.py").write_text("revision = (")

    await RevisionCheck(replace(WORKSPACE, migrations=str(tmp_path)))(database)

    assert caplog.messages == [
        f"The revisions do not hold together. Syntax error in {versions}/torn.py: line 1. "
        "Python says: '(' was never closed."
    ]


async def test_an_error_of_the_check_itself_is_raised(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(History, "read", lambda _versions: None)

    with pytest.raises(AttributeError):
        await RevisionCheck(WORKSPACE)(database)


def test_a_service_that_has_a_database_loads_nothing_of_the_embedded_one() -> None:
    code = """
import pathlib, sys
from quart_fleet.postgres import EmbeddedPostgres
EmbeddedPostgres(pathlib.Path(".postgres"))
print(*(name for name in sys.modules if name.startswith("quart_fleet.postgres.")))
"""
    loaded = subprocess.run(
        (sys.executable, "-c", code), capture_output=True, text=True, check=True
    )

    assert loaded.stdout.split() == [
        "quart_fleet.postgres._embedded",
        "quart_fleet.postgres._errors",
    ]


def opened(url: str) -> Database:
    """Make a service's database at `url`."""
    return Database(DatabaseSettings.model_validate({"DATABASE_URL": url}))
