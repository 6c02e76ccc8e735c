"""The temporary workspace: made by `init`, installed by `make install`, removed at the end."""

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from scaffold.demo.errors import DemoError
from scaffold.demo.processes import Place, Processes

SOURCE = Path(__file__).resolve().parents[2]
"""What the framework that runs the demo is imported from."""

_FOREIGN = frozenset(
    [
        "CORS_ORIGINS",
        "DATABASE_URL",
        "DB_ECHO",
        "DB_POOL_SIZE",
        "DEBUG",
        "HOST",
        "MAX_CONTENT_LENGTH",
        "PORT",
        "SECRET_KEY",
        "SERVICE_NAME",
        "SERVICE_PORT",
        "SERVICE_REGISTRY_URL",
        "TESTING",
        "MAKEFLAGS",
        "MAKELEVEL",
        "MFLAGS",
        "PYTHONHOME",
        "PYTHONPATH",
        "VIRTUAL_ENV",
    ]
)
"""Variables of the caller's shell that would reach into the workspace and change what it does."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A folder with a workspace and the logs of all that ran in it."""

    root: Path
    processes: Processes

    @classmethod
    def make(cls, processes: Processes) -> Self:
        """Make the folder; whoever makes it removes it."""
        root = Path(tempfile.mkdtemp(prefix="quart-fleet-demo-"))
        (root / "logs").mkdir()
        return cls(root, processes)

    @property
    def workspace(self) -> Path:
        """What `init` makes."""
        return self.root / "fleet"

    def log(self, name: str) -> Path:
        """Return the file that a process of this name writes to."""
        return self.root / "logs" / f"{name}.log"

    def run(self, name: str, command: Sequence[str], place: Place) -> None:
        """Run a command to its end; raises DemoError."""
        self.processes.run(command, place, self.log(name))

    def remove(self) -> None:
        """Remove all of it; raises DemoError."""
        shutil.rmtree(self.root, ignore_errors=True)
        if self.root.exists():
            raise DemoError(f"{self.root} could not be removed: remove it by hand.")


@dataclass(frozen=True, slots=True)
class Installation:
    """An interpreter that knows the workspace, and the variables that commands get."""

    sandbox: Sandbox
    python: str
    variables: Mapping[str, str]

    def place(self, folder: str = ".") -> Place:
        """Return a folder of the workspace as a place to run commands in."""
        return Place(self.sandbox.workspace / folder, environment(self.variables))

    def run(self, name: str, *arguments: str) -> None:
        """Run `python` with these arguments at the workspace's root; raises DemoError."""
        self.sandbox.run(name, [self.python, *arguments], self.place())

    def warming_up(self) -> AbstractContextManager[None]:
        """Import, while the block runs, what all services import.

        Otherwise Python would compile the same fresh packages in each of them at once.
        """
        modules = "import db_manager.manager, quart_fleet.postgres, quart_fleet.server"
        log = self.sandbox.log("warming-up")
        return self.sandbox.processes.alongside([self.python, "-c", modules], self.place(), log)

    def with_variables(self, more: Mapping[str, str]) -> Self:
        """Return one whose commands get these variables too."""
        return replace(self, variables={**self.variables, **more})


def make_workspace(sandbox: Sandbox) -> None:
    """Run `init` with the code that this very demo belongs to."""
    place = Place(sandbox.root, environment({"PYTHONPATH": str(SOURCE)}))
    sandbox.run("init", [sys.executable, "-m", "scaffold", "init", str(sandbox.workspace)], place)


def install(sandbox: Sandbox) -> Installation:
    """Install as the workspace's README says.

    The uv that this interpreter may have is put on PATH: it takes seconds, pip a minute.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    place = Place(sandbox.workspace, environment({"PATH": path}))
    sandbox.run("install", ["make", "install", f"PYTHON={sys.executable}"], place)
    # Empty means no: what is compiled is kept, in a folder that nobody else will see.
    variables = {"PYTHONDONTWRITEBYTECODE": ""}
    return Installation(sandbox, str(sandbox.workspace / ".venv" / "bin" / "python"), variables)


def borrow_interpreter(sandbox: Sandbox) -> Installation:
    """Install nothing: show the workspace, then the framework, to the interpreter of the demo."""
    folders = (sandbox.workspace, sandbox.workspace / "services", SOURCE)
    return Installation(sandbox, sys.executable, {"PYTHONPATH": os.pathsep.join(map(str, folders))})


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """Return the caller's variables, without those that would change the demo, and some more."""
    kept = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    return kept | dict(more)
