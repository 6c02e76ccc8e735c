"""The process that ends the server when its last user is gone: python -m quart_fleet.postgres._reaper

Detached from whoever starts it, asleep in the kernel until it is needed.
"""

import os
import subprocess
import sys
from pathlib import Path

from quart_fleet.postgres._errors import EmbeddedPostgresError
from quart_fleet.postgres._layout import Layout
from quart_fleet.postgres._locks import await_exclusive, is_held, moments, open_lock, take_exclusive
from quart_fleet.postgres._pin import is_pinned
from quart_fleet.postgres._shutdown import shut_down
from quart_fleet.postgres._sockets import remove_sockets

_ROOT = Path(__file__).resolve().parents[2]
_PATIENCE = 10


def ensure_reaper(layout: Layout) -> None:
    """Returns when one watches; to be called with the lease in hand."""
    for _ in moments(_PATIENCE):
        if is_held(layout.reaper):
            return
        _start(layout)
    raise EmbeddedPostgresError(
        "The process that stops PostgreSQL when it is no longer used does not stay."
    )


def _start(layout: Layout) -> None:
    command = [sys.executable, "-SP", "-m", "quart_fleet.postgres._reaper", str(layout.folder)]
    environment = os.environ | {"PYTHONPATH": str(_ROOT)}
    done = subprocess.run(  # noqa: S603 - our own module, our own interpreter
        command,
        cwd="/",
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
        check=False,
    )
    if done.returncode != 0:
        raise EmbeddedPostgresError(
            f"The process that stops PostgreSQL when it is no longer used does not start:\n"
            f"{(done.stderr.strip().splitlines() or [f'exit code {done.returncode}'])[-1]}"
        )


def watch(layout: Layout) -> None:
    """Everything is opened first, so that even a deleted folder finds its server stopped."""
    reaper, lease, server = map(open_lock, (layout.reaper, layout.lease, layout.server))
    if not take_exclusive(reaper):
        return
    _detach()
    await_exclusive(lease)
    if not is_pinned(layout):
        shut_down(layout, server)
        remove_sockets(layout)
    # Before the lease: a newcomer must not take us for a reaper that still watches.
    os.close(reaper)
    os.close(lease)


def _detach() -> None:
    """The process that was started ends, which tells its parent that the watch has begun."""
    if os.fork() != 0:
        os._exit(0)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)


if __name__ == "__main__":
    watch(Layout.of(Path(sys.argv[1])))
