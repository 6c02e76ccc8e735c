"""The benchmark's own Python environment, where the peers and pinned versions are installed."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.errors import BenchmarkError

ROOT = Path(__file__).resolve().parents[1]
_FOLDER = ROOT / ".venv-bench"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
_STAMP = _FOLDER / ".installed"

PYTHON = _FOLDER / "bin" / "python"
"""The interpreter that every competitor runs on."""


def ensure() -> Path:
    """Install what is missing and return the interpreter; raises BenchmarkError."""
    wanted = _fingerprint()
    if not (_STAMP.is_file() and _STAMP.read_text() == wanted):
        print("Installing the competitors into .venv-bench ...", file=sys.stderr)
        _install()
        _STAMP.write_text(wanted)
    return PYTHON


def _fingerprint() -> str:
    text = f"{_FOLDER} {sys.version} {REQUIREMENTS.read_text()}"
    return hashlib.sha256(text.encode()).hexdigest()


def _install() -> None:
    uv = _find_uv()
    if uv:
        _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(_FOLDER)])
        _run([uv, "pip", "install", "--quiet", "--python", str(PYTHON), "-r", str(REQUIREMENTS)])
        return
    _run([sys.executable, "-m", "venv", "--clear", str(_FOLDER)])
    _run([str(PYTHON), "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS)])


def _find_uv() -> str | None:
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.is_file() else shutil.which("uv")


def _run(command: Sequence[str]) -> None:
    if subprocess.run(command, check=False).returncode != 0:  # noqa: S603 - our own words
        raise BenchmarkError("The competitors could not be installed: see above.")
