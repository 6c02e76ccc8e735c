"""The demo's workspace: a temporary folder, made by `init`, its installation and its database."""

import asyncio
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex
from typing import Self
from urllib.parse import urlsplit

from quart_fleet.conventions import (
    FOREIGN_VARIABLES,
    TOOL_VARIABLES,
    without_foreign_variables,
)
from scaffold.demo.processes import Place, Processes
from scaffold.errors import ScaffoldError

SOURCE = Path(__file__).resolve().parents[2]
"""The folder from which `scaffold` is imported."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A temporary folder with a workspace and the logs of everything that ran in it."""

    root: Path
    processes: Processes

    @classmethod
    def make(cls, processes: Processes) -> Self:
        """Make the folder; the caller removes it."""
        root = Path(tempfile.mkdtemp(prefix="quart-fleet-demo-"))
        (root / "logs").mkdir()
        return cls(root, processes)

    @property
    def workspace(self) -> Path:
        """What `init` makes."""
        return self.root / "fleet"

    @property
    def logs(self) -> Path:
        """The folder of all logs."""
        return self.root / "logs"

    def log(self, name: str) -> Path:
        """Return the file for the output of a process of this name."""
        return self.logs / f"{name}.log"

    def run(self, name: str, command: Sequence[str], place: Place) -> None:
        """Run a command to its end; raises ScaffoldError."""
        self.processes.run(command, place, self.log(name))

    def remove(self) -> None:
        """Remove the folder; raises ScaffoldError."""
        shutil.rmtree(self.root, ignore_errors=True)
        if self.root.exists():
            raise ScaffoldError(f"{self.root} could not be removed: remove it by hand.")


@dataclass(frozen=True, slots=True)
class Installation:
    """An interpreter that can import the workspace, and the variables that its commands get."""

    sandbox: Sandbox
    python: str
    variables: Mapping[str, str]

    def place(self, folder: str = ".") -> Place:
        """Return a folder of the workspace as a place to run commands in."""
        return Place(self.sandbox.workspace / folder, environment(self.variables))

    def run(self, name: str, *arguments: str) -> None:
        """Run `python` with these arguments at the workspace's root; raises ScaffoldError."""
        self.sandbox.run(name, [self.python, *arguments], self.place())

    def command_line(self, script: str) -> str:
        """Return what starts a script of the workspace from a shell at its root."""
        path = self.variables.get("PYTHONPATH")
        variables = f"PYTHONPATH={shlex.quote(path)} " if path else ""
        return f"{variables}{shlex.quote(self.python)} {script}"

    def compiling(self) -> AbstractContextManager[None]:
        """Import, while the block runs, what all services import.

        Otherwise Python would compile the same fresh packages in each of them at once.
        """
        modules = "import db_manager.manager, quart_fleet.postgres, quart_fleet.server"
        log = self.sandbox.log("compilation")
        return self.sandbox.processes.alongside([self.python, "-c", modules], self.place(), log)

    def stop_embedded_server(self) -> None:
        """Stop the workspace's own PostgreSQL, where it runs."""
        place = self.place()
        subprocess.run(  # noqa: S603 - the workspace's own command
            [self.python, "-m", "db_manager", "postgres", "stop"],
            cwd=place.folder,
            env=dict(place.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            start_new_session=True,
            check=False,
        )

    def with_variables(self, more: Mapping[str, str]) -> Self:
        """Return one whose commands get these variables too."""
        return replace(self, variables={**self.variables, **more})


@dataclass(frozen=True, slots=True)
class TemporaryDatabase:
    """A new database on the caller's server, whose other databases are never touched."""

    server: str
    """The caller's DATABASE_URL, as asyncpg reads it."""
    name: str

    @classmethod
    def create(cls, url: str) -> Self:
        """Create it on the server that `url` names; raises ScaffoldError."""
        server = url.replace("postgresql+asyncpg://", "postgresql://", 1)
        database = cls(server, f"quart_fleet_demo_{token_hex(4)}")
        asyncio.run(_execute(server, f'CREATE DATABASE "{database.name}"'))
        return database

    @property
    def url(self) -> str:
        """The DATABASE_URL of the demo."""
        return urlsplit(self.server)._replace(path=f"/{self.name}").geturl()

    def drop(self) -> None:
        """Drop it and end all connections to it; raises ScaffoldError."""
        asyncio.run(_execute(self.server, f'DROP DATABASE "{self.name}" WITH (FORCE)'))


def make_workspace(sandbox: Sandbox) -> None:
    """Run `init` with the code that this demo belongs to; raises ScaffoldError."""
    place = Place(sandbox.root, environment({"PYTHONPATH": str(SOURCE)}))
    sandbox.run("init", [sys.executable, "-m", "scaffold", "init", str(sandbox.workspace)], place)


def install(sandbox: Sandbox) -> Installation:
    """Run `make install`, as the workspace's README says; raises ScaffoldError.

    The folder of this interpreter is put on PATH for the uv that it may hold: uv takes seconds,
    pip a minute.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    place = Place(sandbox.workspace, environment({"PATH": path}))
    sandbox.run("install", ["make", "install", f"PYTHON={sys.executable}"], place)
    # Empty means no: bytecode is written, as the folder is the demo's own.
    variables = {"PYTHONDONTWRITEBYTECODE": ""}
    return Installation(sandbox, str(sandbox.workspace / ".venv" / "bin" / "python"), variables)


def borrow_interpreter(sandbox: Sandbox) -> Installation:
    """Install nothing: let this interpreter import the workspace, then the framework."""
    folders = (sandbox.workspace, sandbox.workspace / "services", SOURCE)
    return Installation(sandbox, sys.executable, {"PYTHONPATH": os.pathsep.join(map(str, folders))})


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """Return the caller's variables without the foreign ones, and `more`."""
    foreign = (*FOREIGN_VARIABLES, *TOOL_VARIABLES)
    return without_foreign_variables(os.environ, foreign) | dict(more)


async def _execute(url: str, statement: str) -> None:
    import asyncpg  # noqa: PLC0415 - only where DATABASE_URL is set

    try:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise ScaffoldError(
            f"DATABASE_URL: {statement.partition(' WITH')[0]}: {error or type(error).__name__}\n"
            "The demo creates a database of its own on that server; without DATABASE_URL it starts "
            "a server of its own."
        ) from None
