"""The commands of the database manager on an empty database, and an embedded server."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from db_manager.cli import main
from tests.db_manager.outcome import Outcome
from tests.db_manager.workspace_copy import WorkspaceCopy
from tests.workspace import confirmed

Run = Callable[..., Outcome]


@pytest.fixture
def run(
    fresh_database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Runs a command in this process, on an empty database, without a terminal; `--yes` is said by its name."""
    monkeypatch.setenv("DATABASE_URL", fresh_database_url)

    def run_command(*arguments: str) -> Outcome:
        arguments += confirmed(os.environ["DATABASE_URL"]) * ("--yes" in arguments)
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
