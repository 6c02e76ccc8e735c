"""A generated service as a process of its own, from its first answer to its end."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.audit import audit_log
from tests.ports import reserve_port
from tests.workspace import python_path

from .wire import ANSWERED, TIMEOUT, exchange, spell

_POLL_INTERVAL = 0.02
_PRODUCTION = {"DEBUG": "False", "SECRET_KEY": "a secret of the tests", "DB_POOL_SIZE": "5"}
_PRODUCTION |= {"LOG_FORMAT": "json"}  # which the end of each service is audited for
"""The pool is small, so that many services share the run's server and requests wait for it."""
_MODE = {name: os.environ[name] for name in ("QUART_FLEET_PLAIN",) if name in os.environ}
"""Whether Quart's own HTTP classes serve: the run of this suite says it for every service."""
_START = os.environ.get("CONTRACT_START", "alone")
"""How services start that get no options: `alone`, by their app.py, or `together`, as one of several
in a process may."""


@dataclass(frozen=True, slots=True)
class RunningService:
    """Where a service answers, and what it says of itself."""

    port: int
    log: Path
    pid: int

    def find_in_log(self, words: str) -> str | None:
        """Return the first line of the log that holds the words, None where none does.

        One of JSON is its level, its event and its traceback.
        """
        for line in self.log.read_text().splitlines():
            said = line
            if line.startswith("{"):
                told = json.loads(line)
                said = f"{told['level'].upper()} {told['event']}\n{told.get('exception', '')}"
            if words in said:
                return said.rstrip()
        return None


@asynccontextmanager
async def running(
    workspace: Path,
    database_url: str,
    log: Path,
    settings: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
    *,
    folder: Path | None = None,
    beside: bool = False,
) -> AsyncIterator[RunningService]:
    """Start the user service of a workspace as its README says, and stop it at the end.

    It starts in its own folder, or in another; as `CONTRACT_START` says where it gets no options.
    Or it starts beside all other services of the workspace, in one process.
    """
    port, home = reserve_port(), workspace / "services" / "user_service"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "PYTHONPATH": python_path(workspace),
        "DATABASE_URL": database_url,
        "SERVICE_PORT": str(port),
        **_PRODUCTION,
        **_MODE,
        **(settings or {}),
    }
    if beside:
        (home / ".env").write_text(f"SERVICE_PORT={environment.pop('SERVICE_PORT')}\n")
    command, cwd = [str(home / "app.py"), *options], folder or home
    if beside or (_START == "together" and not options and folder is None):
        command, cwd = (
            ["-m", "quart_fleet.server", *([] if beside else ["user-service"])],
            workspace,
        )
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, cwd=cwd,
            env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
    service = RunningService(port, log, process.pid)
    ANSWERED[port] = []
    try:
        await _answers(service, process)
        yield service
    finally:
        await _stop(process)
    answers = ANSWERED.pop(port)
    if (settings or {}).get("LOG_FORMAT", "json") == "json":
        # A worker that a test kills takes the last of its lines with it.
        is_whole = "LOG_LEVEL" not in environment and "--workers" not in options
        audit_log(log, answers if is_whole else ())


async def _answers(service: RunningService, process: Process) -> None:
    health = spell("GET", "/api/v1/health")
    async with asyncio.timeout(TIMEOUT):
        while True:
            if process.returncode is not None:
                raise AssertionError(f"the service ended:\n{service.log.read_text()}")
            try:
                await exchange(service.port, health)
            except OSError:
                await asyncio.sleep(_POLL_INTERVAL)
            else:
                return


async def _stop(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(TIMEOUT):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
