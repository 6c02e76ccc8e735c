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


@pytest.fixture(scope="session")
def furnished(fresh: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a user service on port 8081, that tests only read."""
    folder = tmp_path_factory.mktemp("workspaces") / "fleet"
    _copy_what_is_read(fresh, folder)
    done(scaffold(folder, "user-service", "8081"))
    return folder


@pytest.fixture
def workspace(fresh: Path, tmp_path: Path) -> Path:
    """An empty workspace of the test's own."""
    return _copy_what_is_read(fresh, tmp_path / "fleet")


@pytest.fixture
def with_user_service(furnished: Path, tmp_path: Path) -> Path:
    """A workspace of the test's own that has a user service on port 8081."""
    return _copy_what_is_read(furnished, tmp_path / "fleet")


def _copy_what_is_read(workspace: Path, folder: Path) -> Path:
    """Copy the parts of a workspace that a generation reads."""
    for part in ("db_manager/migrations", "shared", "services", ".secrets", ".scaffold"):
        if (workspace / part).exists():
            shutil.copytree(workspace / part, folder / part)
    for name in ("pyproject.toml", "fleet.toml", "compose.yaml", "db_manager/compose.yaml"):
        shutil.copy(workspace / name, folder / name)
    return folder
