"""`python -m db_manager wait`: until another process has migrated, as a new pod does."""

import pytest

from db_manager.connection import open_target
from db_manager.manager import DatabaseManager
from quart_fleet.settings import DatabaseSettings
from tests.db_manager.conftest import Run
from tests.db_manager.outcome import USERS, execute


def test_a_migrated_database_is_not_waited_for(run: Run) -> None:
    run("migrate")

    outcome = run("wait", "--timeout", "0")

    assert (outcome.code, outcome.err) == (0, "")


def test_a_wait_that_times_out_says_what_is_missing(run: Run) -> None:
    outcome = run("wait", "--timeout", "0")

    assert outcome.code == 1
    assert outcome.err == (
        "Error: It was not migrated in time. "
        "The database is behind by 1 revision. Run: python -m db_manager migrate\n"
    )


def test_a_database_of_newer_code_will_do(run: Run, fresh_database_url: str) -> None:
    run("migrate")
    execute(fresh_database_url, "UPDATE alembic_version SET version_num = 'of_tomorrow'")

    assert run("status").code == 1
    assert run("wait", "--timeout", "0").code == 0


async def test_waiting_ends_when_another_process_has_migrated(
    fresh_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = DatabaseSettings.model_validate({"DATABASE_URL": fresh_database_url})
    async with open_target(config) as target:
        manager = DatabaseManager(target, say=lambda _line: None)

        async def migrate_meanwhile(_seconds: float) -> None:
            await DatabaseManager(target, say=lambda _line: None).migrate()

        monkeypatch.setattr("db_manager.manager.asyncio.sleep", migrate_meanwhile)
        await manager.wait(seconds=60)

        assert (await manager.status()).current == (USERS,)
