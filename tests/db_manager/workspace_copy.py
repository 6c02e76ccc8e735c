"""A copy of the workspace in which tests may write models and revisions."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent, indent

from tests.db_manager.outcome import Outcome
from tests.workspace import confirmed, python_path

ROOT = Path(__file__).parents[2]


class WorkspaceCopy:
    """Its db_manager works on its own models and revisions, in processes of their own."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        for package in ("db_manager", "shared"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / package, folder / package, ignore=ignored)
        shutil.copy(ROOT / "pyproject.toml", folder)
        self.versions = folder / "db_manager" / "migrations" / "versions"
        self.user_model = folder / "shared" / "models" / "user.py"

    def run(self, *arguments: str) -> Outcome:
        """Run `python -m db_manager` to its end; `--yes` is said by the database's name."""
        arguments += confirmed(self.url) * ("--yes" in arguments)
        process = self.start(*arguments)
        out, err = process.communicate(timeout=60)
        return Outcome(process.returncode, out, err)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `python -m db_manager` without a terminal."""
        return self.start_python("-m", "db_manager", *arguments)

    def start_python(self, *arguments: str) -> subprocess.Popen[str]:
        """Start Python in the copy, which imports its own packages."""
        environment = os.environ | {
            "DATABASE_URL": self.url,
            "PYTHONPATH": python_path(self.folder),
        }
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def add_revision(self, revision: str, follows: str, upgrade: str) -> None:
        """Write a revision by hand."""
        (self.versions / f"{revision}_by_hand.py").write_text(
            f'"""by hand"""\n\nfrom alembic import op\n\n'
            f'revision = "{revision}"\ndown_revision = "{follows}"\n\n\n'
            f"def upgrade() -> None:\n{indent(dedent(upgrade).strip(), '    ')}\n\n\n"
            "def downgrade() -> None:\n    pass\n"
        )

    def add_model(self, name: str, text: str) -> None:
        """Write a module of models."""
        (self.user_model.parent / f"{name}.py").write_text(f'"""By hand."""\n{text}')

    def set_in_project(self, line: str) -> None:
        """Add a line to `[tool.scaffold]`."""
        project = self.folder / "pyproject.toml"
        project.write_text(
            project.read_text().replace("[tool.scaffold]", f"[tool.scaffold]\n{line}")
        )

    def heads(self) -> list[str]:
        """Return the ids that `history` lists, the newest first."""
        return [each["id"] for each in json.loads(self.run("history", "--json").out)]

    def add_column_to_users(self, definition: str, needs: str = "") -> None:
        """Give the model of users a column, and its module what that needs."""
        docstring, code = self.user_model.read_text().split("\n\n", 1)
        self.user_model.write_text(f"{docstring}\n\n{needs}\n{code.rstrip()}\n    {definition}\n")
