"""One user of the embedded server among others: comes, stays, goes, and may stop it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from quart_fleet.postgres._account import Account
from quart_fleet.postgres._cluster import find_major
from quart_fleet.postgres._errors import EmbeddedPostgresError
from quart_fleet.postgres._layout import Layout
from quart_fleet.postgres._locks import opened
from quart_fleet.postgres._pin import is_pinned, pin, unpin
from quart_fleet.postgres._postmaster import find_ready_postmaster
from quart_fleet.postgres._programs import Programs, get_programs
from quart_fleet.postgres._server import get_running, give_back, take_lease
from quart_fleet.postgres._shutdown import shut_down


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """What can be said about a server without touching it."""

    running: bool
    pinned: bool
    pid: int | None
    version: str | None
    url: str
    folder: Path
    log: Path
    source: str | None


@dataclass(frozen=True, slots=True)
class Tenant:
    """Whose leases end with its process, however that dies."""

    layout: Layout
    durable: bool

    @classmethod
    def of(cls, folder: Path, *, durable: bool) -> Self:
        return cls(Layout.of(folder), durable)

    def enter(self) -> int:
        """Returns a lease of the server, which is brought up if need be."""
        try:
            return self._enter()
        except OSError as error:
            raise EmbeddedPostgresError(
                f"PostgreSQL in {self.layout.folder} cannot be used: {error}.\n"
                "Put that right, or set DATABASE_URL."
            ) from error

    def _enter(self) -> int:
        lease = take_lease(self.layout)
        try:
            get_running(self.layout, durable=self.durable)
        except BaseException:
            give_back(self.layout, lease)
            raise
        return lease

    def leave(self, lease: int) -> None:
        give_back(self.layout, lease)

    def pin(self) -> None:
        """Keeps the server running when nobody uses it; to be called with a lease in hand."""
        pin(self.layout, get_running(self.layout, durable=self.durable))

    def stop(self) -> None:
        """Stops the server at once, even if others are using it; without one, does nothing."""
        if not self.layout.folder.exists():
            return
        # As a user of it: should we be killed half-way, the reaper carries on.
        lease = take_lease(self.layout)
        try:
            unpin(self.layout)
            with opened(self.layout.server) as lock:
                shut_down(self.layout, lock)
        finally:
            give_back(self.layout, lease)

    def status(self) -> ServerStatus:
        """Looks at the server from outside."""
        postmaster = find_ready_postmaster(self.layout)
        programs = self._find_programs()
        return ServerStatus(
            running=postmaster is not None,
            pinned=is_pinned(self.layout),
            pid=postmaster.pid if postmaster else None,
            version=programs.version if programs else None,
            url=self.layout.url,
            folder=self.layout.folder,
            log=self.layout.log,
            source=programs.source if programs else None,
        )

    def _find_programs(self) -> Programs | None:
        try:
            account = Account.for_data(self.layout.data)
            return get_programs(account, find_major(self.layout))
        except EmbeddedPostgresError:
            return None
