"""A workspace whose fleet was described for Kubernetes, as kustomize builds it."""

import shutil
from pathlib import Path

import pytest

from tests.deploy.documents import Documents, build
from tests.scaffold.commands import done, scaffold
from tests.workspace import GeneratedWorkspace

REGISTRY = "registry.example.com/shop"
OVERLAYS = ("dev", "production")


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with three services, one without a resource, and its manifests."""
    workspace = GeneratedWorkspace.make(
        tmp_path_factory.mktemp("deploy") / "shop",
        *("user-service 8081", "order-item-service 8082", "metrics-service 8083 --bare"),
        f"deploy k8s --registry {REGISTRY} --namespace store",
    )
    return workspace.root


@pytest.fixture(scope="session", params=OVERLAYS)
def documents(request: pytest.FixtureRequest, fleet: Path) -> Documents:
    """What each overlay comes to."""
    return build(fleet / "deploy/k8s/overlays" / str(request.param))


@pytest.fixture(scope="session")
def production(fleet: Path) -> Documents:
    """What production comes to."""
    return build(fleet / "deploy/k8s/overlays/production")


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a user service."""
    root = tmp_path_factory.mktemp("deployed") / "shop"
    done(scaffold(root.parent, "init", str(root)))
    done(scaffold(root, "user-service", "8081"))
    return root


@pytest.fixture
def workspace(generated: Path, tmp_path: Path) -> Path:
    """The same, of the test's own, without what the command does not read."""
    ignored = shutil.ignore_patterns("scaffold", "tests", "nix")
    return shutil.copytree(generated, tmp_path / "shop", ignore=ignored)
