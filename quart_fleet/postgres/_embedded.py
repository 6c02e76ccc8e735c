"""The embedded PostgreSQL as its users see it; cheap to import, it loads the rest when it is used."""

import logging
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import Future

    from quart_fleet.postgres._server import Server, ServerStatus

_log = logging.getLogger("quart_fleet.postgres")


class EmbeddedPostgres:
    """A PostgreSQL server of one folder, shared by all processes that enter it.

        with EmbeddedPostgres(Path(".postgres")) as url:
            ...

    The first process starts it, and soon after the last one left, or died, it is stopped. An
    instance may be entered several times at once, by `with` and by `async with`.
    Every method may raise EmbeddedPostgresError.
    """

    def __init__(self, folder: Path, *, user: str = "postgres", durable: bool = True) -> None:
        """Take the server of a folder; nothing is started yet.

        Args:
            folder: where its data is, or will be.
            user: the role that logs in: by default the superuser. `migrate` makes the others.
            durable: without it, it is faster, and a power cut may damage its data.
        """
        self._folder = folder
        self._user = user
        self._durable = durable
        self._leases: list[int] = []

    @cached_property
    def _server(self) -> "Server":
        """Loaded late: a service with a DATABASE_URL keeps none of it in memory."""
        from quart_fleet.postgres._server import Server  # noqa: PLC0415

        return Server.of(self._folder, durable=self._durable)

    def __enter__(self) -> str:
        """Return the server's URL, for libpq, psql and asyncpg."""
        self._leases.append(self._server.enter())
        _log.info("Using the embedded PostgreSQL in %s", self._folder)
        return self.url()

    def __exit__(self, *exc: object) -> None:
        self._server.leave(self._leases.pop())

    async def __aenter__(self) -> str:
        import asyncio  # noqa: PLC0415 - importing this module must stay cheap
        import contextvars  # noqa: PLC0415
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

        thread = ThreadPoolExecutor(1)
        entering = thread.submit(contextvars.copy_context().run, self.__enter__)
        thread.shutdown(wait=False)
        try:
            return await asyncio.wrap_future(entering)
        except asyncio.CancelledError:

            def leave(entered: "Future[str]") -> None:
                if not entered.cancelled() and entered.exception() is None:
                    self.__exit__()

            entering.add_done_callback(leave)  # as soon as it was entered
            raise

    async def __aexit__(self, *exc: object) -> None:
        self.__exit__(*exc)

    def start(self) -> str:
        """Start the server, which runs without clients too until `stop`; return its URL."""
        with self as url:
            self._server.pin()
        return url

    def stop(self) -> None:
        """Stop the server at once, even if it has clients; without a server, do nothing."""
        self._server.stop()

    def await_end(self) -> None:
        """Wait until the server that this process has left is stopped, unless others use it."""
        self._server.await_end()

    def find_pid(self) -> int | None:
        """Return the server's process, ready or not; cheap, as it connects to nothing."""
        return self._server.find_pid()

    def status(self) -> "ServerStatus":
        """Return what can be said about the server without changing anything."""
        return self._server.status()

    def url(self) -> str:
        """Return where the server is, or would be, reached."""
        return self._server.layout.url(self._user)
