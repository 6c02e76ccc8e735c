"""A fleet that is up: what is known of it, and what it can be told."""

import asyncio
import os
import re
import socket
import time
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dotenv import dotenv_values

from quart_fleet.conventions import role_of
from quart_fleet.revisions import History
from scaffold.errors import ScaffoldError
from scaffold.supervisor.database import Database
from scaffold.supervisor.journal import DATABASE, FLEET, Changes, Journal
from scaffold.supervisor.ports import ANY, listen
from scaffold.supervisor.reaper import Reaper
from scaffold.supervisor.screen import Screen
from scaffold.supervisor.service import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    READY_TIMEOUT,
    STEADY_TIME,
    SupervisedService,
    Surroundings,
    first_of,
)
from scaffold.supervisor.together import SharedProcess, SharingService
from scaffold.workspace import SERVICES, Service, Workspace, find_shared_ports

ANSWER_TIMEOUT = 3.0
"""Seconds for which who asks for the state of the database waits for its answer."""
_HELD = "keeps older code until the revisions are applied"
_ENVIRONMENT = {"LOG_FORMAT": "json", "PYTHONUNBUFFERED": "1"}


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller chose."""

    packages: frozenset[str] = frozenset()
    """Of the services that are to be up; all without any."""
    migrates: Literal["never", "first", "always"] = "first"
    """Whether pending revisions are applied: before the services start, or whenever there are some."""
    reload: bool = True
    seed: bool = False
    """Whether rows to begin with are stored before the services start."""
    together: bool = False
    """Whether all services have one process."""
    isolated: bool = False
    """Whether it takes ports and a database that are no other fleet's."""
    ready_timeout: float = READY_TIMEOUT
    """Seconds that a process of a service gets until it serves."""
    in_background: bool = False
    """Whether nothing is shown once the services serve, or one does not start."""


