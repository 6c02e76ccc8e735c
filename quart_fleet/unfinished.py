"""Half a command of the generator, undone: by its guard at once, else by whatever comes next.

    .scaffold-XXXX/new/       what comes, by its path below the root
    .scaffold-XXXX/old/       copies of what is about to change
    .scaffold-XXXX/gone/      what was deleted, as soon as it is
    .scaffold-XXXX/journal    what is being moved; there only while files are moved

Undoing needs nothing but this folder. The guard is a process that outlives a killed generator: it is
told folders on its standard input, and at its end removes those that are left. Run as a script, by
an interpreter that imports nothing else, it begins in 15 ms while the generator is still at work.
"""

import fcntl
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

STAGING = ".scaffold-"
"""What the name of such a folder begins with, in a workspace's root."""
JOURNAL = "journal"


def say_on_stderr(words: str) -> None:
    """Tell a person, as a command does; a service tells its log instead."""
    sys.stderr.write(f"{words}\n")


@contextmanager
def locked(root: Path, say: Callable[[str], None] = say_on_stderr) -> Iterator[None]:
    """Let one process at a time write at `root`; the lock is on the folder, so no file is left."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Waiting for another scaffold that writes in this workspace")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def settle(root: Path, say: Callable[[str], None] = say_on_stderr) -> None:
    """Undo what a killed generator left half-moved at `root`, once no process writes there.

    Nothing is done where the folder may not be written.
    """
    with suppress(OSError):
        if any(root.glob(f"{STAGING}*/{JOURNAL}")):
            with locked(root, say):
                undo_all(root, say)


def settle_services(path: Iterable[str], say: Callable[[str], None]) -> None:
    """Do so for the workspaces whose services are imported: their folder is on Python's `path`."""
    for folder in {Path(entry) for entry in path}:
        if folder.name == "services":
            settle(folder.parent, say)


def undo_all(root: Path, say: Callable[[str], None] = say_on_stderr) -> None:
    """Undo what killed processes left at `root`; the caller holds its lock. Raises OSError."""
    left = sorted(path for path in root.glob(f"{STAGING}*") if path.is_dir())
    for staging in left:
        undo(staging)
    if left:
        say("Undid what an interrupted scaffold had left.")


def undo(staging: Path) -> None:
    """Put everything back to what was before, and remove the folder; raises OSError."""
    root = staging.parent
    if (staging / JOURNAL).exists():
        journal = json.loads((staging / JOURNAL).read_text("utf-8"))
        for name in journal["changed"]:
            if (staging / "old" / name).exists():
                (staging / "old" / name).replace(root / name)
        for name in journal["moved"]:
            # What is no longer staged has arrived; a crash here finds it staged again.
            if not os.path.lexists(staging / "new" / name) and os.path.lexists(root / name):
                (root / name).rename(staging / "new" / name)
        for name in journal["deleted"]:
            if os.path.lexists(staging / "gone" / name):
                (staging / "gone" / name).rename(root / name)
        (staging / JOURNAL).unlink()
    shutil.rmtree(staging)


def _guard() -> None:
    """Read folders, a line each, to the end of the generator; remove what is left of them."""
    for folder in [Path(os.fsdecode(line[:-1])) for line in sys.stdin.buffer]:
        with suppress(OSError):
            if folder.is_dir() and folder.name.startswith(STAGING):
                with locked(folder.parent):
                    undo_all(folder.parent)
            elif folder.is_dir():
                shutil.rmtree(folder)


if __name__ == "__main__":
    _guard()
