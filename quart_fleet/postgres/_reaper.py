"""The process that stops the server after its last client: python -m quart_fleet.postgres._reaper

Detached from the process that starts it, and asleep in the kernel until the last lease ends.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from quart_fleet.postgres._errors import EmbeddedPostgresError
from quart_fleet.postgres._layout import Layout
from quart_fleet.postgres._locks import (
    attempts,
    await_exclusive,
    find_folder,
    is_held,
    open_lock,
    opened,
    take_exclusive,
    take_shared,
)
from quart_fleet.postgres._postmaster import is_pinned, shut_down
from quart_fleet.postgres._programs import make_environment

_IMPORT_ROOT = Path(__file__).resolve().parents[2]
_REAPER_TIMEOUT = 10
_STOP_TIMEOUT = 60
_FAILURE = "The process that stops PostgreSQL when it is no longer used"


def take_lease(layout: Layout) -> int:
    """Become a client: return the lease, after a reaper that is stopping the server has ended.

    Raises EmbeddedPostgresError.
    """
    layout.make_folder()
    lease = open_lock(layout.lease)
    try:
        for _ in attempts(_STOP_TIMEOUT):
            if take_shared(lease):
                ensure_reaper(layout)
                return lease
        raise EmbeddedPostgresError(
            f"PostgreSQL has been stopping for {_STOP_TIMEOUT} s.\nSee {layout.log}, then try again."
        )
    except BaseException:
        os.close(lease)
        raise


def end_lease(layout: Layout, lease: int) -> None:
    """End being a client, with a reaper watching: the kernel may have killed it for its memory."""
    try:
        if layout.reaper.exists():
            ensure_reaper(layout)
    finally:
        os.close(lease)


def await_end(layout: Layout) -> None:
    """Wait until the reaper has stopped the server, unless others hold a lease."""
    for _ in attempts(_STOP_TIMEOUT):
        if not is_held(layout.reaper):
            return
        with opened(layout.lease) as lease:
            if not take_exclusive(lease) and take_shared(lease):
                return


def ensure_reaper(layout: Layout) -> None:
    """Start a reaper where none watches; the caller holds a lease."""
    for _ in attempts(_REAPER_TIMEOUT):
        if is_held(layout.reaper):
            return
        done = subprocess.run(  # noqa: S603 - our own module, our own interpreter
            [sys.executable, "-SP", "-m", "quart_fleet.postgres._reaper", str(layout.folder)],
            cwd="/",
            env=make_environment(PYTHONPATH=str(_IMPORT_ROOT)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            start_new_session=True,
            check=False,
        )
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise EmbeddedPostgresError(f"{_FAILURE} does not start:\n{lines[-1]}")
    raise EmbeddedPostgresError(f"{_FAILURE} does not stay.")


@dataclass(frozen=True, slots=True)
class Watch:
    """The locks of one who watches, opened first: what is done with the folder later, they follow."""

    layout: Layout
    reaper: int
    lease: int
    server: int

    @classmethod
    def of(cls, layout: Layout, opened: Callable[[Path], int] = open_lock) -> Self:
        """Open them by a function; raises what it does."""
        return cls(layout, *map(opened, (layout.reaper, layout.lease, layout.server)))

    def keep(self) -> None:
        """Wait until no process holds a lease, then stop the server; the reaper's lock is held.

        Should this process be killed, its understudy takes its place.
        """
        if not take_exclusive(self.lease):
            with suppress(OSError):  # this one watches all the same
                subprocess.Popen(  # noqa: S603 - our own module, our own interpreter
                    [
                        *(sys.executable, "-SP", "-m", "quart_fleet.postgres._understudy"),
                        str(self.layout.folder),
                    ],
                    cwd="/",
                    env=make_environment(PYTHONPATH=str(_IMPORT_ROOT)),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            await_exclusive(self.lease)
        # The server of a folder that was moved, or deleted, is stopped too.
        now = Layout.of(find_folder(self.server) or self.layout.folder)
        if not is_pinned(now):
            shut_down(now, self.server)
            now.remove_socket_folder()
            self.layout.remove_socket_folder()
        # Before the lease: a new client must not take this process for a reaper that still watches.
        os.close(self.reaper)
        os.close(self.lease)


def watch(layout: Layout) -> None:
    """Become the reaper, unless there is one."""
    own = Watch.of(layout)
    if not take_exclusive(own.reaper):
        return
    # Goes on in a child: the end of this process tells its parent that the reaper watches.
    if os.fork() != 0:
        os._exit(0)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    own.keep()


if __name__ == "__main__":
    watch(Layout.of(Path(sys.argv[1])))
    os._exit(0)  # at once: what waits for it sees no process that is left
