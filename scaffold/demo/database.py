"""The demo's database: the workspace's own server, or a new database on the caller's server."""

import asyncio
import subprocess
from dataclasses import dataclass
from secrets import token_hex
from typing import Self
from urllib.parse import urlsplit

from scaffold.demo.errors import DemoError
from scaffold.demo.sandbox import Installation


@dataclass(frozen=True, slots=True)
class OwnDatabase:
    """A database beside the caller's, whose tables are never touched."""

    server: str
    """The caller's DATABASE_URL, as asyncpg reads it."""
    name: str

    @classmethod
    def create(cls, url: str) -> Self:
        """Make it on the server that `url` names; raises DemoError."""
        server = url.replace("postgresql+asyncpg://", "postgresql://", 1)
        database = cls(server, f"quart_fleet_demo_{token_hex(4)}")
        asyncio.run(_execute(server, f'CREATE DATABASE "{database.name}"'))
        return database

    @property
    def url(self) -> str:
        """The DATABASE_URL of the demo."""
        return urlsplit(self.server)._replace(path=f"/{self.name}").geturl()

    def drop(self) -> None:
        """Remove it, whoever is still connected; raises DemoError."""
        asyncio.run(_execute(self.server, f'DROP DATABASE "{self.name}" WITH (FORCE)'))


def stop_embedded_server(installation: Installation) -> None:
    """See that the workspace's server, which nobody uses any more, is gone before its folder."""
    place = installation.place()
    subprocess.run(  # noqa: S603 - the workspace's own command
        [installation.python, "-m", "db_manager", "postgres", "stop"],
        cwd=place.folder,
        env=dict(place.environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        start_new_session=True,
        check=False,
    )


async def _execute(url: str, statement: str) -> None:
    import asyncpg  # noqa: PLC0415 - only where DATABASE_URL is set

    try:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DemoError(
            f"DATABASE_URL: {statement.partition(' WITH')[0]}: {error or type(error).__name__}\n"
            "The demo uses a database of its own there, never yours; unset DATABASE_URL and it "
            "brings its own server."
        ) from None
