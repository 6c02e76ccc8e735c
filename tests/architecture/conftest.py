"""One generated workspace for all tests of the contracts: generating takes longer than checking."""

from pathlib import Path

import pytest

from tests.architecture.generated import GeneratedWorkspace

_IS_FRAMEWORK = (Path(__file__).parents[1] / "scaffold").is_dir()

collect_ignore = (
    [] if _IS_FRAMEWORK else ["test_planted_violations.py", "test_unreadable_imports.py"]
)
"""A workspace proves that it keeps the contracts; only the framework proves the check itself."""


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> GeneratedWorkspace:
    """A user service and a product service; whoever damages them repairs them."""
    root = tmp_path_factory.mktemp("architecture") / "a workspace"
    return GeneratedWorkspace.make(root, "user-service 8081", "product-service 8082")
