"""A service of which files were deleted starts again once they are generated anew."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workspace import GeneratedWorkspace

SERVICE = "services/product_service"


def start(workspace: GeneratedWorkspace) -> subprocess.CompletedProcess[str]:
    """Import all of the service, which then prints how it is used."""
    return subprocess.run(
        [sys.executable, "app.py", "--help"],
        cwd=workspace.root / SERVICE,
        env=workspace.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.slow
def test_what_a_service_lacks_is_restored(tmp_path: Path) -> None:
    workspace = GeneratedWorkspace.make(tmp_path / "fleet", "product-service 8082")
    shutil.rmtree(workspace.root / SERVICE / "infrastructure")
    (workspace.root / SERVICE / "bootstrap.py").unlink()
    (workspace.root / "shared/models/product.py").unlink()
    assert start(workspace).returncode == 1

    workspace.python("-m", "scaffold", "apply", "--restore")

    assert start(workspace).returncode == 0
