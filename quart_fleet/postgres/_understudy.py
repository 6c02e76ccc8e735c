"""The process that takes the reaper's place when it is killed: python -m quart_fleet.postgres._understudy

Asleep in the kernel until the reaper ends. Where that has stopped the server, there is nothing to do.
"""

import os
import sys
from pathlib import Path

from quart_fleet.postgres._layout import Layout
from quart_fleet.postgres._locks import (
    attempts,
    await_exclusive,
    open_existing_lock,
    take_exclusive,
)
from quart_fleet.postgres._reaper import Watch

_FAREWELL = 0.2
"""Seconds in which an ending reaper drops its other lock."""


def wait(layout: Layout) -> None:
    """Become the reaper once there is none."""
    try:
        own = Watch.of(layout, open_existing_lock)
    except FileNotFoundError:  # all is over, and the folder removed
        return
    await_exclusive(own.reaper)
    for _ in attempts(_FAREWELL):
        if take_exclusive(own.lease):
            break  # the reaper has stopped the server, or died as the last one
    own.keep()


if __name__ == "__main__":
    wait(Layout.of(Path(sys.argv[1])))
    os._exit(0)  # at once, as the reaper does
