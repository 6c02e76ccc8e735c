"""Where a fleet that is up is found: a short folder of this user's, named by the workspace's real path.

The supervisor holds a lock of the folder, and so does its reaper until what a killed one left has
ended and the folder is gone: whatever the lock is free of can be replaced.
"""

import errno
import fcntl
import os
import shutil
import stat
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from socket import AF_UNIX, SOL_SOCKET
from socket import socket as Socket  # noqa: N812 - the name is that of a field

from scaffold.errors import ScaffoldError

if sys.platform == "linux":
    from socket import SO_PEERCRED

_SOCKET = "control.sock"
_LEFT_TIMEOUT = 60.0
"""Seconds in which what a killed supervisor left must have ended."""
ANSWER_TIMEOUT = 5.0
"""Seconds in which a supervisor that is not suspended takes a command, and says something."""
_POLL_INTERVAL = 0.1


class SilentError(ScaffoldError):
    """A supervisor is there and takes no command, as where it is suspended."""

    def __init__(self, connection: Socket | None = None) -> None:
        """Name its process, which a connection tells on Linux."""
        process, number = "its process", "its number"
        if connection is not None and sys.platform == "linux":
            size = struct.calcsize("3i")
            peer = connection.getsockopt(SOL_SOCKET, SO_PEERCRED, size)
            number = str(struct.unpack("3i", peer)[0])
            process = f"process {number}"
        super().__init__(
            f"The fleet is up, but {process} does not answer. Where it is suspended, `fg` in its "
            f"terminal or `kill -CONT {number}` has it go on; `kill -9 {number}` ends it."
        )


@dataclass(frozen=True, slots=True)
class Place:
    """The folder of a workspace's fleet, which need not be there."""

    folder: Path

    @classmethod
    def of(cls, root: Path) -> "Place":
        """Return that of a workspace."""
        name = sha256(os.fsencode(root.resolve())).hexdigest()[:12]
        # Not TMPDIR, which differs between shells: each has to find the same.
        shared = Path("/tmp")  # noqa: S108 - the folder in it is private, and its owner is checked
        is_usable = os.access(shared, os.W_OK | os.X_OK)
        parent = shared if is_usable else Path(tempfile.gettempdir())
        return cls(parent / f"fleet-{os.geteuid()}-{name}")

    @property
    def socket(self) -> Path:
        """Where the supervisor takes commands."""
        return self.folder / _SOCKET

    def find_connection(self) -> Socket | None:
        """Connect to the supervisor, or return None where none takes commands.

        Raises ScaffoldError for a folder that is not this user's alone, and SilentError.
        """
        end = time.monotonic() + ANSWER_TIMEOUT
        while self._is_there():
            connection = Socket(AF_UNIX)
            # Without a limit it would wait for a suspended one that many have called already.
            connection.settimeout(ANSWER_TIMEOUT)
            try:
                connection.connect(str(self.socket))
            except BlockingIOError:
                connection.close()
            except OSError:
                connection.close()
                return None
            else:
                return connection
            if time.monotonic() > end:
                raise SilentError
            time.sleep(_POLL_INTERVAL)
        return None

    def is_up(self) -> bool:
        """Whether a supervisor takes commands; raises ScaffoldError as `find_connection`."""
        if connection := self.find_connection():
            connection.close()
        return connection is not None

    @contextmanager
    def held(self) -> Iterator[int]:
        """Have the folder, empty, during a block; gives the descriptor whose copies hold its lock.

        Raises ScaffoldError where a fleet is up already, or the folder cannot be used. The reaper
        removes the folder, or else this does.
        """
        lock = -1
        try:
            lock = self._lock()
            for entry in self.folder.iterdir():  # of a supervisor that was killed with its reaper
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
            yield lock
        finally:
            with suppress(OSError, ScaffoldError):
                # As where a signal came before the reaper knew of the folder.
                if lock < 0 and self._is_there():
                    lock = self._take()
                if os.path.samestat(os.fstat(lock), self.folder.stat()):
                    shutil.rmtree(self.folder)
            if lock >= 0:
                os.close(lock)

    @contextmanager
    def outlived(self) -> Iterator[None]:
        """After a block, wait until the supervisor that was there before it has gone, and its reaper."""
        try:
            lock = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:
            yield
            return
        try:
            yield
            fcntl.flock(lock, fcntl.LOCK_SH)  # of the folder that is removed before they have gone
        finally:
            os.close(lock)

    def _lock(self) -> int:
        end = time.monotonic() + _LEFT_TIMEOUT
        while True:
            try:
                self.folder.mkdir(mode=0o700, exist_ok=True)
            except OSError as error:
                raise ScaffoldError(f"{self.folder} cannot be made: {error.strerror}.") from None
            self._is_there()
            try:
                return self._take()
            except FileNotFoundError:  # it has just been removed
                pass
            except BlockingIOError:
                if self.is_up():
                    raise ScaffoldError(
                        "The fleet is up already: see python -m scaffold ps."
                    ) from None
            if time.monotonic() > end:
                raise ScaffoldError(
                    f"What a fleet that was killed left does not end: see {self.folder}."
                )
            time.sleep(_POLL_INTERVAL)

    def _take(self) -> int:
        """Return the lock of the folder that is there; raises OSError where it is another's."""
        lock = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(lock), self.folder.stat()):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        except BaseException:
            os.close(lock)
            raise
        return lock

    def _is_there(self) -> bool:
        """Whether the folder exists; raises ScaffoldError where it is not this user's alone."""
        try:
            found = self.folder.lstat()
        except FileNotFoundError:
            return False
        if (
            not stat.S_ISDIR(found.st_mode)
            or found.st_uid != os.geteuid()
            or found.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
        ):
            raise ScaffoldError(
                f"{self.folder} is not a folder of this user alone. Remove it, or have it removed."
            )
        return True
