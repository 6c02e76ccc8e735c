"""Several processes on one port: they start and end one after another, so that none is missed."""

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing.connection import Connection, Pipe, wait
from multiprocessing.process import BaseProcess
from typing import NoReturn, cast

from quart import Quart

from quart_fleet.asgi._application import ServiceApplication
from quart_fleet.server._supervised import CLOSED, END_TIMEOUT, tell, tell_refusal, tell_stopping

START_TIMEOUT = 120.0
"""Seconds that a worker gets until it serves."""
CLOSE_TIMEOUT = 5.0
"""Seconds that a worker gets to let go of the listener."""
CUT_TIMEOUT = 5.0
"""Seconds that it gets to end at once, at a second signal."""
STEADY_TIME = 10.0
"""Seconds that a worker has to serve for another one to be started at once when it ends."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds until a worker is started again after one that failed; each one more doubles them."""

_log = logging.getLogger(__name__)


class Link:
    """What a process that serves tells the parent of its workers, where it has one."""

    def __init__(
        self,
        parent: Connection | None = None,
        leave: Callable[[], None] | None = None,
        *,
        is_supervised: bool = False,
        grace: float = 0,
    ) -> None:
        self._parent = parent
        self._leave = leave
        self._grace = grace
        """Seconds that running requests get."""
        self._is_supervised = is_supervised
        """Whether the listener is a supervisor's, for the next process to go on with."""

    def is_second(self, number: int, before: Iterable[int]) -> bool:
        """Whether a signal asks a process that ends already to end at once.

        Workers may get SIGTERM from their parent and from what ends their group.
        """
        seen = set(before)
        if number == signal.SIGINT:
            return bool(seen)
        return self._parent is None and number in seen

    def serving(self) -> None:
        """Say that connections are accepted."""
        if self._parent:
            with suppress(ConnectionError):  # it has been killed, and this process ends too
                self._parent.send("serving")
        else:
            tell("READY=1")

    async def leave(self) -> None:
        """Have callers hear that this process ends, before it does; for a second at most.

        The parent of workers does it for them.
        """
        if self._parent is None:
            tell_stopping(self._grace)
        if self._leave is not None:
            await asyncio.to_thread(self._leave)

    def is_last(self) -> bool:
        """Whether no other process accepts what the listener holds."""
        if self._parent is None:
            return not self._is_supervised
        return self._parent.poll()

    def closed(self) -> None:
        """Say that the listener is closed here."""
        if self._parent:
            self._parent.close()
        else:
            tell(CLOSED)


RunServer = Callable[[ServiceApplication, socket.socket, Link], None]
"""Serves until SIGINT or SIGTERM, and then lets running requests finish."""


def work(run: RunServer, path: str, listener: socket.socket, parent: Connection) -> None:
    """Serve in a worker; `path` is where the application is imported from."""
    module, _, name = path.partition(":")
    app = cast("ServiceApplication", getattr(import_module(module), name))
    try:
        run_quietly(run, app, listener, Link(parent))
    except Exception:  # which multiprocessing would print
        _log.critical("A worker ends by an exception", exc_info=True)
        sys.exit(1)


def run_quietly(
    run: RunServer, app: ServiceApplication, listener: socket.socket, link: Link
) -> None:
    """Serve; a start that was refused ends with the reason alone, whatever the server says."""
    # Before any other filter, which might write the record.
    logging.getLogger("uvicorn.error").filters.insert(0, lambda _record: app.start_error is None)
    try:
        run(app, listener, link)
    finally:
        if app.start_error is not None:
            refuse_start(app, app.start_error)


def refuse_start(app: Quart, reason: str) -> NoReturn:
    """End the process with the reason why it cannot serve, and no traceback."""
    tell_refusal(reason)
    if app.config.get("LOG_FORMAT") == "json":
        _log.critical("%s", reason)
        sys.exit(1)
    sys.exit(reason)


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    link: Connection
    since: float | None = None
    """When it began to serve, in seconds of the monotonic clock."""

    def wait_until_closed(self) -> None:
        """Wait until it accepts nothing more."""
        self.link.poll(CLOSE_TIMEOUT)

    def terminate(self) -> None:
        """Have it drain and end."""
        if self.process.pid and self.process.exitcode is None:
            os.kill(self.process.pid, signal.SIGTERM)

    def interrupt(self) -> None:
        """Have it cut what still runs."""
        if self.process.pid and self.process.exitcode is None:
            os.kill(self.process.pid, signal.SIGINT)


