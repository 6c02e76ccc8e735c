"""Generated workspaces for all tests of the contracts: generating takes longer than checking."""

import shutil

import pytest

from tests.architecture.generated import DamageableWorkspace
from tests.workspace import FRAMEWORK

_PACKAGES = ("quart_fleet", "db_manager", "scaffold")


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> DamageableWorkspace:
    """A user service and a product service; a test that damages them repairs them."""
    root = tmp_path_factory.mktemp("architecture") / "a workspace"
    return DamageableWorkspace.make(root, "user-service 8081", "product-service 8082")


@pytest.fixture(scope="session")
def repository(
    workspace: DamageableWorkspace, tmp_path_factory: pytest.TempPathFactory
) -> DamageableWorkspace:
    """The same with the framework's own source, as in the framework's repository."""
    root = tmp_path_factory.mktemp("repository") / "a clone"
    shutil.copytree(workspace.root, root)
    shutil.copy(FRAMEWORK / "pyproject.toml", root)
    for package in _PACKAGES:
        leave = shutil.ignore_patterns("__pycache__", "migrations")
        shutil.copytree(FRAMEWORK / package, root / package, ignore=leave, dirs_exist_ok=True)
    for copy in root.glob("services/*/openapi.json"):
        copy.unlink()  # of the workspace's version, where the framework's project has its own
    return DamageableWorkspace(root)
