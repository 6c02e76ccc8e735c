"""What the page and the gateway know besides what the supervisor does, asked while a page is open.

Documents and paths are read as soon as services are ready; the rest costs them something.
"""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson

from quart_fleet.conventions import PREFIX
from quart_fleet.errors import ConfigurationError
from quart_fleet.workspace import find_table
from scaffold.commands.routes import EVERY_SERVICE
from scaffold.deploy.routes import lead
from scaffold.errors import ScaffoldError
from scaffold.supervisor.journal import FLEET
from scaffold.supervisor.page.following import Following
from scaffold.supervisor.page.gateway import Upstream
from scaffold.workspace import DOCUMENT

if TYPE_CHECKING:
    from scaffold.supervisor.fleet import Fleet
    from scaffold.supervisor.service import State, SupervisedService

_INTERVAL, _PAUSE = 3.0, 10.0
"""Seconds between two questions to a service or to the database; after the database has refused."""
_TIMEOUT = 2.0
"""Seconds that a service has for an answer about itself."""
_LARGEST_DOCUMENT = 8 << 20
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to ask for the one it is
Document = dict[str, Any]


class Sources:
    """Asks the services and the database."""

    def __init__(self, fleet: "Fleet") -> None:
        self._fleet = fleet
        self.following = Following(fleet.live)
        self.wanted = asyncio.Event()
        """Set while a page is open."""
        self.health: dict[str, tuple[bool, str]] = {}
        """By service: whether it is ready, and what it says of itself."""
        self.activity: dict[str, Any] | None = None
        """What the database is busy with."""
        self.documents: dict[str, Document] = {}
        """The OpenAPI document of each service."""
        self.readings = Counter[str]()
        """By service, how often its document was read."""
        self.paths: dict[str, str] = {}
        """The service that a path leads to."""
        self.templates: str | None = None
        """The version of the framework whose templates the workspace is made from."""
        with suppress(ConfigurationError):
            self.templates = (find_table(fleet.workspace.root) or {}).get("framework")
        self._clashes: list[str] = []
        """Which paths services have in common, as it was told last."""
        self._asked_of: dict[str, int | None] = {}
        """By service, the process that has told its document."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ask during a block."""
        async with (
            self.following.running(),
            aiohttp.ClientSession(
                # Each connection is of one request: on a kept one, a process that ends may answer.
                connector=aiohttp.TCPConnector(force_close=True),
                timeout=aiohttp.ClientTimeout(total=_TIMEOUT),
                cookie_jar=aiohttp.DummyCookieJar(),
            ) as session,
        ):
            for service in self._fleet.services.values():
                self._take_copy(service)
            self._find_paths()
            tasks = [
                asyncio.create_task(each)
                for each in (
                    self._read_documents(session), self._ask_services(session), self._ask_database()
                )
            ]  # fmt: skip
            for task in tasks:
                task.add_done_callback(self._tell)
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def _tell(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()):
            self._fleet.tell(FLEET, f"The page: {type(error).__name__}: {error}", "error")

    def find_service(self, name: str) -> Upstream | None:
        """Return where a service is, None where there is none of this name."""
        service = self._fleet.services.get(name)
        if service is None:
            return None

        def state() -> "State":  # a process that is taken over may answer still
            is_awaited = service.state == "failed" and service.is_taken_over
            return "restarting" if is_awaited else service.state

        changes = self._fleet.changes
        host = _EVERYWHERE.get(service.host, service.host)
        return Upstream(name, host, service.port, state, lambda: changes.after(changes.number))

    def find_upstream(self, path: str) -> Upstream | None:
        """Return where a path leads: the longest of the known ones that it is, or is below."""
        while path and path not in self.paths:
            path = path.rpartition("/")[0]
        return self.find_service(self.paths[path]) if path else None

    async def read_pending_sql(self) -> str:
        """Return the SQL of all pending migrations; raises ScaffoldError."""
        async with self._managing("sql", stderr=asyncio.subprocess.PIPE) as process:
            text, error = await process.communicate()
        if process.returncode:
            raise ScaffoldError(error.decode("utf-8", "replace").strip()[-2000:])
        return text.decode("utf-8", "replace")

    async def _read_documents(self, session: aiohttp.ClientSession) -> None:
        while True:
            number = self._fleet.changes.number
            is_behind = False
            for service in list(self._fleet.services.values()):
                if service.state != "ready" or self._asked_of.get(service.name, 0) == service.pid:
                    continue
                # The process before it takes connections until it ends: then it is asked again.
                pid, is_certain = service.pid, not service.is_taken_over
                if not await self._read_document(session, service):
                    is_behind = True
                    continue
                if is_certain:
                    self._asked_of[service.name] = pid
                self.readings[service.name] += 1
                self._find_paths()
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0 if is_behind else None):
                    await self._fleet.changes.after(number)

    async def _read_document(
        self, session: aiohttp.ClientSession, service: "SupervisedService"
    ) -> bool:
        try:
            async with session.get(self._address(service, "openapi.json")) as response:
                if response.status != 200:  # with DOCS=false; then its copy counts
                    self._take_copy(service)
                    return True
                text = await response.content.read(_LARGEST_DOCUMENT)
                while not response.content.at_eof() and len(text) < _LARGEST_DOCUMENT:
                    text += await response.content.read(_LARGEST_DOCUMENT)
            document = orjson.loads(text)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return False
        if isinstance(document, dict):
            self.documents[service.name] = document
        return True

    def _take_copy(self, service: "SupervisedService") -> None:
        with suppress(OSError, ValueError):
            document = orjson.loads(Path(service.folder, DOCUMENT).read_bytes())
            if isinstance(document, dict):
                self.documents[service.name] = document

    def _find_paths(self) -> None:
        """Have paths lead as the cluster's would; of two services with one, the first has it."""
        rules = dict[str, list[str]]()
        found = dict[str, str]()
        told, self._clashes = self._clashes, []
        for name in self._fleet.services:
            paths = self.documents.get(name, {}).get("paths")
            if not isinstance(paths, dict):
                continue
            rules[name] = [
                path.replace("{", "<").replace("}", ">")
                for path in paths
                if path not in EVERY_SERVICE
            ]
            try:
                found = {route.path: route.service for route in lead(rules)[0]}
            except ScaffoldError as error:
                del rules[name]
                self._clashes.append(str(error))
                if str(error) not in told:
                    self._fleet.tell(FLEET, str(error))
        self.paths = found

    async def _ask_services(self, session: aiohttp.ClientSession) -> None:
        while True:
            await self.wanted.wait()
            services = list(self._fleet.services.values())
            answers = await asyncio.gather(*(self.ask(session, each) for each in services))
            self.health = {
                each.name: answer for each, answer in zip(services, answers, strict=True)
            }
            number = self._fleet.changes.number
            with suppress(TimeoutError):
                async with asyncio.timeout(_INTERVAL):
                    await self._fleet.changes.after(number)

    async def ask(
        self, session: aiohttp.ClientSession, service: "SupervisedService"
    ) -> tuple[bool, str]:
        """Ask a service whether it is ready; return what it says of itself, too."""
        if service.state != "ready":
            return False, "no process serves"
        try:
            async with session.get(self._address(service, "health/ready")) as response:
                if response.status == 200:
                    return True, "ready"
                told = orjson.loads(await response.content.read(65536))
                return False, str(told["message"])[:200]
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, LookupError, TypeError):
            return False, "does not answer"

    def _address(self, service: "SupervisedService", path: str) -> str:
        upstream = self.find_service(service.name)
        assert upstream is not None
        host = f"[{upstream.host}]" if ":" in upstream.host else upstream.host
        return f"http://{host}:{upstream.port}{PREFIX}/{path}"

    async def _ask_database(self) -> None:
        while True:
            await self.wanted.wait()
            if self._fleet.database.state not in ("starting", "stopped"):
                with suppress(
                    ScaffoldError, ValueError
                ):  # or a line is too long; it is asked again
                    async with self._managing("activity", "--every", f"{_INTERVAL:g}") as process:
                        assert process.stdout is not None
                        while self.wanted.is_set() and (line := await process.stdout.readline()):
                            self.activity = json.loads(line)
                self.activity = None
            if self.wanted.is_set():
                await asyncio.sleep(_PAUSE)

    @asynccontextmanager
    async def _managing(
        self, *arguments: str, stderr: int = asyncio.subprocess.DEVNULL
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run a command of the database manager, which ends with the block.

        Raises ScaffoldError where it does not start.
        """
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "db_manager", *arguments),
                cwd=self._fleet.workspace.root,
                env=self._fleet.database.environment,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
            )
        except OSError as error:  # too many open files
            raise ScaffoldError(f"db_manager does not start: {error.strerror}.") from error
        reaper = self._fleet.reaper
        reaper.watch(process.pid)
        try:
            yield process
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
            reaper.unwatch(process.pid)
