"""A PgBouncer in transaction mode, between a test and the run's PostgreSQL."""

import asyncio
import re
import shutil
import subprocess
import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from quart_fleet.postgres._layout import Account
from tests.contract.wire import TIMEOUT
from tests.ports import reserve_port

SERVER_CONNECTIONS = 3
"""Fewer than any of the clients would like to have, so that they share them."""

_SETTINGS = """\
[databases]
* = host={host} port={port}{user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen_port}
unix_socket_dir =
{login}
pool_mode = {mode}
default_pool_size = {size}
max_client_conn = 200
{prepared}
"""
_ASKING = """\
auth_type = scram-sha-256
auth_file = users
auth_user = postgres
auth_query = SELECT rolname, rolpassword FROM pg_authid WHERE rolname = $1
server_login_retry = 1"""
"""Clients log in by a password, and by what they proved it does the pooler at the server."""
_PREPARED_SINCE = (1, 21)
"""Versions that can follow prepared statements; told not to, they are as the older ones."""


@dataclass(frozen=True, slots=True)
class Pooler:
    """Where databases are reached through it."""

    port: int
    server: str

    def url(self, database_url: str) -> str:
        """Return the way to a database of the server through the pooler."""
        parts = urlsplit(database_url)
        user = parts.username or "postgres"
        return f"postgresql://{user}@127.0.0.1:{self.port}{parts.path}?sslmode=disable"


def find_program() -> str | None:
    """Return where pgbouncer is, None where it is not installed."""
    return shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")


@asynccontextmanager
async def pooling(
    program: str,
    server_url: str,
    mode: str = "transaction",
    size: int = SERVER_CONNECTIONS,
    prepared: int = 0,
    *,
    asks: bool = False,
) -> AsyncIterator[Pooler]:
    """Run a PgBouncer before a server; as another user where we are root, which it refuses.

    With `asks`, it wants the passwords of the server's roles; the server lets `postgres` in.
    """
    with tempfile.TemporaryDirectory(prefix="pgbouncer-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        account, port = Account.for_data(folder / "data"), reserve_port()
        settings = folder / "pgbouncer.ini"
        text = _render(program, server_url, port, asks)
        (folder / "users").write_text('"postgres" ""\n')
        settings.write_text(text.format(mode=mode, size=size, prepared=prepared))
        with (folder / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                program, settings.name, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                user=account.uid if account.is_other else None,
                group=account.gid if account.is_other else None,
                extra_groups=[] if account.is_other else None,
            )  # fmt: skip
        try:
            await _answers(process, port, folder / "log")
            yield Pooler(port, server_url)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


def _render(program: str, server_url: str, port: int, asks: bool) -> str:
    parts = urlsplit(server_url)
    options = parse_qs(parts.query)
    setting = "max_prepared_statements = {prepared}" if follows_statements(program) else ""
    return _SETTINGS.format(
        host=parts.hostname or options["host"][0],
        port=parts.port or options.get("port", ["5432"])[0],
        user="" if asks else f" user={parts.username or 'postgres'}",
        login=_ASKING if asks else "auth_type = any",
        listen_port=port,
        size="{size}",
        mode="{mode}",
        prepared=setting,
    )


def follows_statements(program: str) -> bool:
    """Whether it can follow prepared statements, as CloudNativePG's does."""
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    major, minor = re.findall(r"\d+", version.stdout)[:2]
    return (int(major), int(minor)) >= _PREPARED_SINCE


async def _answers(process: Process, port: int, log: Path) -> None:
    async with asyncio.timeout(TIMEOUT):
        while True:
            if process.returncode is not None:
                raise AssertionError(f"pgbouncer ended:\n{log.read_text()}")
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return
