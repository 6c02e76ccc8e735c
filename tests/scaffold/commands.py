"""Runs of the generator as a process, and pictures of a folder before and after."""

import os
import re
import subprocess
import sys
from pathlib import Path

from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONSAFEPATH": "1", "PYTHONPATH": str(REPOSITORY)}
"""The code under test is the repository's, whatever workspace the process runs in."""

Completed = subprocess.CompletedProcess[str]


def scaffold(folder: Path, *arguments: str) -> Completed:
    """Run `python -m scaffold` in a folder, without a terminal."""
    return run(folder, sys.executable, "-m", "scaffold", *arguments)


def run(folder: Path, *command: str) -> Completed:
    """Run any command in a folder with the repository's code."""
    return subprocess.run(
        command,
        cwd=folder,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def done(completed: Completed) -> str:
    """Return the output of a command that succeeded."""
    assert completed.returncode == 0, completed.stderr
    return completed.stdout


def refused(completed: Completed, exit_code: int = 1) -> str:
    """Return the message of a command that failed as it should: briefly."""
    assert completed.returncode == exit_code, completed.stdout + completed.stderr
    assert "Traceback" not in completed.stderr
    assert completed.stdout == ""
    return completed.stderr


def picture(root: Path) -> dict[str, tuple[int, bytes]]:
    """Return every file and folder below `root`, with its mode and content.

    The content of secrets is left out: it is random.
    """
    return {
        str(path.relative_to(root)): (
            path.stat().st_mode,
            path.read_bytes() if path.is_file() and not is_secret(path) else b"",
        )
        for path in sorted(root.rglob("*"))
        if "__pycache__" not in path.parts
    }


def find_unlocked(workspace: Path) -> set[str]:
    """Return what is installed in a workspace's .venv besides what its lock names."""
    freeze = (".venv/bin/python", "-m", "pip", "freeze", "--all", "--exclude-editable")
    output = done(run(workspace, "env", "--unset=PYTHONPATH", *freeze))
    installed = dict(re.findall(r"^(\S+?)(?:==| @ .*?-)(\d[^-\s]*)", output, re.MULTILINE))
    assert len(installed) > 50, output
    locked = re.findall(
        r"^([a-z0-9-]+==\S+)", (workspace / "requirements-dev.lock").read_text(), re.M
    )
    return {f"{canonicalize_name(name)}=={version}" for name, version in installed.items()} - {
        *locked
    }


def is_secret(path: Path) -> bool:
    return path.name in (".env", "undo.json") or ".secrets" in path.parts
