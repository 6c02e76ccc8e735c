"""A copy of the wheel's programs for a user who cannot look into our virtual environment."""

import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path

from quart_fleet.postgres._errors import EmbeddedPostgresError

_UNNEEDED = shutil.ignore_patterns("include", "doc", "*.a", "pgxs", "pkgconfig")
_CONTENTS = "CONTENTS"


def get_readable_copy(programs: Path) -> Path:
    """The same folder of programs inside the copy, which is made once and then found again."""
    package = programs.parent.parent
    copy = Path(tempfile.gettempdir()) / f"pg-programs-{_fingerprint(package)}"
    if os.path.lexists(copy):
        _check_ours(copy)
        if not _is_complete(copy):
            shutil.rmtree(copy)
    if not os.path.lexists(copy):
        _make(package, copy)
        _check_ours(copy)
    return copy / programs.relative_to(package.parent)


def _make(package: Path, copy: Path) -> None:
    """Complete or not at all; whoever is second finds the place taken and throws his own away."""
    draft = Path(tempfile.mkdtemp(prefix="pg-programs-"))
    try:
        for folder in (package, package.with_name(f"{package.name}.libs")):
            if folder.is_dir():
                shutil.copytree(folder, draft / folder.name, ignore=_UNNEEDED)
        for entry in (draft, *draft.rglob("*")):
            # Whatever umask they were installed with.
            entry.chmod(0o755 if entry.stat().st_mode & 0o100 else 0o644)
        names = [str(file.relative_to(draft)) for file in draft.rglob("*")]
        (draft / _CONTENTS).write_text("\n".join(names))
        draft.rename(copy)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        if not copy.is_dir():
            raise


def _is_complete(copy: Path) -> bool:
    """Temporary folders are swept of old files, one by one."""
    contents = copy / _CONTENTS
    if not contents.is_file():
        return False
    return all(os.path.lexists(copy / name) for name in contents.read_text().splitlines())


def _fingerprint(package: Path) -> str:
    postgres = (package / "pginstall" / "bin" / "postgres").stat()
    text = f"{package}:{postgres.st_size}:{postgres.st_mtime_ns}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _check_ours(copy: Path) -> None:
    found = copy.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise EmbeddedPostgresError(
            f"{copy} should be our copy of PostgreSQL's programs, but somebody else can write it.\n"
            "Remove it and try again."
        )
