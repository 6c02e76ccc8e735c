"""A PostgreSQL of the workspace's own, for as long as somebody uses it."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import Future

    from quart_fleet.postgres._tenant import ServerStatus, Tenant


class EmbeddedPostgres:
    """One server, shared by every process that enters it, gone soon after the last one left.

        with EmbeddedPostgres(Path(".postgres")) as url:
            ...

    A process that dies leaves too, however it dies. May be entered several times at once.
    Whatever reaches for it may raise EmbeddedPostgresError.
    """

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        """durable=False trades the data's safety in a power cut for speed: tests, demos."""
        self._folder = folder
        self._durable = durable
        self._leases: list[int] = []

    @cached_property
    def _tenant(self) -> "Tenant":
        """Loaded by who uses it: a service with a DATABASE_URL keeps none of it in memory."""
        from quart_fleet.postgres._tenant import Tenant  # noqa: PLC0415

        return Tenant.of(self._folder, durable=self._durable)

    def __enter__(self) -> str:
        """The server's URL, for libpq, psql and asyncpg."""
        self._leases.append(self._tenant.enter())
        return self.url()

    def __exit__(self, *exc: object) -> None:
        self._tenant.leave(self._leases.pop())

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
            self._tenant.pin()
        return url

    def stop(self) -> None:
        """Stops the server at once, even if others are using it; without one, does nothing."""
        self._tenant.stop()

    def status(self) -> "ServerStatus":
        """What can be said about the server without touching it."""
        return self._tenant.status()

    def url(self) -> str:
        """Where the server is, or would be, reached."""
        return self._tenant.layout.url
