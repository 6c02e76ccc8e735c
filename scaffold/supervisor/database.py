"""The database of a fleet that is up: its server, where it is embedded, and its revisions."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeVar

from dotenv import dotenv_values

from quart_fleet.conventions import SECRETS
from scaffold.errors import ScaffoldError, describe
from scaffold.supervisor.journal import Changes
from scaffold.supervisor.processes import TERMINATION_TIMEOUT
from scaffold.supervisor.reaper import Reaper
from scaffold.supervisor.service import LAST_LINES_TIMEOUT, LONGEST_LINE, first_of, lines_of
from scaffold.workspace import Service

Said = TypeVar("Said")
State = Literal["starting", "ready", "migrating", "failed", "stopped"]
VARIABLES = ("DATABASE_URL", "DATABASE_PASSWORD", "DATABASE_POOLER")
"""Where a database is."""


class Database:
    """The commands of the database manager, and the embedded server where there is no other."""

    def __init__(  # noqa: PLR0913 - what it shares with the services
        self,
        root: Path,
        reaper: Reaper,
        environment: Mapping[str, str],
        show: Callable[[str], None],
        ending: asyncio.Event,
        hurry: asyncio.Event,
        changes: Changes,
    ) -> None:
        self.state: State = "starting"
        self.reason = ""
        """Why it is not as it should be, in one line."""
        self.url = ""
        """Of the embedded server, for its superuser; empty where the database is another one."""
        self.address: str | None = None
        """Where it is, without its password; None until it is known."""
        self.is_embedded = False
        self.current: tuple[str, ...] = ()
        """The revisions that it is at."""
        self.heads: tuple[str, ...] = ()
        """The newest revisions of the code."""
        self.pending: tuple[tuple[str, str], ...] = ()
        """Revisions that it lacks, in their order: id and message."""
        self.named: dict[str, str] | None = None
        """What the services read of where it is, from their .env or their folder of secrets."""
        self._root = root
        self._reaper = reaper
        self._environment = environment
        self._show = show
        self._ending, self._hurry = ending, hurry
        self._changes = changes
        self._one_at_a_time = asyncio.Lock()
        self._is_known = False
        """Whether it was asked for its revisions."""
        self._failure = ""
        """Why the last migration failed."""
        self._server: asyncio.subprocess.Process | None = None
        self._has_begun = False
        """Whether that has started the embedded server."""

    @property
    def environment(self) -> dict[str, str]:
        """That of the database manager, which reads no .env: it finds what the services find."""
        return {**self._environment, **(self.named or {})}

    def admit(self, service: Service, *, any_login: bool) -> None:
        """Take in where a service finds it; raises ScaffoldError where that is another database.

        Services may have logins of their own where none of them has to be the owner's.
        """
        own = dotenv_values(service.folder / ".env", encoding="utf-8-sig")
        secrets, named = self._environment.get("SECRETS_DIR") or SECRETS, dict[str, str]()
        for name in VARIABLES:
            value = self._environment.get(name) or own.get(name)
            if not value:
                with suppress(OSError, UnicodeDecodeError):
                    value = Path(secrets, name).read_text("utf-8").strip()
            if value:
                named[name] = value
        first = named if self.named is None else self.named
        if any_login:
            urls = [
                re.sub("//[^@]*@", "//", each.get("DATABASE_URL", "")) for each in (first, named)
            ]
            is_same = urls[0] == urls[1]
        else:
            is_same = first == named
        if not is_same:
            raise ScaffoldError(
                f"The .env of {service.called} names another database, or another login, than that "
                "of another service. A fleet has one: set DATABASE_URL for this command to that of "
                "the owner of the tables."
            )
        self.named = first

    async def start(self) -> None:
        """Run the embedded server until `end`; raises ScaffoldError."""
        self.is_embedded, self._has_begun = True, False
        self._server = await self._run("postgres", "run", stderr=asyncio.subprocess.STDOUT)
        assert self._server.stdout is not None
        beginning = asyncio.create_task(self._server.stdout.readline())
        await first_of(beginning, self._ending)
        if self._ending.is_set():
            beginning.cancel()
            return
        said = beginning.result().decode("utf-8", "replace").strip()
        if not said.startswith("postgresql://"):
            self._show(said)
            await self._show_all(self._server)
            raise ScaffoldError("The embedded PostgreSQL does not start.")
        self.url, self._has_begun = said, True

    async def lost(self) -> str:
        """Return why the embedded server has gone, once it has; "" where the fleet ends before."""
        assert self._server is not None
        ended = asyncio.create_task(self._server.wait())
        await first_of(ended, self._ending)
        ended.cancel()
        if self._ending.is_set():
            return ""
        assert self._server.stdout is not None
        said = b""
        with suppress(TimeoutError):  # what it has started may have its output for longer
            async with asyncio.timeout(LAST_LINES_TIMEOUT):
                said = await self._server.stdout.read()
        self._reaper.unwatch(self._server.pid)
        why = " ".join(said.decode("utf-8", "replace").split()).removeprefix("Error: ")
        self._become("failed", why or "The process that keeps the embedded PostgreSQL has ended.")
        return self.reason

    async def start_again(self) -> str:
        """Run the embedded server again; return why that fails, "" where it does not."""
        async with self._one_at_a_time:
            try:
                await self.start()
            except (ScaffoldError, OSError) as error:
                reason = describe(error) if isinstance(error, OSError) else str(error)
                self._become("failed", reason)
                return self.reason
        return ""

    async def migrate(self) -> str:
        """Bring it to its newest revision; return why that fails, "" where it does not."""
        async with self._one_at_a_time:
            self._become("migrating")
            try:
                process = await self._run("migrate", stderr=asyncio.subprocess.STDOUT)
            except OSError as error:
                self._failure = f"migrate cannot start: {describe(error)}"
                self._show(self._failure)
            else:
                said = await self._until_end(process, self._show_all(process), "")
                self._failure = said if process.returncode else ""
            if self._ending.is_set():
                return "The fleet is ending."
            self._become("failed" if self._failure else "ready", self._failure)
            return self._failure

    async def seed(self) -> str:
        """Store the rows that services begin with; return why that fails, "" where it does not."""
        async with self._one_at_a_time:
            process = await self._run("seed", stderr=asyncio.subprocess.STDOUT)
            said = await self._until_end(process, self._show_all(process), "")
        return (said or f"seed ended with exit code {process.returncode}") * bool(
            process.returncode
        )

    async def look(self, *, is_first: bool = False) -> None:
        """Ask it and the code for their revisions: the first time alone, where that is enough."""
        async with self._one_at_a_time:
            if is_first and (self._is_known or self._ending.is_set()):
                return
            self._is_known = True
            try:
                process = await self._run("status", "--json", stderr=asyncio.subprocess.DEVNULL)
                assert process.stdout is not None
                text = await self._until_end(process, self._read_all(process), b"")
            except OSError as error:
                self._become(self.state, f"db_manager status cannot start: {describe(error)}")
                return
        if self._ending.is_set():
            return
        try:
            found: dict[str, Any] = json.loads(text.decode("utf-8", "replace"))
        except ValueError:  # it says what is wrong with the code elsewhere
            self._become(self.state, f"db_manager status ended with exit code {process.returncode}")
            return
        if found["server_version"] is None:  # what was known of its revisions may still be so
            self._become("failed", found["problem"] or "")
            return
        self.address = found["database"]
        self.current, self.heads = tuple(found["current"]), tuple(found["heads"])
        self.pending = tuple((each["id"], each["message"]) for each in found["pending"])
        if not self.pending:  # as where the file of a bad one is gone
            self._failure = ""
        self._become("ready", self._failure or found["problem"] or "")

    async def end(self) -> None:
        """Let the embedded server go, which stops when no other process uses it."""
        async with self._one_at_a_time:
            if self._server is not None:
                assert self._server.stdin is not None
                self._server.stdin.close()
                if self._has_begun:  # it ends once PostgreSQL has stopped
                    ended = asyncio.create_task(self._server.wait())
                    await first_of(ended, self._hurry, seconds=TERMINATION_TIMEOUT)
                    ended.cancel()
                await self._stop(self._server)
                self._reaper.unwatch(self._server.pid)
            self._become("stopped")

    def _become(self, state: State, reason: str = "") -> None:
        self.state, self.reason = state, reason
        self._changes.tell()

    async def _run(self, *arguments: str, stderr: int) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "db_manager", *arguments),
            cwd=self._root,
            env=self.environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            limit=LONGEST_LINE,
            start_new_session=True,
        )
        self._reaper.watch(process.pid)
        return process

    async def _until_end(
        self, process: asyncio.subprocess.Process, reading: Coroutine[Any, Any, Said], nothing: Said
    ) -> Said:
        """Return what a command says, once it or the fleet has ended; then perhaps `nothing`."""
        task = asyncio.create_task(reading)
        try:
            await first_of(task, self._ending)
        finally:  # where it is cancelled too, as what looks at revisions is at the end of the fleet
            if self._ending.is_set() or not task.done():
                await self._stop(process)
                # What it has started may have its output for longer.
                await asyncio.wait([task], timeout=LAST_LINES_TIMEOUT)
                task.cancel()
            self._reaper.unwatch(process.pid)
        return nothing if task.cancelled() or not task.done() else await task

    async def _show_all(self, process: asyncio.subprocess.Process) -> str:
        """Show what a command says until it ends; return its error, or else its last line."""
        assert process.stdout is not None
        said = ""
        async for line in lines_of(process.stdout):
            text = line.strip()
            self._show(line.rstrip())
            if said.startswith("Error:") and text:
                said += f"{'' if said.endswith(('.', ':', ';')) else '.'} {text}"
            else:
                said = text or said
        await process.wait()
        return said.removeprefix("Error:").strip()

    async def _read_all(self, process: asyncio.subprocess.Process) -> bytes:
        assert process.stdout is not None
        text = await process.stdout.read()
        await process.wait()
        return text

    async def _stop(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
            with suppress(TimeoutError):
                async with asyncio.timeout(TERMINATION_TIMEOUT):
                    await process.wait()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