class Fleet:
    """The services of a workspace, up together.

    All of it belongs to the event loop of the supervisor. `changes` counts each change of what is
    known here; the lines of the services are in `journal`, which counts its own.
    """

    def __init__(
        self, workspace: Workspace, options: Options, folder: Path, reaper: Reaper, screen: Screen
    ) -> None:
        self.workspace = workspace
        self.options = options
        self.reaper = reaper
        self.folder = folder
        """A short path that is this user's alone and is removed at the end."""
        self.live = folder / "live"
        """Where each process of a service can be followed by a socket: LIVE_FOLDER."""
        self.since = time.time()
        """In seconds since 1970."""
        self.page: str | None = None
        """The address of the page, where there is one."""
        self.keys = False
        """Whether it is told what to do by keys of a terminal."""
        self.changes = Changes()
        self.look_wanted = asyncio.Event()
        """Set where the files of the workspace are to be looked at without delay."""
        self.looks_begun = 0
        self.looks_done = Changes()
        """Of those begun, the last whose changes are taken up."""
        self.journal = Journal()
        self.services: dict[str, SupervisedService] = {}
        """By name."""
        self._ports = dict[str, int]()
        """Those that were free for an isolated fleet, by package."""
        self._shared: SharedProcess | None = None
        """The process of all of them, where they have one."""
        self._running = set[asyncio.Task[Any]]()
        self._ending, self._hurry = asyncio.Event(), asyncio.Event()
        self._screen = screen
        self._told: tuple[tuple[str, str], ...] = ()
        """The pending revisions of which it has been told."""
        self._problem = ""
        """What keeps the revisions from being known, or told of, as it was told last."""
        self._is_unreadable = False
        """Whether that is in the files of the revisions."""
        self._revising = asyncio.Lock()
        self._looking: asyncio.Task[None] | None = None
        """Asks the database anew for who wants to know now."""
        self.held = frozenset[str]()
        """The services that keep older code until the revisions are applied."""
        self.live.mkdir(mode=0o700)
        self.environment = {**os.environ, **_ENVIRONMENT, "LIVE_FOLDER": str(self.live)}
        """Of all processes; what is set here is for those that start later."""
        self._around = Surroundings(
            workspace.root, reaper, self._hurry, folder, self.environment, options.ready_timeout,
            self.changes, lambda name, line: screen.show(self.journal.add_line(name, line)), self.tell,
        )  # fmt: skip
        self.database = Database(
            workspace.root, reaper, self.environment,
            lambda line: self.tell(DATABASE, line, "info"),
            self._ending, self._hurry, self.changes,
        )  # fmt: skip

    @property
    def is_ready(self) -> bool:
        """Whether each of the services serves."""
        return all(each.state == "ready" for each in self.services.values())

    @property
    def is_ending(self) -> bool:
        """Whether it has been told to end."""
        return self._ending.is_set()

    def is_settled(self, names: Collection[str]) -> bool:
        """Whether all of these services serve as they were last wanted, or one does not start."""
        named = [each for name, each in self.services.items() if name in names]
        states = [each.state for each in named]
        is_tried = all(each.is_tried for each in named)
        return is_tried and ("failed" in states or all(each == "ready" for each in states))

    async def look(self, seconds: float) -> bool:
        """Return once all that has been changed by now in the workspace is taken up.

        That is so where files are not looked at, too, or not yet; it is not after as many seconds.
        """
        if not self.looks_begun:
            return True
        self.look_wanted.set()
        looking = asyncio.create_task(self.looks_done.after(self.looks_begun))
        try:
            while not await first_of(self._ending, looking, seconds=seconds):
                if not self._revising.locked():  # else revisions are applied, however long
                    return False
            return True
        finally:
            looking.cancel()

    def add(self, service: Service) -> SupervisedService:
        """Have a service up, which gets a port that is free where the fleet is isolated.

        The one of its folder that is up is replaced. Raises ScaffoldError, which names the program
        that has the port, the folder that has the name, or where its database is not that of the
        others.
        """
        service.refuse_half()
        holder, before = self.services.get(service.called), self.find_service(service.package)
        if holder is not None and holder is not before:
            raise ScaffoldError(
                f"{SERVICES}/{service.package}: the name {service.called!r} is also that of "
                f"{SERVICES}/{holder.folder.name}: give one of them another SERVICE_NAME."
            )
        if not self.options.isolated:
            needs_owner = self.options.migrates != "never" or self.options.seed
            self.database.admit(service, any_login=not needs_owner)
        listener = self._listen(service, before)
        port = listener.getsockname()[1]
        added = SupervisedService(
            service.called, service.folder, service.host, port, listener, self._around
        )
        if self.options.together:
            if self._shared is None or self._shared.ending.is_set():
                self._shared = SharedProcess.of(self._around)
            added = SharingService.of(added, self._shared)
        if before is not None:
            before.end()
            if before.name != service.called:
                del self.services[before.name]
        if self.options.isolated:
            self.environment[f"{service.package.upper()}_URL"] = f"http://127.0.0.1:{port}"
            if self._ports.setdefault(service.package, port) != port:
                self._ports[service.package] = port
                for each in self.services.values():  # which have its former address
                    each.want_another()
        self.services[service.called] = added
        self.changes.tell()
        return added

    def _listen(self, service: Service, before: SupervisedService | None) -> socket.socket:
        """Listen where a service does, or did in an isolated fleet; raises ScaffoldError."""
        is_isolated, port = self.options.isolated, service.port or ANY
        if is_isolated:
            port = self._ports.get(service.package, ANY)
        if before is not None and (before.host, before.port) == (service.host, port):
            return before.listener.dup()
        try:
            return listen(service, port)
        except ScaffoldError:
            if not is_isolated or port == ANY:
                raise
            return listen(service, ANY)

    def start(self, service: SupervisedService) -> None:
        """Have the processes of a service run until it or the fleet is told to end."""

        async def run() -> None:
            await service.run()
            if self.services.get(service.name) is service and not self.is_ending:
                del self.services[service.name]
                self.changes.tell()

        if self.options.isolated:
            role = role_of(service.folder.name)
            url = re.sub("//[^@]*@", f"//{role}@", self.database.url)
            service.environment["DATABASE_URL"] = url
            settings = {
                **dotenv_values(service.folder / ".env", encoding="utf-8-sig"),
                **self.environment,
            }
            if settings.get("METRICS_PORT"):
                with socket.create_server(("127.0.0.1", 0)) as free:
                    service.environment["METRICS_PORT"] = str(free.getsockname()[1])
        if isinstance(service, SharingService) and service.process.admit(service):
            self.spawn(service.process.run())
        self.spawn(run())

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something beside the rest; the fleet does not end before it has."""
        task = asyncio.create_task(coroutine)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Return when something is so that changes tell of, or the fleet is told to end."""
        while not (is_so() or self.is_ending):
            await self.changes.after(self.changes.number)

    def find_service(self, package: str) -> SupervisedService | None:
        """Return the service of a folder below services/, or None where it is not up."""
        return next((each for each in self.services.values() if each.folder.name == package), None)

    async def restart(self, name: str) -> str:
        """Have another process of a service take over; return why it does not, "" if it does.

        Raises KeyError for a service that is not of the fleet.
        """
        return await self.services[name].restart()

    @property
    def holds_back(self) -> bool:
        """Whether other code is to wait for its revisions, which are applied before it."""
        is_due = bool(self.database.pending) or self._is_unreadable
        return is_due and self.options.migrates == "always"

    async def migrate(self) -> str:
        """Apply pending revisions; return why that fails, "" if it does not."""
        async with self._revising:
            return await self._migrate()

    async def _migrate(self) -> str:
        reason = await self.database.migrate()
        if reason and not self.is_ending:
            self.tell(DATABASE, "The migration fails; the services go on as they are.", "error")
        if not self.is_ending:
            await self.database.look()
            self._told = self.database.pending
            if self.database.state == "failed":
                self._problem = self.database.reason
        return reason

    async def keep_database(self) -> None:
        """Have the embedded server started again whenever it has gone, until the fleet ends."""
        pause = 0.0
        while not self.is_ending:
            began, reason = time.monotonic(), await self.database.lost()
            if time.monotonic() - began > STEADY_TIME:
                pause = 0.0
            while reason and not self.is_ending:
                when = f"in {pause:g} s" if pause else "at once"
                self.tell(DATABASE, f"{reason}\nIt is started again {when}.", "error")
                await first_of(self._ending, seconds=pause)
                pause = min(max(FIRST_PAUSE, 2 * pause), LONGEST_PAUSE)
                reason = "" if self.is_ending else await self.database.start_again()
            if not self.is_ending:
                self.tell(DATABASE, "The embedded PostgreSQL runs again.", "info")
                await self.look_at_revisions()

    async def look_again(self) -> None:
        """Ask the database anew where its state may have changed without this fleet's doing."""
        database = self.database
        if self.is_ending or not (database.pending or database.state == "failed"):
            return
        if self._looking is None or self._looking.done():
            self._looking = self.spawn(self.look_at_revisions())
        await asyncio.wait([self._looking], timeout=ANSWER_TIMEOUT)

    async def look_at_revisions(self, *, are_new: bool = False) -> None:
        """Tell what has become of revisions, and apply those that are pending where that is wanted.

        Those that have failed are tried again where their files are new, or the database is back.
        """
        async with self._revising:
            database, before = self.database, self.database.current
            was_failed = database.state == "failed"
            await database.look()
            if self.is_ending:
                return
            pending, told, was_told = database.pending, self._told, self._problem
            is_failed = database.state == "failed"
            faults = History.read(self.workspace.versions).faults if is_failed else ()
            self._is_unreadable = bool(faults)
            is_behind = bool(pending) and len(database.heads) == 1 and not is_failed
            self._problem = "" if is_behind else database.reason
            if self._problem not in ("", was_told):
                self.tell(DATABASE, self._problem, "error")
            if is_failed:
                return
            self._told = pending
            is_wanted = are_new or was_failed or pending != told
            if pending and is_wanted and self.options.migrates == "always":
                await self._migrate()
            elif pending and pending != told:
                self._tell_pending()
            elif told and not pending:
                is_other = database.current != before
                said = "The revisions are applied, by another program."
                self.tell(
                    DATABASE, said if is_other else "No revision is pending any more.", "info"
                )

    def _tell_pending(self) -> None:
        pending = self.database.pending
        names = "\n".join(f"  {number} {message}" for number, message in pending)
        count = "1 revision is" if len(pending) == 1 else f"{len(pending)} revisions are"
        how = "m applies" if self.keys else "python -m scaffold up --migrate applies"
        them = "it" if len(pending) == 1 else "them"
        self.tell(DATABASE, f"{count} pending, {how} {them}:\n{names}")

    def stop(self) -> None:
        """End all services; told once more, end at once those that still run."""
        (self._hurry if self.is_ending else self._ending).set()
        for each in self.services.values():
            each.end()
        self.changes.tell()

    async def ended(self) -> None:
        """Return when it has been told to end."""
        await self._ending.wait()

    async def end(self) -> None:
        """End all services and the database; return when none is left."""
        if not self.is_ending:
            self.stop()
        while self._running:
            await asyncio.gather(*self._running)
        for each in self.services.values():
            each.listener.close()
        await self.database.end()

    def describe(self) -> dict[str, Any]:
        """Return what is known of it, as `ps --json` prints it."""
        return {
            "root": str(self.workspace.root),
            "pid": os.getpid(),
            "since": self.since,
            "isolated": self.options.isolated,
            "page": self.page,
            "ready": self.is_ready,
            "ending": self.is_ending,
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
                    "url": each.url,
                    "state": each.state,
                    "since": each.since,
                    "pid": each.pid,
                    "restarts": each.restarts,
                    "reason": each.reason or _HELD * (each.name in self.held),
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


def refuse_shared_ports(services: Collection[Service]) -> None:
    """Raise ScaffoldError where two services have one port."""
    if shared := find_shared_ports(services):
        raise ScaffoldError("\n".join(shared))
