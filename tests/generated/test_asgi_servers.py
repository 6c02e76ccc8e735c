"""ASGI servers run a service by its name, from the folders that its README says."""

import re
import subprocess
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.ports import reserve_port
from tests.workspace import GeneratedWorkspace

NOWHERE = "postgresql://app@127.0.0.1:1/app"
SERVICE = "services/user_service"
TIMEOUT = 60.0
"""Seconds that a test waits for a service."""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> GeneratedWorkspace:
    """A workspace with a service."""
    root = tmp_path_factory.mktemp("served") / "fleet"
    return GeneratedWorkspace.make(root, "user-service 8081")


def answers(port: int) -> bool:
    """Whether the service says that it is healthy."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/api/v1/health") as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("folder", [".", "services", SERVICE])
@pytest.mark.parametrize("server", ["uvicorn", "hypercorn"])
def test_the_command_of_the_readme_serves(
    server: str, folder: str, workspace: GeneratedWorkspace, tmp_path: Path
) -> None:
    port = reserve_port()
    readme = (workspace.root / SERVICE / "README.md").read_text()
    [command] = re.findall(rf"^    ({server} .+)$", readme, re.MULTILINE)

    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            ["sh", "-c", f"exec {command.replace('8081', str(port))}"],
            cwd=workspace.root / folder,
            env=workspace.environment | {"DATABASE_URL": NOWHERE},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        end = time.monotonic() + TIMEOUT
        while not answers(port):
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < end
            time.sleep(0.05)
    finally:
        process.terminate()
        process.wait(TIMEOUT)
