"""One generated workspace for all tests of the contracts: generating takes longer than checking."""

import pytest

from tests.architecture.generated import DamageableWorkspace


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> DamageableWorkspace:
    """A user service and a product service; whoever damages them repairs them."""
    root = tmp_path_factory.mktemp("architecture") / "a workspace"
    return DamageableWorkspace.make(root, "user-service 8081", "product-service 8082")
