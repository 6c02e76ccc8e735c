"""The benchmark's own Python environment, where the peers and pinned versions are installed."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
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
        run_installer([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(_FOLDER)])
        install = [uv, "pip", "install", "--quiet", "--compile-bytecode"]
        run_installer([*install, "--python", str(PYTHON), "-r", str(REQUIREMENTS)])
        return
    run_installer([sys.executable, "-m", "venv", "--clear", str(_FOLDER)])
    run_installer([str(PYTHON), "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS)])


def _find_uv() -> str | None:
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.is_file() else shutil.which("uv")


def run_installer(
    command: Sequence[str], folder: Path = ROOT, settings: Mapping[str, str] | None = None
) -> None:
    """Run a command that installs or builds; raises BenchmarkError where it fails."""
    environment = os.environ | (settings or {})
    done = subprocess.run(command, cwd=folder, env=environment, stdout=sys.stderr, check=False)  # noqa: S603 - our own words
    if done.returncode != 0:
        raise BenchmarkError(f"`{' '.join(command)}` failed: see above.")
