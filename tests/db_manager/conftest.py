"""The commands of the database manager on an empty database, and an embedded server."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from db_manager.cli import main
from db_manager.postgres import EmbeddedPostgres
from tests.db_manager.embedded_owner import await_that, is_gone
from tests.db_manager.outcome import Outcome
from tests.db_manager.workspace_copy import WorkspaceCopy

Run = Callable[..., Outcome]


@pytest.fixture
def run(
    fresh_database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Runs a command in this process, on an empty database, without a terminal."""
    monkeypatch.setenv("DATABASE_URL", fresh_database_url)

    def run_command(*arguments: str) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main(arguments)
        printed = capsys.readouterr()
        return Outcome(int(exit_.value.code or 0), printed.out, printed.err)

    return run_command


@pytest.fixture
def copy(tmp_path: Path, fresh_database_url: str) -> WorkspaceCopy:
    """A workspace to write in, on an empty database."""
    return WorkspaceCopy(tmp_path, fresh_database_url)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where an embedded server keeps its data."""
    return tmp_path / "work space" / ".postgres"


@pytest.fixture
def postgres(folder: Path) -> Iterator[EmbeddedPostgres]:
    """A server of the test's own; it must end with the test."""
    embedded = EmbeddedPostgres(folder, durable=False)
    yield embedded
    embedded.stop()
    await_that(lambda: is_gone(folder))
