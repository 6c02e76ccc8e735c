"""The services of a workspace, up together: what is known of them, what they are told, their end."""

import asyncio
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaffold.errors import ScaffoldError
from scaffold.signals import not_ignored
from scaffold.supervisor.database import Database
from scaffold.supervisor.journal import DATABASE, FLEET, Changes, Journal
from scaffold.supervisor.ports import listen
from scaffold.supervisor.reaper import Reaper
from scaffold.supervisor.screen import Screen
from scaffold.supervisor.service import SupervisedService, Surroundings
from scaffold.supervisor.watching import watch
from scaffold.workspace import Service, Workspace

_ENVIRONMENT = {"LOG_FORMAT": "json", "PYTHONUNBUFFERED": "1"}


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller chose."""

    migrate: bool = True
    reload: bool = True
    seed: bool = False


class Fleet:
    """A fleet that is up: what is known of it, and what it can be told.

    All of it belongs to the event loop of the supervisor. `changes` counts each change of what is
    known here; the lines of the services are in `journal`, which counts its own.
    """

    def __init__(self, workspace: Workspace, folder: Path, reaper: Reaper, screen: Screen) -> None:
        self.workspace = workspace
        self.folder = folder
        """A short path that is this user's alone and is removed at the end."""
        self.live = folder / "live"
        """Where each process of a service can be followed by a socket: LIVE_FOLDER."""
        self.since = time.time()
        """In seconds since 1970."""
        self.page: str | None = None
        """The address of the page, where there is one."""
        self.changes = Changes()
        self.journal = Journal()
        self.services: dict[str, SupervisedService] = {}
        """By name."""
        self._ending, self._hurry = asyncio.Event(), asyncio.Event()
        self._screen = screen
        self.live.mkdir(mode=0o700)
        self._environment = {**os.environ, **_ENVIRONMENT, "LIVE_FOLDER": str(self.live)}
        self.around = Surroundings(
            reaper, self._ending, self._hurry, folder, self._environment,
            self.changes, self._show, self.tell,
        )  # fmt: skip
        self.database = Database(
            workspace.root, reaper, self._environment,
            lambda line: self.tell(DATABASE, line, "info"), self._ending, self.changes,
        )  # fmt: skip

    @property
    def is_ready(self) -> bool:
        """Whether each of the services serves."""
        return all(each.state == "ready" for each in self.services.values())

    @property
    def is_ending(self) -> bool:
        """Whether it has been told to end."""
        return self._ending.is_set()

    async def restart(self, name: str) -> str:
        """Have another process of a service take over; return why it does not, "" if it does.

        Raises KeyError for a service that is not of the fleet.
        """
        return await self.services[name].restart()

    async def migrate(self) -> str:
        """Apply pending migrations; return why that fails, "" if it does not."""
        reason = await self.database.migrate()
        if not self.is_ending:
            await self.database.look()
        return reason

    def stop(self) -> None:
        """End all services; told once more, end at once those that still run."""
        (self._hurry if self.is_ending else self._ending).set()
        self.changes.tell()

    async def ended(self) -> None:
        """Return when it has been told to end."""
        await self._ending.wait()

    def describe(self) -> dict[str, Any]:
        """Return what is known of it, as `ps --json` prints it."""
        return {
            "root": str(self.workspace.root),
            "pid": os.getpid(),
            "since": self.since,
            "page": self.page,
            "ready": self.is_ready,
            "database": {
                "state": self.database.state,
                "reason": self.database.reason,
                "address": self.database.address,
                "embedded": self.database.is_embedded,
                "current": list(self.database.current),
                "heads": list(self.database.heads),
                "pending": [
                    {"id": number, "message": message} for number, message in self.database.pending
                ],
            },
            "services": [
                {
                    "name": each.name,
                    "port": each.port,
                    "state": each.state,
                    "since": each.since,
                    "pid": each.pid,
                    "restarts": each.restarts,
                    "reason": each.reason,
                }
                for each in self.services.values()
            ],
        }

    def tell(self, name: str, message: str, level: str = "warning") -> None:
        """Show and keep what has become of a service or of the database."""
        self._screen.show(self.journal.add_news(name, message, level))

    def say(self, message: str) -> None:
        """Show and keep a line about the fleet."""
        self.journal.add_news(FLEET, message)
        self._screen.say(message)

    def _show(self, name: str, line: str) -> str:
        return self._screen.show(self.journal.add_line(name, line))


async def run(workspace: Workspace, services: Sequence[Service], options: Options) -> None:
    """Have the services up until a signal; raises ScaffoldError, with nothing left running."""
    began = time.monotonic()
    screen = Screen([DATABASE, *(each.called for each in services)])
    with ExitStack() as stack:
        listeners = [stack.enter_context(listen(each)) for each in services]
        reaper = stack.enter_context(Reaper())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fleet-")))
        reaper.watch(folder)
        fleet = Fleet(workspace, folder, reaper, screen)
        for number in not_ignored():
            asyncio.get_running_loop().add_signal_handler(number, fleet.stop)
        for each, listener in zip(services, listeners, strict=True):
            fleet.services[each.called] = SupervisedService(
                each.called, each.folder, each.port or 0, listener, fleet.around
            )
        supervised, database = list(fleet.services.values()), fleet.database
        try:
            # Where none of them has another one.
            if not os.environ.get("DATABASE_URL") and not any(
                each.has_database for each in services
            ):
                await database.start()
            reason = await database.migrate() if options.migrate and not fleet.is_ending else ""
            if reason and not fleet.is_ending:
                raise ScaffoldError("The database is not migrated, and no service was started.")
            if options.seed and not fleet.is_ending and await database.seed():
                raise ScaffoldError("Its rows are not stored, and no service was started.")
            async with asyncio.TaskGroup() as group:
                for service in supervised:
                    group.create_task(service.run())
                if options.reload:
                    group.create_task(watch(workspace.root, supervised, fleet.around.ending))
                announcing = group.create_task(_announce(fleet, began))
                await fleet.ended()
                announcing.cancel()
                fleet.say("Stopping ... (once more ends what still runs at once)")
        finally:
            await database.end()
    fleet.say("Everything has ended.")


async def _announce(fleet: Fleet, began: float) -> None:
    """Say when all of them serve for the first time, and where; then look at the database."""
    while not fleet.is_ready:
        await fleet.changes.after(fleet.changes.number)
    services = list(fleet.services.values())
    count = "1 service" if len(services) == 1 else f"{len(services)} services"
    fleet.say(f"{count} ready in {time.monotonic() - began:.1f} s:")
    for each in services:
        fleet.say(f"  http://localhost:{each.port}/api/v1/  {each.name}")
    fleet.say("Ctrl-C ends them.")
    await fleet.database.look()
