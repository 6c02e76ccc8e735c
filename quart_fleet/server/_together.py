"""All services of a workspace in one process and one event loop, each as if it were there alone.

Each has its port, its settings, its lifespan, its limits, and its name in its lines: those follow its
context, in which all that it starts runs. What a process has once is done here: signals, the
garbage collector, what a supervisor is told.
"""

import asyncio
import logging
import os
import resource
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from contextvars import Context
from importlib import import_module, reload
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, cast

import uvloop

from quart_fleet.errors import ConfigurationError
from quart_fleet.logs import HOSTED, MOST, HostedService
from quart_fleet.server._lifecycle import running_process
from quart_fleet.server._listener import listen, written_for_people
from quart_fleet.server._supervised import CLOSED, find_listeners, in_one_line, tell, tell_stopping
from quart_fleet.server._uvicorn import BoundedServer, make_server
from quart_fleet.server._workers import FIRST_PAUSE, LONGEST_PAUSE, STEADY_TIME, Link
from quart_fleet.telemetry._logs import write_logs
from quart_fleet.workspace import Workspace

if TYPE_CHECKING:
    from quart_fleet.asgi._application import ServiceApplication

_FLEET = "fleet"
"""The name in lines that are no service's own."""
_OF_ONE = ("SERVICE_NAME", "SERVICE_PORT", "PORT")
"""Variables that say something else of each service."""
_MOST_FILES = 65_536
_ENDING = (signal.SIGINT, signal.SIGTERM)

_log = logging.getLogger("quart_fleet.server")


def serve_together(names: Sequence[str]) -> None:
    """Serve until SIGINT or SIGTERM: all services of the workspace here, or those that are named.

    Ends the process with its exit code: 1 where none of them could start. Raises
    ConfigurationError where it is called wrongly.
    """
    for number in _ENDING:
        # Nothing is open until there is a loop, which has handlers of its own; an exception in the
        # midst of a service's imports is none that ends a process in good order.
        signal.signal(number, lambda _number, _frame: os._exit(0))
    packages = _choose(Workspace.find(Path.cwd()), names)
    if len(packages) > 1:
        for name in _OF_ONE:
            if os.environ.get(name):
                raise ConfigurationError(
                    f"{name} is set in the environment, which {len(packages)} services read: set it "
                    "in the .env of each service"
                )
    handed = find_listeners()
    write_logs(_FLEET, os.environ.get("LOG_FORMAT") or None, is_shared=True)
    logging.getLogger().setLevel(logging.INFO)
    with suppress(OSError, ValueError):  # more clients than one service has
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    fleet = _Fleet(packages, handed)
    for each in fleet.services:  # before there is a loop, as `python app.py` does
        each.context.run(each.load)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        loop = runner.get_loop()
        running = loop.create_task(fleet.run())
        while not running.done():
            try:
                loop.run_until_complete(running)
            except SystemExit as error:  # of a task that a service has begun
                if running.done():
                    raise
                _log.critical("A task has called sys.exit(%r): all services go on", error.code)
    if not running.result():
        sys.exit(1)


def _choose(workspace: Workspace, names: Sequence[str]) -> list[str]:
    """Return the packages of services, in order; raises ConfigurationError."""
    known = sorted(path.parent.name for path in workspace.root.glob("services/*/app.py"))
    if not known:
        raise ConfigurationError(f"{workspace.root / 'services'} has no service")
    chosen = [name.replace("-", "_") for name in names] or known
    for name in chosen:
        if name not in known:
            there = ", ".join(each.replace("_", "-") for each in known)
            raise ConfigurationError(
                f"There is no service {name.replace('_', '-')!r}. There are: {there}."
            )
        if find_spec(name) is None:
            raise ConfigurationError(
                f"{name} cannot be imported: install the workspace (make install), or set "
                f"PYTHONPATH={workspace.root}{os.pathsep}{workspace.root / 'services'}"
            )
    return list(dict.fromkeys(chosen))


