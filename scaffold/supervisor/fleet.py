"""The services of a workspace, up together: their database, their processes, and the end of all."""

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from scaffold.errors import ScaffoldError
from scaffold.signals import not_ignored
from scaffold.supervisor.ports import listen
from scaffold.supervisor.processes import TERMINATION_TIMEOUT
from scaffold.supervisor.reaper import Reaper
from scaffold.supervisor.screen import Screen
from scaffold.supervisor.service import SupervisedService, Surroundings, first_of
from scaffold.supervisor.watching import watch
from scaffold.workspace import Service, Workspace

_DATABASE = "database"
"""The name by which lines of it are shown."""
_ENVIRONMENT = {"LOG_FORMAT": "json", "PYTHONUNBUFFERED": "1"}


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller chose."""

    migrate: bool = True
    reload: bool = True


class Database:
    """The commands of the database manager, and the embedded server where there is no other."""

    def __init__(self, root: Path, reaper: Reaper, screen: Screen, ending: asyncio.Event) -> None:
        self._root = root
        self._reaper = reaper
        self._screen = screen
        self._ending = ending
        self._server: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Run the embedded server until `end`; raises ScaffoldError."""
        self._server = await self._run("postgres", "run")
        assert self._server.stdout is not None
        beginning = asyncio.create_task(self._server.stdout.readline())
        await first_of(beginning, self._ending)
        if self._ending.is_set():
            beginning.cancel()
            return
        said = beginning.result().decode("utf-8", "replace").strip()
        if not said.startswith("postgresql://"):
            self._screen.show(_DATABASE, said)
            await self._show(self._server)
            raise ScaffoldError("The embedded PostgreSQL does not start.")

    async def migrate(self) -> None:
        """Bring the database to its newest revision; raises ScaffoldError."""
        process = await self._run("migrate")
        showing = asyncio.create_task(self._show(process))
        await first_of(showing, self._ending)
        if self._ending.is_set():
            await self._stop(process)
        await showing
        self._reaper.unwatch(process.pid)
        if process.returncode and not self._ending.is_set():
            raise ScaffoldError("The database is not migrated, and no service was started.")

    async def end(self) -> None:
        """Let the embedded server go, which stops when no other process uses it."""
        if self._server is not None:
            assert self._server.stdin is not None
            self._server.stdin.close()
            await self._stop(self._server)
            self._reaper.unwatch(self._server.pid)

    async def _run(self, *arguments: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "db_manager", *arguments),
            cwd=self._root,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        self._reaper.watch(process.pid)
        return process

    async def _show(self, process: asyncio.subprocess.Process) -> None:
        """Show what a command says until it ends."""
        assert process.stdout is not None
        async for line in process.stdout:
            self._screen.show(_DATABASE, line.decode("utf-8", "replace").rstrip())
        await process.wait()

    async def _stop(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
            with suppress(TimeoutError):
                async with asyncio.timeout(TERMINATION_TIMEOUT):
                    await process.wait()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


async def run(workspace: Workspace, services: Sequence[Service], options: Options) -> None:
    """Have the services up until a signal; raises ScaffoldError, with nothing left running."""
    began, ending, hurry = time.monotonic(), asyncio.Event(), asyncio.Event()

    def end() -> None:
        (hurry if ending.is_set() else ending).set()

    for number in not_ignored():
        asyncio.get_running_loop().add_signal_handler(number, end)
    screen = Screen([_DATABASE, *(each.called for each in services)])
    environment = {**os.environ, **_ENVIRONMENT}
    with ExitStack() as stack:
        listeners = [stack.enter_context(listen(each)) for each in services]
        reaper = stack.enter_context(Reaper())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fleet-")))
        reaper.watch(folder)
        around = Surroundings(reaper, ending, hurry, folder, environment, screen.show, screen.tell)
        supervised = [
            SupervisedService(each.called, each.folder, each.port or 0, listener, around)
            for each, listener in zip(services, listeners, strict=True)
        ]
        database = Database(workspace.root, reaper, screen, ending)
        try:
            # Where none of them has another one.
            if not environment.get("DATABASE_URL") and not any(
                each.has_database for each in services
            ):
                await database.start()
            if options.migrate and not ending.is_set():
                await database.migrate()
            async with asyncio.TaskGroup() as group:
                for each in supervised:
                    group.create_task(each.run())
                if options.reload:
                    group.create_task(watch(workspace.root, supervised, ending))
                announcing = group.create_task(_announce(supervised, screen, began))
                await ending.wait()
                announcing.cancel()
                screen.say("Stopping ... (once more ends what still runs at once)")
        finally:
            await database.end()
    screen.say("Everything has ended.")


async def _announce(services: Sequence[SupervisedService], screen: Screen, began: float) -> None:
    """Say when all of them serve for the first time, and where."""
    for each in services:
        await each.is_ready.wait()
    count = "1 service" if len(services) == 1 else f"{len(services)} services"
    screen.say(f"{count} ready in {time.monotonic() - began:.1f} s:")
    for each in services:
        screen.say(f"  http://localhost:{each.port}/api/v1/  {each.name}")
    screen.say("Ctrl-C ends them.")
