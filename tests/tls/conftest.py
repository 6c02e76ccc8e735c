"""A PostgreSQL that speaks TLS; the wheel's has no OpenSSL, so it must be one of the system's."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from quart_fleet.postgres._layout import Account
from quart_fleet.postgres._programs import SYSTEM_FOLDERS, spawn
from tests.ports import reserve_port
from tests.tls.authority import Authority
from tests.tls.server import Server


def _skip(reason: str) -> None:
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)


def _find_programs() -> Path:
    """Return the folder of a PostgreSQL that was built with OpenSSL; skips where none is."""
    if shutil.which("openssl") is None:
        _skip("openssl is not installed")
    on_path = shutil.which("postgres")
    folders = [Path(on_path).resolve().parent] if on_path else []
    for pattern in SYSTEM_FOLDERS:
        folders += Path("/").glob(pattern.removeprefix("/"))
    for folder in folders:
        linked = subprocess.run(
            ["ldd", folder / "postgres"], capture_output=True, text=True, check=False
        )
        if "libssl" in linked.stdout:
            return folder
    _skip("no PostgreSQL with OpenSSL is installed")
    raise AssertionError


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The one that clients trust."""
    _find_programs()
    return Authority(tmp_path_factory.mktemp("authorities"), "trusted")


@pytest.fixture(scope="session")
def stranger(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One that clients do not trust."""
    return Authority(tmp_path_factory.mktemp("authorities"), "stranger")


@pytest.fixture(scope="session")
def server(authority: Authority) -> Iterator[Server]:
    """A server with a good certificate for localhost, which tests may exchange."""
    programs = _find_programs()
    with tempfile.TemporaryDirectory(prefix="pg-tls-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # root's is no other user's
        data = folder / "data"
        account = Account.for_data(data)
        data.mkdir(mode=0o700)
        os.chown(data, account.uid, account.gid)
        own = Server(programs, data, account, reserve_port())
        command = [str(programs / "initdb"), "-D", str(data), "-U", "postgres"]
        command += ["--auth=trust", "--no-sync", "--locale=C", "--encoding=UTF8"]
        with spawn(account, command, Path("/")) as process:
            output, _ = process.communicate()
        assert process.returncode == 0, output
        own.install(authority.sign("server", alternative="DNS:localhost"), authority.certificate)
        command = [str(programs / "postgres"), "-D", str(data), *own.options]
        log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT)
        with spawn(account, command, Path("/"), output=log) as process:
            os.close(log)
            try:
                own.await_readiness(process)
                yield own
            finally:
                process.send_signal(signal.SIGINT)  # its fast shutdown
