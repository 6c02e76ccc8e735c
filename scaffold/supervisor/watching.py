"""Which services have other code than their processes: their files are looked at again and again.

Looking costs less than a millisecond for each service, works on every file system, and needs no
limit of the system raised.
"""

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from scaffold.supervisor.service import SupervisedService

INTERVAL = 0.25
"""Seconds."""
_SUFFIXES = (".py", ".env", ".toml", ".html")
_UNREAD = frozenset({"tests", "__pycache__", "migrations", "build", "dist", "node_modules"})
"""Folders that no running service reads."""

State = dict[str, tuple[int, int]]
"""By path, when a file was changed, in nanoseconds, and its bytes."""


async def watch(root: Path, services: Sequence[SupervisedService], ending: asyncio.Event) -> None:
    """Have services start anew where files changed: its own one, or all for `shared/`."""
    places = {each: (each.folder, root / "shared") for each in services}
    known = {folder: look(folder) for folders in places.values() for folder in folders}
    while not ending.is_set():
        await asyncio.sleep(INTERVAL)
        changed = set[Path]()
        for folder, before in known.items():
            now = look(folder)
            if now != before:
                known[folder] = now
                changed.add(folder)
        for service, folders in places.items():
            if not changed.isdisjoint(folders):
                service.want_another()


def look(folder: Path | str) -> State:
    """Return the files of a folder that a service runs on."""
    found = State()
    with suppress(OSError):  # it has just been removed
        for entry in os.scandir(folder):
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in _UNREAD and not entry.name.startswith("."):
                    found |= look(entry.path)
            elif entry.name.endswith(_SUFFIXES):
                with suppress(OSError):
                    about = entry.stat()
                    found[entry.path] = about.st_mtime_ns, about.st_size
    return found