class _Fleet:
    """The services of this process, from their start to the end of the last one.

    Args:
        packages: of the services.
        handed: the listeners that a supervisor has opened, by their names.
    """

    def __init__(
        self, packages: Sequence[str], handed: Sequence[tuple[str, socket.socket]] | None
    ) -> None:
        self.ending = asyncio.Event()
        self.is_supervised = handed is not None
        self._signals: list[int] = []
        self._settled = asyncio.Event()
        hosted: list[HostedService] = []
        hosted += (HostedService(package, hosted) for package in packages)
        self.services = [_Service(self, each) for each in hosted]
        by_name = {each.package: each for each in self.services}
        for name, listener in handed or ():
            package = name.replace("-", "_").removesuffix(".socket")
            if package not in by_name:
                raise ConfigurationError(
                    f"LISTEN_FDNAMES has {name!r}, which is none of {', '.join(by_name)}"
                )
            by_name[package].handed = listener

    async def run(self) -> bool:
        """Serve until a signal; return whether any service could start."""
        loop = asyncio.get_running_loop()
        for number in _ENDING:
            loop.add_signal_handler(number, self._take, number)
        with ExitStack() as stack:
            if os.environ.get("METRICS_PORT"):
                # No other process imports it.
                from quart_fleet.telemetry._scrapes import telling_together  # noqa: PLC0415

                hosted = [each.hosted for each in self.services]
                stack.enter_context(telling_together(hosted))
            return await self._run_all(loop)

    async def _run_all(self, loop: asyncio.AbstractEventLoop) -> bool:
        tasks = [
            loop.create_task(each.run(), context=each.context, name=each.package)
            for each in self.services
        ]
        await self._settled.wait()
        serving = [each for each in self.services if each.is_serving]
        if not serving:
            self.ending.set()
        with running_process(self._drain):
            await asyncio.wait(tasks)
        return bool(serving) or bool(self._signals)

    def change(self) -> None:
        """Tell a supervisor what has become of the services; it is READY when all of them serve."""
        failed = [each for each in self.services if each.has_failed]
        serving = [each for each in self.services if each.is_serving]
        others = [each for each in self.services if each not in (*failed, *serving)]
        count = len(self.services)
        said = f"{len(serving)} of {count} services serve"
        if failed:
            said += f"; could not start: {', '.join(each.hosted.name for each in failed)}"
        if not others and not self._settled.is_set():
            self._settled.set()
            if serving and count > 1:
                Context().run(_log.info, "%s", said)  # of all, not of one
        lines = [
            *(["READY=1"] if len(serving) == count else ()),
            f"STATUS={said}",
            f"X_STARTING={' '.join(each.package for each in others)}",
            f"X_SERVING={' '.join(each.package for each in serving)}",
            f"X_FAILED={' '.join(each.package for each in failed)}",
        ]
        tell("\n".join(lines))

    def note_closed(self) -> None:
        """Tell a supervisor, at the end, that no service accepts clients any more."""
        if self.ending.is_set() and not any(each.is_listening for each in self.services):
            tell(CLOSED)

    def _drain(self) -> None:
        for each in self.services:
            if each.app is not None:
                each.app.drain()

    def _take(self, number: int) -> None:
        """End in good order at the first signal, at once at the second; the third one kills."""
        if not self._signals:
            apps = [each.app for each in self.services if each.app is not None]
            tell_stopping(max((each.config["GRACEFUL_TIMEOUT"] for each in apps), default=0))
        self._signals.append(number)
        self.ending.set()
        self._settled.set()
        for each in self.services:
            if each.server is not None:
                each.server.handle_exit(number, None)


