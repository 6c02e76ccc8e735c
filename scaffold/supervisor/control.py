"""The commands that a fleet that is up takes by its socket: a line of JSON asks, lines of it answer.

The socket is in a folder of this user alone, which is all the protection that it needs. What is
answered is what the commands print with --json; `control.schema.json` says what is in it.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from scaffold.errors import describe
from scaffold.supervisor.fleet import Fleet
from scaffold.supervisor.journal import DATABASE, FLEET
from scaffold.supervisor.place import Place
from scaffold.workspace import find_near

VERSION = 1
"""Of what is asked and answered: what is added to it does not change it."""

LOOK_TIMEOUT = 10.0
"""Seconds after which it is said that files are not known: a command may leave them half moved."""
_LAST_LINES_TIMEOUT = 1.0
"""Seconds in which those who follow get what comes last."""

_WHOLE = ("restart", "migrate", "seed")
"""What is done to its end, whether or not who asked has left."""

Answer = dict[str, Any]
_Write = Callable[[Answer], Awaitable[None]]


@asynccontextmanager
async def serving(fleet: Fleet, place: Place) -> AsyncIterator[None]:
    """Take commands for a fleet during a block."""
    clients = set[asyncio.Task[None]]()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        clients.add(task)

        async def write(answer: Answer) -> None:
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()

        line = b"?"
        try:
            # Cancelled at the end of the fleet: asyncio's streams log it.
            with suppress(OSError, asyncio.CancelledError):
                try:
                    line = await reader.readline()
                    asked = read_request(line)
                except ValueError as fault:
                    if line:  # else it only wants to know whether the fleet is up
                        await write({"error": f"What is asked cannot be read: {fault}"})
                    return
                await Asked(fleet, asked, write).answer_to(reader)
        finally:
            clients.discard(task)
            writer.close()

    server = await asyncio.start_unix_server(take, str(place.socket))
    try:
        yield
    finally:
        server.close()
        fleet.journal.close()
        if clients:
            await asyncio.wait(clients, timeout=_LAST_LINES_TIMEOUT)
        for each in clients:
            each.cancel()
        await asyncio.gather(*clients, return_exceptions=True)


def read_request(line: bytes) -> Answer:
    """Return what a line asks; raises ValueError where it is no request."""
    try:
        asked = json.loads(line)
    except RecursionError:
        asked = None
    if not isinstance(asked, dict) or not isinstance(asked.get("command"), str):
        raise ValueError("it is no object with a command")
    services = asked.setdefault("services", [])
    if not isinstance(services, list) or not all(isinstance(each, str) for each in services):
        raise ValueError("services are no list of names")
    for name in ("since", "timeout", "lines"):
        if not isinstance(asked.setdefault(name, None), int | float | None):
            raise ValueError(f"{name} is no number")
    return asked


class Asked:
    """A command as it was asked, and its answer."""

    def __init__(self, fleet: Fleet, asked: Answer, write: _Write) -> None:
        self.fleet = fleet
        self.asked = asked
        self.write = write
        self.is_known = True
        """Of those that are waited for: whether they have come to rest, with what the files say."""
        self.named = list[str]()
        """What it names: services, and what else lines may be of."""
        self.until: float | None = None
        """When its time is up, by the clock of the loop."""

    async def answer_to(self, reader: asyncio.StreamReader) -> None:
        """Do what is asked, as long as who asked is there, or say why it fails."""
        tasks: list[asyncio.Task[Any]]
        tasks = [asyncio.create_task(self.answer()), asyncio.create_task(reader.read())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if self.asked["command"] in _WHOLE:
                await asyncio.wait(tasks[:1])
        finally:
            for each in tasks:
                each.cancel()
            for error in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(error, Exception) and not isinstance(error, OSError):
                    await self.write({"error": f"It has failed: {type(error).__name__}: {error}"})

    async def answer(self) -> None:
        """Do what is asked, or say why not."""
        if self.asked["command"] == "wait":  # for what may only be about to be up, too
            self.is_known = False
            if self.asked["timeout"] is not None:
                self.until = asyncio.get_running_loop().time() + self.asked["timeout"]
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self.until):
                    self.is_known = await self.fleet.look(LOOK_TIMEOUT)
        commands = {
            each.__name__: each
            for each in (
                *(self.ps, self.logs, self.wait, self.restart, self.migrate, self.seed, self.stop),
            )
        }
        known = {each.folder.name: name for name, each in self.fleet.services.items()}
        others = (FLEET, DATABASE) if self.asked["command"] == "logs" else ()
        known |= {name: name for name in (*self.fleet.services, *others)}
        for name in self.asked["services"]:
            if name not in known:
                near = find_near(name, known)
                names = ", ".join(dict.fromkeys(known.values()))
                hint = f" Did you mean {known[near]}?" if near else f" There are: {names}."
                error = f"No service {name!r} is up.{hint}"
                await self.write({"error": error, "unknown": name})
                return
            self.named.append(known[name])
        if self.asked["command"] in commands:
            await commands[self.asked["command"]]()
        else:
            await self.write({"error": "The fleet is up by a version without this command."})

    @property
    def services(self) -> list[str]:
        """The services that it names, all without any."""
        return [each for each in self.named or self.fleet.services if each in self.fleet.services]

    def describe(self) -> Answer:
        """Return what is known of the fleet."""
        options = self.fleet.options
        return {
            "version": VERSION,
            "up": True,
            **self.fleet.describe(),
            "options": {
                "isolated": options.isolated,
                "together": options.together,
                "reload": options.reload,
                "migrate": options.migrates,
                "ready_timeout": options.ready_timeout,
            },
        }

    async def ps(self) -> None:
        """Tell what is known of the fleet."""
        await self.fleet.look_again()
        await self.write(self.describe())

    async def logs(self) -> None:
        """Tell the lines that are kept, and then what comes, where that is asked."""
        since, lines, journal = self.asked["since"] or 0, self.asked["lines"], self.fleet.journal
        last = journal.last
        kept = [each for each in journal.after(0, self.named) if each.time >= since]
        for each in kept if lines is None else kept[max(0, len(kept) - int(lines)) :]:
            await self.write({"version": VERSION, **each.to_json()})
        if self.asked.get("follow"):
            async for entries in journal.follow(last, self.named):
                for each in entries:
                    if each.time >= since:
                        await self.write({"version": VERSION, **each.to_json()})

    async def wait(self) -> None:
        """Tell it once services serve as their files are now, one does not start, or time is up."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self.until):
                await self.fleet.until(lambda: self.fleet.is_settled(self.services))
                await self.fleet.database.look(is_first=True)
                await self.fleet.look_again()
        self.is_known = self.is_known and self.fleet.is_settled(self.services)
        waited = self.named or [*self.fleet.services]
        await self.write(self.describe() | {"waited": waited, "in_time": self.is_known})

    async def restart(self) -> None:
        """Have new processes of services take over, and tell which do not."""
        services = self.services
        reasons = await asyncio.gather(*map(self.fleet.restart, services))
        failed = {name: why for name, why in zip(services, reasons, strict=True) if why}
        await self.write(self.describe() | {"failed": failed})

    async def migrate(self) -> None:
        """Apply pending revisions, and tell why that fails."""
        await self.write({"failed": await self.fleet.migrate(), **self.describe()})

    async def seed(self) -> None:
        """Store the rows to begin with that are missing, and tell why that fails."""
        try:
            failed = await self.fleet.database.seed()
        except OSError as error:
            failed = f"seed cannot start: {describe(error)}"
        await self.write({"failed": failed, **self.describe()})

    async def stop(self) -> None:
        """End the fleet; the end of the connection comes after that of all services."""
        self.fleet.stop()
        await self.write(self.describe())
        async for _ in self.fleet.journal.follow(self.fleet.journal.last):
            pass
