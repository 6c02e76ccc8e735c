"""A worker that does as a test says, and the parent of such workers."""

import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from itertools import count
from multiprocessing import util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from quart_fleet.asgi._application import ServiceApplication
from quart_fleet.server._listener import listen
from quart_fleet.server._workers import Link, Workers

KILLED = "WORKERS_KILLED"
"""Set where the parent is killed as soon as it has started its first worker."""

app = SimpleNamespace(start_error=None)


def drain(_number: int, _frame: object) -> None:
    """Take a second to end, in which another signal may come."""
    time.sleep(1)
    sys.exit(0)


def run(_app: ServiceApplication, _listener: socket.socket, link: Link) -> None:
    """Do what is said for the worker of this number, in the order in which they start."""
    folder = Path(os.environ["WORKERS_FOLDER"])
    orders = os.environ["WORKERS_ORDERS"].split()
    for number in count():
        try:
            (folder / str(number)).mkdir()
            break
        except FileExistsError:
            continue
    order = orders[number] if number < len(orders) else "serve"
    if order == "fail":
        sys.exit(3)
    if order == "drain":
        signal.signal(signal.SIGTERM, drain)
        signal.signal(signal.SIGINT, lambda _number, _frame: (folder / f"{number} cut").touch())
    elif order != "hang":
        signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    if order != "hang":
        link.serving()
    (folder / f"{number} {order}").touch()
    if order != "die":
        signal.pause()


def start_and_be_killed(path: bytes, arguments: Sequence[Any], files: Sequence[int]) -> int:
    """Start a process as multiprocessing does; after a worker, get no further."""
    pid = _start(path, arguments, files)
    if "--multiprocessing-fork" in arguments:
        os.kill(os.getpid(), signal.SIGKILL)
    return pid


if __name__ == "__main__":
    from tests.chassis import worker

    if KILLED in os.environ:
        _start = util.spawnv_passfds
        util.spawnv_passfds = start_and_be_killed  # type: ignore[assignment]  # by its own name
    grace = 1.0
    Workers(
        worker.run, "tests.chassis.worker:app", listen("127.0.0.1", 0), int(sys.argv[1]), grace
    ).serve()
