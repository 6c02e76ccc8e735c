"""The private folder of the socket, in a place where strangers may write."""

import os
import stat
from contextlib import suppress
from pathlib import Path

from quart_fleet.postgres._account import Account
from quart_fleet.postgres._errors import EmbeddedPostgresError
from quart_fleet.postgres._layout import Layout


def prepare_sockets(layout: Layout, account: Account) -> None:
    with suppress(FileExistsError):
        layout.sockets.mkdir(mode=0o700)
        if account.borrowed:
            os.chown(layout.sockets, account.uid, account.gid)
    _check_private(layout.sockets, account)


def remove_sockets(layout: Layout) -> None:
    """To be called when the server is known to be gone; what it did not make stays."""
    with suppress(OSError):
        remove_socket(layout)
        layout.sockets.rmdir()


def remove_socket(layout: Layout) -> None:
    layout.socket.unlink(missing_ok=True)
    layout.socket_note.unlink(missing_ok=True)


def _check_private(folder: Path, account: Account) -> None:
    found = folder.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == account.uid and not found.st_mode & 0o077:
        return
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() == 0:
        # Ours, from a start that was killed before it gave the folder away.
        os.chown(folder, account.uid, account.gid)
        folder.chmod(0o700)
        return
    raise EmbeddedPostgresError(
        f"{folder} is needed for the socket of PostgreSQL, but is not a private folder of its user"
        f" (uid {account.uid}).\nSomebody else made it: remove it, or set DATABASE_URL."
    )
