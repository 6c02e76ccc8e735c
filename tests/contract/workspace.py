"""A workspace with a user service, as the generator makes it, and copies with a defect."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_GENERATED_PORT = "8081"


def generate(folder: Path) -> Path:
    """Make the workspace in `folder` and return it."""
    _run_scaffold(folder.parent, "init", str(folder))
    _run_scaffold(folder, "user-service", _GENERATED_PORT)
    return folder


def _run_scaffold(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "scaffold", *arguments]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    done = subprocess.run(
        command, check=False, cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@dataclass(frozen=True, slots=True)
class Defect:
    """A textual replacement in one file of a generated workspace.

    Args:
        flaw: what is wrong with the service then.
        route: the row of the contract's table that it violates.
        file: below the workspace.
    """

    flaw: str
    route: str
    file: str
    sound: str
    damaged: str

    def __str__(self) -> str:
        return self.flaw.replace(" ", "-")

    def plant(self, workspace: Path) -> None:
        """Damage the workspace; raises ValueError unless the sound text is there exactly once."""
        path = workspace / self.file
        source = path.read_text()
        found = source.count(self.sound)
        if found != 1:
            raise ValueError(f"{self.sound!r} is {found} times in {self.file}")
        path.write_text(source.replace(self.sound, self.damaged))


def copy(workspace: Path, folder: Path) -> Path:
    """Copy the workspace to `folder`, with the bytecode that is still valid there."""
    return shutil.copytree(workspace, folder, ignore=shutil.ignore_patterns(".git"))
