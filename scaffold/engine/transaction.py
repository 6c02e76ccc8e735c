"""A plan brought to disk: all of it or nothing, however the process ends.

Everything is first written to a staging folder inside the root, on the same file system:

    .scaffold-XXXX/new/       what comes, by its path below the root
    .scaffold-XXXX/old/       copies of what is about to change
    .scaffold-XXXX/gone/      what was deleted, as soon as it is
    .scaffold-XXXX/journal    what is being moved; there only while files are moved

Then what is deleted is renamed away, and new folders and files into place. Undoing needs nothing but the
staging folder, so a later process can finish it when this one was killed.
"""

import json
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from types import FrameType
from typing import TypedDict

from scaffold.engine.plan import Plan
from scaffold.errors import ScaffoldError
from scaffold.signals import Interrupted, not_ignored

STAGING = ".scaffold-"

_JOURNAL = "journal"


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
            staging = Path(tempfile.mkdtemp(prefix=STAGING, dir=root))
        except OSError as error:
            raise ScaffoldError(f"Nothing was written: {_explain(error, root)}") from error
        try:
            journal = _stage(plan, staging, step)
            if first is not None:
                first()
            draft = staging / "draft"
            draft.write_text(json.dumps(journal), "utf-8")
            draft.rename(staging / _JOURNAL)
            for name in journal["deleted"]:
                step()
                (root / name).rename(staging / "gone" / name)
            for name in [*journal["changed"], *journal["moved"]]:
                step()
                (staging / "new" / name).rename(root / name)
            step()
            (staging / _JOURNAL).unlink()
        except OSError as error:
            _undo(root, staging)
            raise ScaffoldError(f"Nothing was written: {_explain(error, root)}") from error
        except BaseException:
            _undo(root, staging)
            raise
        shutil.rmtree(staging, ignore_errors=True)  # without a journal, recover() only removes it


def recover(root: Path) -> bool:
    """Undo what killed processes left below `root`; the caller holds the workspace's lock."""
    left = sorted(path for path in root.glob(f"{STAGING}*") if path.is_dir())
    for staging in left:
        _undo(root, staging)
    return bool(left)


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


def _undo(root: Path, staging: Path) -> None:
    try:
        if (staging / _JOURNAL).exists():
            journal: _Journal = json.loads((staging / _JOURNAL).read_text("utf-8"))
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
            (staging / _JOURNAL).unlink()
        shutil.rmtree(staging)
    except OSError as error:
        raise ScaffoldError(
            f"{staging} could not be undone ({_explain(error, root)}): "
            "free the disk or its permissions and run the command again."
        ) from error


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
