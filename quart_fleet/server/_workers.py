"""Several processes on one port: they start and end one after another, so that none is missed."""

import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import cast

from quart_fleet.asgi._application import ServiceApplication

START_TIMEOUT = 120.0
"""Seconds that a worker gets until it serves."""
CLOSE_TIMEOUT = 5.0
"""Seconds that a worker gets to let go of the listener."""
END_TIMEOUT = 20.0
"""Seconds that a worker gets to close its database, after those of its requests."""

_log = logging.getLogger(__name__)
_spawn = get_context("spawn")


class Link:
    """What a process that serves tells the parent of its workers, where it has one."""

    def __init__(self, parent: Connection | None = None) -> None:
        self._parent = parent

    def serving(self) -> None:
        """Say that connections are accepted."""
        if self._parent:
            self._parent.send("serving")

    def is_last(self) -> bool:
        """Whether no other process accepts what the listener holds."""
        return self._parent is None or self._parent.poll()

    def closed(self) -> None:
        """Say that the listener is closed here."""
        if self._parent:
            self._parent.close()


RunServer = Callable[[ServiceApplication, socket.socket, Link], None]
"""Serves until SIGINT or SIGTERM, and then lets running requests finish."""


def work(run: RunServer, path: str, listener: socket.socket, parent: Connection) -> None:
    """Serve in a worker; `path` is where the application is imported from."""
    module, _, name = path.partition(":")
    app = cast("ServiceApplication", getattr(import_module(module), name))
    run_quietly(run, app, listener, Link(parent))


def run_quietly(
    run: RunServer, app: ServiceApplication, listener: socket.socket, link: Link
) -> None:
    """Serve; a start that was refused ends with the reason alone, whatever the server says."""
    logging.getLogger("uvicorn.error").addFilter(lambda _record: app.start_error is None)
    try:
        run(app, listener, link)
    finally:
        if app.start_error is not None:
            sys.exit(app.start_error)


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    link: Connection
    is_serving: bool = False

    def wait_until_serving(self) -> bool:
        """Return whether it serves; False where it ended, or takes too long."""
        if self.link in wait([self.link, self.process.sentinel], START_TIMEOUT):
            try:
                self.is_serving = self.link.recv() == "serving"
            except EOFError:
                self.process.join()
        return self.is_serving

    def wait_until_closed(self) -> None:
        """Wait until it accepts nothing more."""
        self.link.poll(CLOSE_TIMEOUT)

    def terminate(self) -> None:
        """Have it drain and end."""
        if self.process.pid and self.process.exitcode is None:
            os.kill(self.process.pid, signal.SIGTERM)


@dataclass(slots=True)
class Workers:
    """The parent. SIGTERM ends all, SIGHUP replaces each by a new one that serves already."""

    run: RunServer
    path: str
    listener: socket.socket
    count: int
    grace: float
    _serving: list[_Worker] = field(default_factory=list)
    _ending: list[_Worker] = field(default_factory=list)
    _signals: list[int] = field(default_factory=list)

    def serve(self) -> None:
        """Serve until a signal; exits with the code of a worker that could not start."""
        awake, waker = socket.socketpair()
        awake.setblocking(False)
        waker.setblocking(False)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, _frame: self._signals.append(number))
        try:
            self._fill()
            while not {signal.SIGINT, signal.SIGTERM} & set(self._signals):
                if self._signals:
                    self._signals.clear()
                    self._replace()
                wait([awake, *(each.process.sentinel for each in self._all())])
                with suppress(BlockingIOError):
                    awake.recv(len(signal.Signals))
                if not self._signals:
                    self._fill()
        finally:
            signal.set_wakeup_fd(-1)
            self._end()

    def _all(self) -> list[_Worker]:
        return [*self._serving, *self._ending]

    def _fill(self) -> None:
        """Start what is missing: the first alone, so that its refusal is said once."""
        for worker in self._all():
            if worker.process.exitcode is None:
                continue
            if worker in self._serving:
                self._serving.remove(worker)
                _log.warning(
                    "Worker %s ended by itself: another one is started", worker.process.pid
                )
            else:
                self._ending.remove(worker)
        while missing := self.count - len(self._serving):
            started = [self._start() for _ in range(missing if self._serving else 1)]
            self._serving += started
            for worker in started:
                if not worker.wait_until_serving():
                    sys.exit(worker.process.exitcode or 1)

    def _replace(self) -> None:
        for number, old in enumerate(self._serving):
            new = self._start()
            if not new.wait_until_serving():
                _log.error("A new worker could not start: those that serve stay")
                new.process.kill()
                return
            self._serving[number] = new
            self._ending.append(old)
            old.terminate()

    def _start(self) -> _Worker:
        ours, theirs = _spawn.Pipe()
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to workers too
        process = _spawn.Process(target=work, args=(self.run, self.path, self.listener, theirs))
        process.start()
        signal.signal(signal.SIGINT, before)
        theirs.close()
        return _Worker(process, ours)

    def _end(self) -> None:
        """Have all end, the last one when no other accepts: it takes what is left in the queue."""
        self.listener.close()
        alive = [each for each in self._all() if each.process.is_alive()]
        for worker in alive[:-1]:
            worker.terminate()
        for worker in alive[:-1]:
            worker.wait_until_closed()
        for last in alive[-1:]:
            with suppress(OSError):  # it may have ended by itself
                last.link.send("last")
            last.terminate()
        deadline = time.monotonic() + self.grace + END_TIMEOUT
        for worker in self._all():
            worker.process.join(max(0, deadline - time.monotonic()))
            worker.process.kill()
            worker.process.join()
