"""`python -m db_manager` in a process that kills itself: python -m tests.faults.killed_migrations POINT …

A point is before or behind a statement, or before a commit: they are counted from 0 as they come.
"""

import os
import signal
import sys
from itertools import count

from sqlalchemy import event
from sqlalchemy.engine import Engine

from db_manager.cli import main

if __name__ == "__main__":
    point, points = int(sys.argv[1]), count()

    def strike(*_: object, **__: object) -> None:
        if next(points) == point:
            os.kill(os.getpid(), signal.SIGKILL)

    for name in ("before_cursor_execute", "after_cursor_execute", "commit"):
        event.listen(Engine, name, strike)
    main(sys.argv[2:])