@dataclass(slots=True)
class Workers:
    """The parent. SIGTERM ends all, SIGHUP replaces each by a new one that serves already."""

    run: RunServer
    path: str
    listener: socket.socket
    count: int
    grace: float
    leave: Callable[[], None] | None = None
    """Has callers hear that the service ends, before it does."""
    settle: Callable[[], None] | None = None
    """Called where workers have ended, whose files are to be taken in."""
    is_supervised: bool = False
    """Whether the listener is a supervisor's, for the next process to go on with."""
    _serving: list[_Worker] = field(default_factory=list)
    _ending: list[_Worker] = field(default_factory=list)
    """Those that drain, and one that is to take the place of another."""
    _signals: list[int] = field(default_factory=list)
    _has_served: bool = False
    _pause: float = 0.0
    _next_start: float = 0.0
    _awake: socket.socket = field(init=False)

    def serve(self) -> None:
        """Serve until a signal; exits with the code of a worker where none could ever start."""
        self._awake, waker = socket.socketpair()
        self._awake.setblocking(False)
        waker.setblocking(False)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, _frame: self._signals.append(number))
        is_told = False
        try:
            while not self._has_to_end():
                if self._signals:
                    self._signals.clear()
                    self._replace()
                    continue
                is_full = self._fill()
                if is_full and not is_told:
                    is_told = True
                    tell("READY=1")
                pause = None if is_full else self._next_start - time.monotonic()
                if not self._signals:
                    self._wait([each.process.sentinel for each in self._all()], pause)
        finally:
            tell_stopping(self.grace)
            if self.leave is not None:
                self.leave()
            self._end()
            signal.set_wakeup_fd(-1)

    def _all(self) -> list[_Worker]:
        return [*self._ending, *self._serving]

    def _has_to_end(self) -> bool:
        return not {signal.SIGINT, signal.SIGTERM}.isdisjoint(self._signals)

    def _wait(self, others: list[Connection | int], timeout: float | None) -> list[object]:
        """Wait for one of the others or a signal; those that come before it are not lost."""
        ready = wait([self._awake, *others], timeout if timeout is None else max(0, timeout))
        with suppress(BlockingIOError):
            self._awake.recv(len(signal.Signals))
        return list(ready)

    def _comes_to_serve(self, worker: _Worker) -> bool:
        """Return whether it serves; False where it failed, which it then has ended, or at a signal.

        One that takes too long is killed.
        """
        deadline = time.monotonic() + START_TIMEOUT
        while not self._has_to_end() and time.monotonic() < deadline:
            ready = self._wait([worker.link, worker.process.sentinel], deadline - time.monotonic())
            if worker.link in ready:
                with suppress(EOFError, ConnectionError):
                    worker.link.recv()
                    worker.since = time.monotonic()
                    self._has_served = True
                    return True
                worker.process.join(CLOSE_TIMEOUT)
                break
            if worker.process.sentinel in ready:
                break
        if not self._has_to_end():
            worker.process.kill()
            worker.process.join()
        return False

    def _reap(self) -> None:
        """Forget those that have ended; one that did not serve for long is not replaced at once."""
        for worker in self._all():
            if worker.process.exitcode is None:
                continue
            if worker in self._ending:
                self._ending.remove(worker)
                continue
            self._serving.remove(worker)
            if worker.since and time.monotonic() - worker.since > STEADY_TIME:
                self._pause = 0.0
            else:
                self._pause = min(max(FIRST_PAUSE, 2 * self._pause), LONGEST_PAUSE)
            self._next_start = time.monotonic() + self._pause
            ended = "ended by itself" if worker.since else "could not start"
            when = f"is started in {self._pause:g} s" if self._pause else "is started"
            _log.warning("Worker %s %s: another one %s", worker.process.pid, ended, when)
        if self.settle is not None:
            self.settle()

    def _fill(self) -> bool:
        """Start what is missing, and return whether it was time to.

        The first starts alone, so that its refusal is said once.
        """
        self._reap()
        while missing := self.count - len(self._serving):
            if time.monotonic() < self._next_start or self._has_to_end():
                return False
            started = [self._start() for _ in range(missing if self._serving else 1)]
            self._serving += started
            for worker in started:
                if not self._comes_to_serve(worker) and not self._has_served:
                    if self._has_to_end():
                        return False
                    sys.exit(worker.process.exitcode or 1)
            self._reap()
        return True

    def _replace(self) -> None:
        for number, old in enumerate(self._serving):
            new = self._start()
            self._ending.append(new)
            if not self._comes_to_serve(new):
                if not self._has_to_end():
                    _log.error("A new worker could not start: those that serve stay")
                return
            self._ending[-1] = old
            self._serving[number] = new
            old.since = None
            old.terminate()
            if self.settle is not None:
                self.settle()
        self._pause = self._next_start = 0.0

    def _start(self) -> _Worker:
        # No process without workers imports it.
        from quart_fleet.server._spawn import WorkerProcess  # noqa: PLC0415

        ours, theirs = Pipe()
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to workers too
        process = WorkerProcess(target=work, args=(self.run, self.path, self.listener, theirs))
        process.start()
        signal.signal(signal.SIGINT, before)
        theirs.close()
        return _Worker(process, ours)

    def _end(self) -> None:
        """Have all end, the last one when no other accepts: it takes what is left in the queue.

        A second signal has them end at once, a third one kills them.
        """
        self.listener.close()
        handled = len(self._signals)
        seen = [number for number in self._signals if number != signal.SIGHUP]
        alive = [each for each in self._all() if each.process.is_alive()]
        alive.sort(key=lambda each: each.since is not None)
        last = [] if self.is_supervised else alive[-1:]
        others = alive[: len(alive) - len(last)]
        for worker in others:
            worker.terminate()
        for worker in others:
            worker.wait_until_closed()
        if not last:
            tell(CLOSED)
        for worker in last:
            with suppress(OSError):  # it may have ended by itself
                worker.link.send("last")
            worker.terminate()
        deadline, is_cut = time.monotonic() + self.grace + END_TIMEOUT, False
        while time.monotonic() < deadline and (
            alive := [each for each in alive if each.process.exitcode is None]
        ):
            for number in self._signals[handled:]:
                handled += 1
                is_second = number != signal.SIGHUP and Link().is_second(number, seen)
                seen.append(number)
                if not is_second:
                    continue
                deadline = time.monotonic() + (0 if is_cut else CUT_TIMEOUT)
                is_cut = True
                for worker in alive:
                    worker.interrupt()
            self._wait([each.process.sentinel for each in alive], deadline - time.monotonic())
        for worker in self._all():
            worker.process.kill()
            worker.process.join()
