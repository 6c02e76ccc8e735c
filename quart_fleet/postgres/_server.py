"""The one server of a folder, as each of its clients uses it."""

import os
import shutil
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from quart_fleet.postgres._cluster import Cluster
from quart_fleet.postgres._errors import EmbeddedPostgresError
from quart_fleet.postgres._layout import Layout
from quart_fleet.postgres._locks import (
    attempts,
    is_held,
    open_existing_lock,
    opened,
    take_exclusive,
)
from quart_fleet.postgres._postmaster import (
    Postmaster,
    end_unreachable,
    find_pid,
    find_ready_postmaster,
    find_unreachable_postmaster,
    is_pin_of,
    is_pinned,
    pin,
    shut_down,
    unpin,
)
from quart_fleet.postgres._reaper import await_end, end_lease, take_lease

_START_TIMEOUT = 60
_YOUNG = 60
"""Seconds in which a folder may still be made."""


def remove_abandoned(place: Path, pattern: str) -> None:
    """Remove the folders of servers that ended and left them, as those of tests that were killed."""
    for folder in place.glob(pattern):
        with suppress(OSError):
            layout, found = Layout.of(folder), folder.lstat()
            is_ours = found.st_uid == os.geteuid() and stat.S_ISDIR(found.st_mode)
            if not is_ours or time.time() - found.st_mtime < _YOUNG or layout.pin.exists():
                continue
            lease = open_existing_lock(layout.lease)
            try:
                if take_exclusive(lease):  # neither a client nor a reaper that still stops it
                    shutil.rmtree(folder)
            finally:
                os.close(lease)


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """What can be said about a server without changing anything."""

    running: bool
    pinned: bool
    """Whether it runs without clients too, until it is stopped."""
    pid: int | None
    version: str | None
    """Of the programs that run it, or would; None where none are found."""
    url: str
    folder: Path
    log: Path
    source: str | None
    """Where the programs were found."""


@dataclass(frozen=True, slots=True)
class Server:
    """The server of one folder, shared by all processes that hold a lease of it."""

    layout: Layout
    durable: bool

    @classmethod
    def of(cls, folder: Path, *, durable: bool) -> Self:
        """Return the server of a folder; nothing is started."""
        return cls(Layout.of(folder), durable)

    def enter(self) -> int:
        """Start the server if need be and return a lease; raises EmbeddedPostgresError."""
        try:
            lease = take_lease(self.layout)
            try:
                self._ensure_running()
            except BaseException:
                end_lease(self.layout, lease)
                raise
        except OSError as error:
            raise EmbeddedPostgresError(
                f"PostgreSQL in {self.layout.folder} cannot be used: {error}.\n"
                "Put that right, or set DATABASE_URL."
            ) from error
        return lease

    def leave(self, lease: int) -> None:
        """End the lease."""
        end_lease(self.layout, lease)

    def await_end(self) -> None:
        """Wait until the server has stopped after its last client, unless others use it."""
        await_end(self.layout)

    def pin(self) -> None:
        """Keep the server running without clients; the caller holds a lease."""
        pin(self.layout, self._ensure_running())

    def stop(self) -> None:
        """Stop the server at once, even if it has clients; without a server, do nothing."""
        if not self.layout.folder.exists():
            return
        lease = take_lease(self.layout)  # killed here, this process is succeeded by the reaper
        try:
            unpin(self.layout)
            with opened(self.layout.server) as lock:
                shut_down(self.layout, lock)
        finally:
            end_lease(self.layout, lease)

    def find_pid(self) -> int | None:
        """Return its process, ready or not; cheap enough to be asked again and again."""
        return find_pid(self.layout)

    def status(self) -> ServerStatus:
        """Look at the server from outside."""
        postmaster = find_ready_postmaster(self.layout)
        programs = None
        with suppress(EmbeddedPostgresError):
            programs = Cluster.of(self.layout).programs
        return ServerStatus(
            running=postmaster is not None,
            pinned=is_pinned(self.layout),
            pid=postmaster.pid if postmaster else None,
            version=programs.version if programs else None,
            url=self.layout.url("postgres"),
            folder=self.layout.folder,
            log=self.layout.log,
            source=programs.source if programs else None,
        )

    def _ensure_running(self) -> Postmaster:
        """Return the server, started by this process or another; the caller holds a lease."""
        was_pinned = False
        for _ in attempts(_START_TIMEOUT):
            if postmaster := find_ready_postmaster(self.layout):
                if was_pinned:
                    pin(self.layout, postmaster)
                return postmaster
            with opened(self.layout.server) as lock:
                if not take_exclusive(lock):
                    lost = find_unreachable_postmaster(self.layout)
                    if lost is None:
                        continue
                    was_pinned |= is_pin_of(self.layout, lost)
                    if not end_unreachable(self.layout, lost, lock):
                        continue
                # It may have started and ended since the look at it: then it starts again.
                cluster = Cluster.of(self.layout)
                log_size = self.layout.log.stat().st_size if self.layout.log.exists() else 0
                cluster.start(lock, durable=self.durable)
            self._await_readiness(cluster, log_size)
        raise self._not_ready()

    def _await_readiness(self, cluster: Cluster, log_size: int) -> None:
        for _ in attempts(_START_TIMEOUT):
            if find_ready_postmaster(self.layout):
                return
            if not is_held(self.layout.server):
                raise EmbeddedPostgresError(
                    f"{cluster.programs} did not start: {cluster.read_log(log_size)}\n"
                    f"See {self.layout.log}."
                )
        raise self._not_ready()

    def _not_ready(self) -> EmbeddedPostgresError:
        return EmbeddedPostgresError(
            f"PostgreSQL in {self.layout.folder} was not ready after {_START_TIMEOUT} s.\n"
            f"See {self.layout.log}."
        )
