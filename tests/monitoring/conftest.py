"""A workspace whose fleet is watched."""

from pathlib import Path

import pytest

from tests.workspace import GeneratedWorkspace

SERVICES = ("user-service", "order-item-service")


@pytest.fixture(scope="session")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with two services, its manifests and what watches them, which tests only read."""
    return GeneratedWorkspace.make(
        tmp_path_factory.mktemp("monitoring") / "shop",
        *("user-service 8081", "order-item-service 8082"),
        *("deploy monitoring --namespace observers", "deploy k8s --namespace store"),
    ).root


@pytest.fixture(scope="session")
def monitoring(watched: Path) -> Path:
    """The folder of all that."""
    return watched / "deploy/monitoring"
