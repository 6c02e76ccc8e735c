"""A PostgreSQL that tests pause, kill, stop and fill."""

import os
import signal
from contextlib import suppress
from pathlib import Path

from quart_fleet.postgres import EmbeddedPostgres


class HarmedServer:
    """The embedded server of a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._embedded = EmbeddedPostgres(folder, durable=False)
        self.url = ""

    @property
    def owner(self) -> int:
        """The user id of its processes."""
        return (self._folder / "data").stat().st_uid

    def start(self) -> None:
        """Start it, and keep it running until `stop`."""
        self.url = self._embedded.start()

    def stop(self) -> None:
        """Stop it as its owner does."""
        self._embedded.stop()

    def pause(self) -> None:
        """Have it answer nothing, while its sockets stay as they are."""
        for pid in self._processes():
            os.kill(pid, signal.SIGSTOP)

    def resume(self) -> None:
        """End `pause`."""
        for pid in self._processes():
            os.kill(pid, signal.SIGCONT)

    def kill(self) -> None:
        """Kill all of its processes."""
        for pid in self._processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _processes(self) -> list[int]:
        """Return its processes, the parent first."""
        parent = int((self._folder / "data" / "postmaster.pid").read_text().split()[0])
        found = [parent]
        for status in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                fields = status.read_text("utf-8", "replace").rpartition(")")[2].split()
                if int(fields[1]) == parent:
                    found.append(int(status.parent.name))
        return found
