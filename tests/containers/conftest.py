"""A workspace as its owner would put it into containers."""

from pathlib import Path

import pytest

from tests.workspace import GeneratedWorkspace

SECRETS = "SECRET_KEY=planted-secret\n"


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> GeneratedWorkspace:
    """A workspace with two services, which tests only read."""
    root = tmp_path_factory.mktemp("containers") / "shop"
    return GeneratedWorkspace.make(root, "user-service 8081", "metrics-service 8082 --bare")


@pytest.fixture(scope="session")
def lived_in(workspace: GeneratedWorkspace) -> Path:
    """The same, with the traces of work in it."""
    traces = {
        ".git/config": "[core]",
        ".venv/bin/python": "",
        ".venv-3.13/bin/python": "",
        ".postgres/data/base": "",
        "services/user_service/.venv/bin/python": "",
        "services/user_service/.env.local": SECRETS,
        "services/user_service/__pycache__/app.cpython-311.pyc": "",
        "services/user_service/.pytest_cache/README.md": "",
        "shared/.env": SECRETS,
        "shared/.secrets/owner_password": SECRETS,
        "notes.txt": "",
    }
    for name, text in traces.items():
        path = workspace.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return workspace.root
