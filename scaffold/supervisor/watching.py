"""Which services have other code than their processes: their files are looked at again and again.

Looking costs less than a millisecond for each service, works on every file system, and needs no
limit of the system raised.
"""

import asyncio
import os
from collections.abc import Iterator, Sequence
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
                service.changed.set()


def look(folder: Path) -> State:
    """Return the files of a folder that a service runs on."""
    return {
        entry.path: (found.st_mtime_ns, found.st_size)
        for entry in _walk(folder)
        if (found := _find_stat(entry)) is not None
    }


def _walk(folder: Path | str) -> Iterator["os.DirEntry[str]"]:
    try:
        entries = list(os.scandir(folder))
    except OSError:  # it has just been removed
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in _UNREAD and not entry.name.startswith("."):
                yield from _walk(entry.path)
        elif entry.name.endswith(_SUFFIXES):
            yield entry


def _find_stat(entry: "os.DirEntry[str]") -> os.stat_result | None:
    try:
        return entry.stat()
    except OSError:
        return None
