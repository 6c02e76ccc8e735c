"""A PostgreSQL of the workspace's own, for as long as somebody uses it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from db_manager.embedded.account import Account
from db_manager.embedded.cluster import find_major
from db_manager.embedded.errors import EmbeddedPostgresError
from db_manager.embedded.layout import Layout
from db_manager.embedded.locks import opened
from db_manager.embedded.pin import is_pinned, pin, unpin
from db_manager.embedded.postmaster import find_ready_postmaster
from db_manager.embedded.programs import Programs, get_programs
from db_manager.embedded.server import get_running, give_back, take_lease
from db_manager.embedded.shutdown import shut_down

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError", "ServerStatus"]


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


class EmbeddedPostgres:
    """One server, shared by every process that enters it, gone soon after the last one left.

        with EmbeddedPostgres.of_workspace() as url:
            ...

    A process that dies leaves too, however it dies. May be entered several times at once.
    """

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        """durable=False trades the data's safety in a power cut for speed: tests, demos."""
        self._layout = Layout.of(folder)
        self._durable = durable
        self._leases: list[int] = []

    @classmethod
    def of_workspace(cls) -> Self:
        """The one that db_manager and every service of the workspace share."""
        return cls(Path(__file__).resolve().parent.parent / ".postgres")

    def __enter__(self) -> str:
        """The server's URL, for libpq, psql and asyncpg; raises EmbeddedPostgresError."""
        try:
            self._leases.append(self._enter())
        except OSError as error:
            raise EmbeddedPostgresError(
                f"PostgreSQL in {self._layout.folder} cannot be used: {error}.\n"
                "Put that right, or set DATABASE_URL."
            ) from error
        return self.url()

    def _enter(self) -> int:
        lease = take_lease(self._layout)
        try:
            get_running(self._layout, durable=self._durable)
        except BaseException:
            give_back(self._layout, lease)
            raise
        return lease

    def __exit__(self, *exc: object) -> None:
        give_back(self._layout, self._leases.pop())

    async def __aenter__(self) -> str:
        import asyncio  # noqa: PLC0415 - importing this module must stay cheap
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

        thread = ThreadPoolExecutor(1)
        entering = thread.submit(self.__enter__)
        thread.shutdown(wait=False)
        try:
            return await asyncio.wrap_future(entering)
        except asyncio.CancelledError:
            entering.add_done_callback(self._leave)
            raise

    def _leave(self, entering: "Future[str]") -> None:
        """Leave as soon as it was entered: nobody waits for that any more."""
        if not entering.cancelled() and entering.exception() is None:
            self.__exit__()

    async def __aexit__(self, *exc: object) -> None:
        self.__exit__(*exc)

    def start(self) -> str:
        """Starts the server and keeps it running, used or not, until stop()."""
        with self as url:
            pin(self._layout, get_running(self._layout, durable=self._durable))
        return url

    def stop(self) -> None:
        """Stops the server at once, even if others are using it; without one, does nothing."""
        if not self._layout.folder.exists():
            return
        # As a user of it: should we be killed half-way, the reaper carries on.
        lease = take_lease(self._layout)
        try:
            unpin(self._layout)
            with opened(self._layout.server) as lock:
                shut_down(self._layout, lock)
        finally:
            give_back(self._layout, lease)

    def status(self) -> ServerStatus:
        postmaster = find_ready_postmaster(self._layout)
        programs = self._find_programs()
        return ServerStatus(
            running=postmaster is not None,
            pinned=is_pinned(self._layout),
            pid=postmaster.pid if postmaster else None,
            version=programs.version if programs else None,
            url=self.url(),
            folder=self._layout.folder,
            log=self._layout.log,
            source=programs.source if programs else None,
        )

    def url(self) -> str:
        """Where the server is, or would be, reached."""
        return self._layout.url

    def _find_programs(self) -> Programs | None:
        try:
            account = Account.for_data(self._layout.data)
            return get_programs(account, find_major(self._layout))
        except EmbeddedPostgresError:
            return None
