"""A workspace and a service of any name write YAML that Compose and kustomize read as meant."""

from pathlib import Path

import pytest

from tests.containers.test_compose import compose
from tests.deploy.documents import build, name_of
from tests.deploy.schemas import find_fault
from tests.workspace import GeneratedWorkspace

slow = pytest.mark.slow
FOLDERS = [
    ("2024", "2024"),
    pytest.param("true", "true", marks=slow),
    pytest.param("null", "null", marks=slow),
    pytest.param("1e3", "1e3", marks=slow),
    pytest.param("0x1F", "0x1f", marks=slow),
    pytest.param("2024-01-01", "2024-01-01", marks=slow),
    pytest.param("my_fleet", "my-fleet", marks=slow),
    pytest.param("Ünïcode", "unicode", marks=slow),
    pytest.param("ÄÖ 東京", "ao", marks=slow),
    pytest.param("東京", "fleet", marks=slow),
    pytest.param("-Dash", "dash", marks=slow),
    pytest.param("ca$h", "ca-h", marks=slow),
    pytest.param("a" * 90, "a" * 90, marks=slow),
]


@pytest.mark.slow
@pytest.mark.parametrize(("folder", "name"), FOLDERS)
def test_a_workspace_in_any_folder_is_read(folder: str, name: str, tmp_path: Path) -> None:
    workspace = GeneratedWorkspace.make(
        tmp_path / folder, "no 8081 --bare", "deploy k8s --tag 1e3 --registry 10.0.0.1:5000/2024"
    )
    namespace = name[:59]

    fleet = compose(workspace.root)
    documents = build(workspace.root / "deploy/k8s/overlays/dev")

    assert fleet["name"] == name
    assert compose(workspace.root / "services/no")["name"] == name
    assert compose(workspace.root / "db_manager")["name"] == name
    assert {"no", "postgres", "migrate"} <= fleet["services"].keys()
    assert [fault for each in documents if (fault := find_fault(each))] == []
    assert {"Deployment/no", "Job/migrate-1e3", f"Namespace/{namespace}-dev"} <= {
        name_of(each) for each in documents
    }
    labels = [
        each["metadata"].get("labels", {}) for each in documents if each["kind"] == "Namespace"
    ]
    assert [each["app.kubernetes.io/part-of"] for each in labels] == [namespace]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["yes", "on", "null", "y"])
def test_a_service_of_any_name_is_read(name: str, tmp_path: Path) -> None:
    workspace = GeneratedWorkspace.make(tmp_path / "shop", f"{name} 8081 --bare", "deploy k8s")

    assert name in compose(workspace.root)["services"]
    documents = build(workspace.root / "deploy/k8s/overlays/production")
    assert f"Deployment/{name}" in {name_of(each) for each in documents}
