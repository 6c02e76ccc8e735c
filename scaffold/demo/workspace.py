"""The demo's workspace: a temporary folder, made by `init`, its installation and its database."""

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
from scaffold.errors import ScaffoldError
from scaffold.supervisor.processes import Place, Processes

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
    """The caller's DATABASE_URL, in libpq's words."""
    name: str

    @classmethod
    def create(cls, url: str) -> Self:
        """Create it on the server that `url` names; raises ScaffoldError."""
        name = f"quart_fleet_demo_{token_hex(4)}"
        return cls(_execute(url, f'CREATE DATABASE "{name}"'), name)

    @property
    def url(self) -> str:
        """The DATABASE_URL of the demo."""
        server = urlsplit(self.server)
        return f"postgresql://{server.netloc}/{self.name}?{server.query}"

    def drop(self) -> None:
        """Drop it and end all connections to it; raises ScaffoldError."""
        _execute(self.server, f'DROP DATABASE "{self.name}" WITH (FORCE)')


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


_RUN_STATEMENT = """
import asyncio, sys
import asyncpg
from quart_fleet.database.explanations import CONNECTION_ERRORS, explain
from quart_fleet.database_url import connect_arguments
from quart_fleet.errors import ConfigurationError
from quart_fleet.settings import DatabaseSettings

async def run(url):
    connection = await asyncpg.connect(**{"timeout": 10, **connect_arguments(url)})
    try:
        await connection.execute(sys.argv[1])
    finally:
        await connection.close()

try:
    url = DatabaseSettings.load().database_url
    asyncio.run(run(url))
except ConfigurationError as error:
    sys.exit(error.message)
except CONNECTION_ERRORS as error:
    sys.exit(explain(error, url).message)
print(url)
"""
"""Reads DATABASE_URL as services do. Run in a process of its own: scaffold imports no settings."""


def _execute(url: str, statement: str) -> str:
    """Run a statement on the server of a DATABASE_URL; return that URL in libpq's words."""
    path = os.pathsep.join(filter(None, (str(SOURCE), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-c", _RUN_STATEMENT, statement],
        env=os.environ | {"DATABASE_URL": url, "PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        reason = done.stderr.strip().removeprefix("DATABASE_URL: ")
        raise ScaffoldError(
            f"DATABASE_URL: {statement.partition(' WITH')[0]}: {reason}\n"
            "The demo creates a database of its own on that server; without DATABASE_URL it starts "
            "a server of its own."
        )
    return done.stdout.strip()
