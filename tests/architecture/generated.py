"""A generated workspace that tests may damage: every damage is undone."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.workspace import GeneratedWorkspace

USER = "services/user_service"


@dataclass(frozen=True, slots=True)
class DamageableWorkspace(GeneratedWorkspace):
    """A workspace of the real generator."""

    def scaffold(
        self, *arguments: str, folder: str = ".", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `python -m scaffold` in a folder of the workspace."""
        return subprocess.run(
            [sys.executable, "-m", "scaffold", *arguments],
            cwd=self.root / folder,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    @contextmanager
    def planted(self, file: str, source: str) -> Iterator[int]:
        """Put a source at the end of a file, new or not; gives the number of its first line."""
        path = self.root / file
        before = path.read_text() if path.exists() else None
        path.write_text((before or "") + source)
        try:
            yield len((before or "").splitlines()) + 1
        finally:
            if before is None:
                path.unlink()
            else:
                path.write_text(before)

    @contextmanager
    def replaced(self, file: str, old: str, new: str) -> Iterator[None]:
        """Have another text in the place of one that a file has once."""
        path = self.root / file
        before = path.read_text()
        assert before.count(old) == 1
        path.write_text(before.replace(old, new))
        try:
            yield
        finally:
            path.write_text(before)

    @contextmanager
    def without(self, name: str) -> Iterator[None]:
        """Take a file or a folder away."""
        path, aside = self.root / name, self.root.parent / "aside"
        path.rename(aside)
        try:
            yield
        finally:
            aside.rename(path)

    @contextmanager
    def copied(self, folder: str, copy: str) -> Iterator[None]:
        """Have a folder twice."""
        shutil.copytree(self.root / folder, self.root / copy)
        try:
            yield
        finally:
            shutil.rmtree(self.root / copy)
