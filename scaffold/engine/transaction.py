"""A plan brought to disk: all of it or nothing, however the process ends.

Everything is first written to a staging folder inside the root, on the same file system
(`quart_fleet.unfinished` says what it holds). Then what is deleted is renamed away, and new folders
and files into place. The guard undoes that when this process is killed; where both were, whatever
comes next does.
"""

import json
import os
import secrets
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from types import FrameType
from typing import TypedDict

from quart_fleet import unfinished
from quart_fleet.unfinished import JOURNAL, STAGING
from scaffold import guard
from scaffold.engine.plan import Plan
from scaffold.errors import ScaffoldError
from scaffold.signals import Interrupted, not_ignored


class _Journal(TypedDict):
    moved: list[str]
    changed: list[str]
    deleted: list[str]


def apply(plan: Plan, first: Callable[[], None] | None = None) -> None:
    """Write the whole plan or nothing; raises ScaffoldError, or Interrupted.

    `first` is done when everything is staged, and cannot be undone.
    """
    if plan.is_empty:
        return
    root = plan.root
    with _signals_between_steps() as step, _readable_by_all():
        try:
            staging = root / f"{STAGING}{secrets.token_hex(8)}"
            guard.protect(staging)
            staging.mkdir(mode=0o700)
        except OSError as error:
            raise ScaffoldError(f"Nothing was written: {_explain(error, root)}") from error
        try:
            journal = _stage(plan, staging, step)
            if first is not None:
                first()
            draft = staging / "draft"
            draft.write_text(json.dumps(journal), "utf-8")
            draft.rename(staging / JOURNAL)
            for name in journal["deleted"]:
                step()
                (root / name).rename(staging / "gone" / name)
            for name in [*journal["changed"], *journal["moved"]]:
                step()
                (staging / "new" / name).rename(root / name)
            step()
            (staging / JOURNAL).unlink()
        except BaseException as error:
            unfinished.undo(staging)
            if isinstance(error, OSError):
                raise ScaffoldError(f"Nothing was written: {_explain(error, root)}") from error
            raise
        shutil.rmtree(staging, ignore_errors=True)  # without a journal, undoing only removes it


def _stage(plan: Plan, staging: Path, step: Callable[[], None]) -> _Journal:
    for path, content in plan.writes.items():
        step()
        target = staging / "new" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        if content.startswith(b"#!"):
            target.chmod(target.stat().st_mode | (target.stat().st_mode & 0o444) >> 2)
        if path.name in (".env", "undo.json"):
            target.chmod(0o600)  # it holds secrets
        elif path.parts[0] == ".secrets":
            # A container reads its file, mounted with this mode, as a user of its own: on this
            # machine the folder keeps others out.
            target.chmod(0o444)
            (staging / "new" / ".secrets").chmod(0o700)
    for path in plan.changed:
        step()
        backup = staging / "old" / path
        backup.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(plan.root / path, backup)
        shutil.copymode(plan.root / path, staging / "new" / path)
    # A whole new folder moves at once: what moves is the uppermost part of a path that is missing.
    moved = {
        next(part for part in parts if not os.path.lexists(plan.root / part))
        for parts in ((*reversed(path.parents), path) for path in plan.created)
    }
    deleted = {_uppermost(plan, path) for path in plan.deleted}
    for path in deleted:
        (staging / "gone" / path).parent.mkdir(parents=True, exist_ok=True)
    return {
        "moved": sorted(map(str, moved)),
        "changed": [str(path) for path in plan.changed],
        "deleted": sorted(map(str, deleted)),
    }


def _uppermost(plan: Plan, path: PurePosixPath) -> PurePosixPath:
    """Return the uppermost folder of which nothing is left once the plan has deleted its files."""
    deleted, writes = set(plan.deleted), plan.writes
    for folder in reversed(path.parents[:-1]):
        files = {
            PurePosixPath(file.relative_to(plan.root))
            for file in (plan.root / folder).rglob("*")
            if (not file.is_dir() or file.is_symlink() or not any(file.iterdir()))
            and file.suffix != ".pyc"
            and file.name != "__pycache__"
        }
        if files <= deleted and not any(one.is_relative_to(folder) for one in writes):
            return folder
    return path


@contextmanager
def _signals_between_steps() -> Iterator[Callable[[], None]]:
    """Yield a function that raises Interrupted if a signal came since the last step."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    received: list[int] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        received.append(number)

    def step() -> None:
        if received:
            raise Interrupted(received[0])

    previous = {number: signal.signal(number, remember) for number in not_ignored()}
    try:
        yield step
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def _readable_by_all() -> Iterator[None]:
    """Let group and others read what is written, whatever the umask.

    An image copies files with their modes, and its user is not their owner. The umask still holds
    for the workspace's own folder, which keeps others out of it.
    """
    umask = os.umask(0)
    os.umask(umask & 0o022)
    try:
        yield
    finally:
        os.umask(umask)


def _explain(error: OSError, root: Path) -> str:
    where = error.filename or root
    return f"{where}: {error.strerror or error}"