class _Service(Link):
    """A service: served, and started again where it ends by itself; the others go on meanwhile."""

    def __init__(self, fleet: _Fleet, hosted: HostedService) -> None:
        super().__init__(is_supervised=fleet.is_supervised)
        self._fleet = fleet
        self.package = hosted.name
        self.hosted = hosted
        self.context = Context()
        self.context.run(HOSTED.set, hosted)
        self.handed: socket.socket | None = None
        self.app: ServiceApplication | None = None
        self.server: BoundedServer | None = None
        self.port = 0
        self._loaded: ServiceApplication | str | None = None
        """Its application, or why there is none, until it is served."""
        self.is_listening = self.is_serving = self.has_failed = False
        self._began = 0.0

    async def run(self) -> None:
        """Keep it serving until the process ends."""
        loop, ending, pause = asyncio.get_running_loop(), self._fleet.ending, 0.0
        while not ending.is_set():
            reason = await self._serve()
            if ending.is_set():
                break
            is_steady = self.is_serving and loop.time() - self._began > STEADY_TIME
            pause = FIRST_PAUSE if is_steady else min(max(FIRST_PAUSE, 2 * pause), LONGEST_PAUSE)
            self.is_serving, self.has_failed = False, True
            _log.critical("%s; it is started again in %g s", reason, pause)
            self._fleet.change()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await ending.wait()

    def load(self) -> None:
        """Make its application, or keep the reason why there is none."""
        name = f"{self.package}.app"
        try:
            module = reload(sys.modules[name]) if name in sys.modules else import_module(name)
            self._loaded = cast("ServiceApplication", module.app)
        except SystemExit as refusal:  # as `start` does where settings cannot be used
            self._loaded = in_one_line(str(refusal.code))
        except Exception as error:
            _log.error("It cannot be imported", exc_info=True)
            self._loaded = f"It cannot be imported: {_describe(error)}"[:MOST]

    async def _serve(self) -> str:
        """Serve until the end of the process, or return why it does not."""
        if self._loaded is None:
            await asyncio.to_thread(self.load)  # the others serve meanwhile
        app, self._loaded = self._loaded, None
        if app is None or isinstance(app, str) or self._fleet.ending.is_set():
            return str(app)
        try:
            listener = self._listen(app)
        except ConfigurationError as error:
            return in_one_line(error.message)
        self.app = app
        with ExitStack() as stack:
            stack.callback(listener.close)
            quieter = logging.getLogger("uvicorn.error")

            def is_news(_record: logging.LogRecord) -> bool:
                return HOSTED.get() is not self.hosted or app.start_error is None

            # Before any other filter, which might write the record: the reason is said once.
            quieter.filters.insert(0, is_news)
            stack.callback(quieter.removeFilter, is_news)
            if app.config["SERVICE_REGISTRY_URL"]:
                # No other process imports it: it brings an HTTP client.
                from quart_fleet.server._registration import Registration  # noqa: PLC0415

                registration = stack.enter_context(Registration(app.config))
                app.leave, self._leave = registration.leave, registration.end
            server = self.server = make_server(app, self)
            try:
                await server.serve([listener])
            except SystemExit:  # as uvicorn does where the application does not start
                pass
            except Exception as error:
                _log.error("Its server has ended by an exception", exc_info=True)
                return f"{type(error).__name__}: {error}"[:MOST]
            finally:
                self.app = self.server = None
                self.closed()
        if app.start_error is not None:
            return in_one_line(app.start_error)
        return "It has ended by itself" if server.started else "It cannot start, as its lines say"

    def _listen(self, app: "ServiceApplication") -> socket.socket:
        """Return what it accepts clients by; raises ConfigurationError."""
        host, port = app.config["HOST"], app.config["SERVICE_PORT"]
        if self.handed is not None:
            app.config["SERVICE_PORT"] = port = self.handed.getsockname()[1]
            listener = self.handed.dup()
        else:
            for other in self._fleet.services:
                if other.app is not None and other is not self and other.port == port:
                    raise ConfigurationError(
                        f"Port {port} is that of {other.hosted.name} too: set SERVICE_PORT in the "
                        ".env of one of them"
                    )
            listener = listen(host, port)
        self.port, self.is_listening = port, True
        _log.info("%s on %s", self.hosted.name, written_for_people(host, port))
        return listener

    def serving(self) -> None:
        """Note that connections are accepted."""
        self._began = asyncio.get_running_loop().time()
        self.is_serving, self.has_failed = True, False
        self._fleet.change()

    def closed(self) -> None:
        """Note that the listener is closed."""
        if self.is_listening:
            self.is_listening = False
            self._fleet.note_closed()

    async def leave(self) -> None:
        """Have callers hear that it ends, before it does."""
        if self._leave is not None:
            await asyncio.to_thread(self._leave)


def _describe(error: Exception) -> str:
    """Return what an exception says, after its place in the workspace where it has one."""
    told = traceback.TracebackException.from_exception(error)
    places = [(each.filename, each.lineno) for each in told.stack]
    if isinstance(error, SyntaxError) and error.filename:
        places.append((error.filename, error.lineno))
    root, place = Workspace.find(Path.cwd()).root, ""
    for name, line in places:
        path = Path(name)
        if path.is_relative_to(root) and "site-packages" not in path.parts:
            place = f"{path.relative_to(root)}:{line}: "
    # The place of a SyntaxError is indented; notes and other lines of a message come behind it.
    shown = next(line for line in told.format_exception_only() if not line.startswith(" "))
    return place + shown.partition("\n")[0].strip()
