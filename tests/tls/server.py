"""A server whose certificate and rules a test may exchange while it runs."""

import asyncio
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from quart_fleet.postgres._layout import Account
from tests.tls.authority import Pair

_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Server:
    """Where it listens, on TCP alone."""

    programs: Path
    data: Path
    account: Account
    port: int

    @property
    def options(self) -> list[str]:
        """What `postgres` is started with."""
        settings = {
            "listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": "",
            "fsync": "off", "ssl": "on", "ssl_cert_file": "server.crt", "ssl_key_file": "server.key",
            "ssl_ca_file": "root.crt",
        }  # fmt: skip
        return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]

    def url(self, query: str = "", host: str = "localhost") -> str:
        """Return its address."""
        return f"postgresql://postgres@{host}:{self.port}/postgres{query}"

    def install(self, pair: Pair, authority: Path) -> None:
        """Give it a certificate, and the authority of its clients' certificates."""
        for source, name in ((pair.certificate, "server.crt"), (pair.key, "server.key"),
                             (authority, "root.crt")):  # fmt: skip
            target = self.data / name
            shutil.copy(source, target)
            target.chmod(0o600)
            os.chown(target, self.account.uid, self.account.gid)

    def admit(self, *rules: str) -> None:
        """Exchange the rules by which it admits clients."""
        file = self.data / "pg_hba.conf"
        file.write_text("".join(f"{rule}\n" for rule in rules))

    def reload(self) -> None:
        """Have it read its files again, and wait until it has."""
        subprocess.run(
            ["kill", "-HUP", (self.data / "postmaster.pid").read_text().split()[0]], check=True
        )
        time.sleep(0.3)

    def await_readiness(self, process: subprocess.Popen[str]) -> None:
        """Return when it answers."""
        deadline = time.monotonic() + _TIMEOUT
        while time.monotonic() < deadline:
            assert process.poll() is None, (self.data.parent / "log").read_text()
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", self.port)) == 0:
                    try:
                        asyncio.run(self._ask())
                    except (OSError, asyncpg.PostgresError):
                        pass
                    else:
                        return
            time.sleep(0.1)
        raise AssertionError("the server does not answer")

    async def _ask(self) -> None:
        connection = await asyncpg.connect(self.url("?sslmode=disable"))
        await connection.close()
