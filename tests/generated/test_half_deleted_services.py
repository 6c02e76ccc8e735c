"""A service of which something is gone says what, and what to do, in two lines."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workspace import GeneratedWorkspace

SERVICE = "services/product_service"
GONE = {
    f"{SERVICE}/infrastructure": "product_service.infrastructure",
    f"{SERVICE}/infrastructure/web": "product_service.infrastructure.web",
    f"{SERVICE}/application": "product_service.application",
    f"{SERVICE}/domain": "product_service.domain",
    f"{SERVICE}/domain/entities/product.py": "product_service.domain.entities.product",
    f"{SERVICE}/bootstrap.py": "product_service.bootstrap",
    "shared/models/product.py": "shared.models.product",
}
"""What is deleted, and the module that Python then misses."""


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a service, which tests only copy."""
    root = tmp_path_factory.mktemp("generated") / "fleet"
    return GeneratedWorkspace.make(root, "product-service 8082").root


@pytest.fixture
def workspace(generated: Path, tmp_path: Path) -> GeneratedWorkspace:
    """One to delete from."""
    return GeneratedWorkspace(shutil.copytree(generated, tmp_path / "fleet"))


def start(workspace: GeneratedWorkspace, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the service as its README says, where it cannot start."""
    return subprocess.run(
        [sys.executable, "app.py", *options],
        cwd=workspace.root / SERVICE,
        env=workspace.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def delete(path: Path) -> None:
    """Delete a file, or a folder with all that is in it."""
    shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize("path", GONE)
def test_what_is_gone_is_named(workspace: GeneratedWorkspace, path: str) -> None:
    delete(workspace.root / path)

    ended = start(workspace)

    missing, remedy = ended.stderr.splitlines()
    assert (ended.returncode, ended.stdout) == (1, "")
    assert missing.startswith(f"{GONE[path]} is not there, and {workspace.root / SERVICE}{os.sep}")
    assert missing.endswith(", imports it.")
    assert "version control" in remedy
    assert remedy.endswith("python -m scaffold NAME PORT --force")


def test_the_remedy_helps(workspace: GeneratedWorkspace) -> None:
    for path in ("infrastructure", "bootstrap.py"):
        delete(workspace.root / SERVICE / path)
    delete(workspace.root / "shared/models/product.py")

    workspace.python("-m", "scaffold", "product-service", "8082", "--force")

    assert start(workspace, "--help").returncode == 0


def test_a_module_of_somebody_else_is_left_to_python(workspace: GeneratedWorkspace) -> None:
    with (workspace.root / SERVICE / "bootstrap.py").open("a") as bootstrap:
        bootstrap.write("import nobody_wrote_this\n")

    ended = start(workspace)

    assert ended.returncode == 1
    assert ended.stderr.startswith("Traceback")
    assert ended.stderr.endswith("ModuleNotFoundError: No module named 'nobody_wrote_this'\n")
