"""Runs of the generator as a process, and pictures of a folder before and after."""

import os
import subprocess
import sys
from pathlib import Path

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
            path.read_bytes() if path.is_file() and not _is_secret(path) else b"",
        )
        for path in sorted(root.rglob("*"))
        if "__pycache__" not in path.parts
    }


def _is_secret(path: Path) -> bool:
    return path.name == ".env" or ".secrets" in path.parts
