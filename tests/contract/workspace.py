"""A workspace with a user service, as the generator makes it, and copies of it."""

import compileall
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.workspace import python_path

_GENERATED_PORT = "8081"
_RUNNING_PARTS = ("shared", "db_manager", "services")
"""What a service of the workspace runs on, besides the framework."""
_FRAMEWORK = Path(__file__).parents[2]


def generate(folder: Path) -> Path:
    """Make the workspace in `folder` and return it."""
    _run_scaffold(folder.parent, "init", str(folder))
    _run_scaffold(folder, "user-service", _GENERATED_PORT)
    for part in _RUNNING_PARTS:
        compileall.compile_dir(folder / part, quiet=2)
    return folder


def add_service(workspace: Path, folder: Path, name: str, port: int) -> Path:
    """Copy the workspace with all of it, and add a service that has no resource."""
    shutil.copytree(workspace, folder)
    _run_scaffold(folder, name, str(port), "--bare")
    return folder


def _run_scaffold(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "scaffold", *arguments]
    environment = os.environ | {"PYTHONPATH": python_path(folder)}
    done = subprocess.run(
        command, check=False, cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def copy(workspace: Path, folder: Path) -> Path:
    """Copy what a service runs on, with the bytecode that is still valid there.

    The chassis too, so that a test may damage it.
    """
    shutil.copytree(_FRAMEWORK / "quart_fleet", folder / "quart_fleet")
    shutil.copy(workspace / "pyproject.toml", folder)
    for part in _RUNNING_PARTS:
        shutil.copytree(workspace / part, folder / part)
    return folder
