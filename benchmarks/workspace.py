"""A generated workspace with a user service, on a PostgreSQL of the benchmark's own."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from benchmarks.environment import PYTHON, ROOT, ensure
from benchmarks.errors import BenchmarkError
from quart_fleet.conventions import without_foreign_variables
from quart_fleet.postgres import EmbeddedPostgres


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where everything runs: the generated code and the database."""

    root: Path
    server_url: str
    database_url: str

    @property
    def service(self) -> Path:
        """The folder of the generated user service."""
        return self.root / "services" / "user_service"

    def environment(self, *paths: Path, **settings: str) -> dict[str, str]:
        """Return what a process sees: these folders to import from, and the service's settings."""
        own = without_foreign_variables(os.environ)
        own.pop("PYTHONDONTWRITEBYTECODE", None)
        return own | {
            "DATABASE_URL": self.database_url,
            "PYTHONPATH": os.pathsep.join(map(str, paths or self.imports)),
            "SECRET_KEY": "of the benchmark",
            "DB_POOL_SIZE": "10",
            "LOG_LEVEL": "WARNING",  # no line for each request: the peers write none
            **settings,
        }

    @property
    def imports(self) -> tuple[Path, ...]:
        """The folders that a workspace's code, and then the framework, are imported from."""
        return self.root, self.root / "services", ROOT

    def create_database(self, name: str) -> "Workspace":
        """Return the same workspace on another database, made and migrated."""
        workspace = self.create_empty_database(name)
        environment = workspace.environment()
        run(PYTHON, "-m", "db_manager", "migrate", folder=self.root, environment=environment)
        return workspace

    def create_empty_database(self, name: str) -> "Workspace":
        """Return the same workspace on another database, without tables."""
        asyncio.run(execute(self.server_url, f'CREATE DATABASE "{name}"'))
        return Workspace(self.root, self.server_url, url_of(self.server_url, name))


@contextmanager
def opened_workspace() -> Iterator[Workspace]:
    """Generate a workspace, start a database for it, and remove both at the end."""
    ensure()
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    folder.chmod(0o755)
    try:
        root = folder / "fleet"
        _generate(root)
        with EmbeddedPostgres(folder / "pg", durable=False) as url:
            # The host alone: what follows is libpq's, and not all of the peers' drivers read it.
            server_url = url.partition("&")[0]
            yield Workspace(root, server_url, server_url).create_database("bench")
        EmbeddedPostgres(folder / "pg", durable=False).stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _generate(root: Path) -> None:
    plain = dict(os.environ)
    scaffold = (Path(sys.executable), "-m", "scaffold")
    run(*scaffold, "init", str(root), folder=ROOT, environment=plain)
    inside = plain | {"PYTHONPATH": str(root)}
    run(*scaffold, "user-service", "8081", folder=root, environment=inside)
    (root / "services" / "user_service" / ".env").unlink()


def run(*command: str | Path, folder: Path, environment: dict[str, str]) -> str:
    """Run a command to its end and return its output; raises BenchmarkError with its words."""
    done = subprocess.run(  # noqa: S603 - our own words
        [str(word) for word in command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BenchmarkError(f"{' '.join(map(str, command[1:]))} failed:\n{done.stderr}")
    return done.stdout


def url_of(server_url: str, database: str) -> str:
    """Return the address of another database of the same server."""
    head, _, query = server_url.partition("?")
    return f"{head.rsplit('/', 1)[0]}/{database}{'?' if query else ''}{query}"


async def execute(url: str, *statements: str) -> None:
    """Run statements, each on its own."""
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
