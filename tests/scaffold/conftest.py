"""Workspaces, as `init` makes them."""

import shutil
from pathlib import Path

import pytest

from tests.scaffold.commands import done, scaffold


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that tests only read."""
    folder = tmp_path_factory.mktemp("workspaces") / "fleet"
    done(scaffold(folder.parent, "init", str(folder)))
    return folder


@pytest.fixture
def workspace(fresh: Path, tmp_path: Path) -> Path:
    """A workspace of the test's own, without the parts that no generation reads."""
    folder = tmp_path / "fleet"
    for part in ("db_manager/migrations", "shared/models", "services"):
        shutil.copytree(fresh / part, folder / part)
    shutil.copy(fresh / "pyproject.toml", folder)
    return folder


@pytest.fixture
def with_user_service(workspace: Path) -> Path:
    """A workspace that has a user service on port 8081."""
    done(scaffold(workspace, "user-service", "8081"))
    return workspace
