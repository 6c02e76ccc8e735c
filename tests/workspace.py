"""A workspace that the real generator made, and commands run in it as its owner would."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit
from urllib.request import urlopen

import httpx

from quart_fleet.conventions import without_foreign_variables
from tests.audit import audit_lines
from tests.ports import reserve_port

FRAMEWORK = Path(__file__).parents[1]

CHECKS = (
    *("ruff check .", "ruff format --check .", "scaffold contracts"),
    "mypy services shared db_manager/migrations",
)
"""What a workspace passes before its own tests, modules of Python with their arguments."""

Serve = Callable[[str], httpx.Client]
"""Runs a service, by its package, until the module's tests end; returns a client of its API."""


@dataclass(frozen=True, slots=True)
class GeneratedWorkspace:
    """A folder that `scaffold init` made; its code goes before the framework's own."""

    root: Path

    @classmethod
    def make(cls, root: Path, *services: str) -> Self:
        """Make one with `services`, each written as on the command line."""
        run([sys.executable, "-m", "scaffold", "init", str(root)], FRAMEWORK, dict(os.environ))
        workspace = cls(root)
        for service in services:
            workspace.python("-m", "scaffold", *service.split())
        return workspace

    @classmethod
    def describe(cls, root: Path, fleet: str) -> Self:
        """Make one of which `fleet` is the fleet.toml."""
        workspace = cls.make(root)
        (root / "fleet.toml").write_text(fleet)
        workspace.python("-m", "scaffold", "apply")
        return workspace

    def check(self) -> None:
        """Hold its code to the linter, the formatter, the import contracts and the type checker."""
        for check in CHECKS:
            self.python("-m", *check.split())

    @property
    def environment(self) -> dict[str, str]:
        """What a process in this workspace sees."""
        own = without_foreign_variables(os.environ)
        path = [str(Path(sys.executable).parent), own.get("PATH", "")]
        return own | {
            "PATH": os.pathsep.join(path),
            "PYTHONPATH": python_path(self.root),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def python(self, *arguments: str, **settings: str) -> str:
        """Run Python here and return what it printed; a failure fails the test, with its words.

        With `--yes`, the database's name is given as well.
        """
        if "--yes" in arguments:
            arguments += confirmed((self.environment | settings).get("DATABASE_URL"))
        return run([sys.executable, *arguments], self.root, self.environment | settings)


def confirmed(url: str | None) -> tuple[str, ...]:
    """Return what agrees to the loss of rows on a server that is given, none on the embedded one."""
    return ("--confirm", urlsplit(url).path.lstrip("/")) if url else ()


def python_path(workspace: Path) -> str:
    """Return the PYTHONPATH of a workspace: its own code, then the framework's, installed or not."""
    return os.pathsep.join(map(str, (workspace, workspace / "services", FRAMEWORK)))


def run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    """Run a command to its end and return its standard output."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    words = f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, words
    return done.stdout


@contextmanager
def booted(
    workspace: GeneratedWorkspace, package: str, database_url: str, **settings: str
) -> Iterator[str]:
    """Run a service as its README says; gives the address of its API."""
    port = settings.get("SERVICE_PORT") or reserve_port()
    process = subprocess.Popen(
        [sys.executable, "app.py"],
        cwd=workspace.root / "services" / package,
        env=workspace.environment
        | {"DATABASE_URL": database_url, "SERVICE_PORT": str(port), "LOG_FORMAT": "json"}
        | settings,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        address = f"http://127.0.0.1:{port}/api/v1"
        wait_for(f"{address}/health", process)
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=60)
    assert process.returncode == 0, log
    assert "Traceback" not in log, log
    audit_lines(log)


@contextmanager
def all_booted(workspace: GeneratedWorkspace, database_url: str) -> Iterator[dict[str, str]]:
    """Run every service, each told where the others are; gives the addresses of their APIs."""
    packages = [path.parent.name for path in sorted(workspace.root.glob("services/*/app.py"))]
    ports = {package: str(reserve_port()) for package in packages}
    urls = {f"{package.upper()}_URL": f"http://127.0.0.1:{ports[package]}" for package in packages}
    with ExitStack() as stack:
        yield {
            package: stack.enter_context(
                booted(workspace, package, database_url, SERVICE_PORT=port, **urls)
            )
            for package, port in ports.items()
        }


def wait_for(address: str, process: subprocess.Popen[str]) -> None:
    """Wait until a started service answers, a minute at most."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, process.stderr and process.stderr.read()
        try:
            urlopen(address, timeout=5).close()
        except OSError:  # nothing listens yet, or the service is still starting
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"{address} did not answer within a minute")
