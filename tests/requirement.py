"""What a machine may lack, as the extras' programs: tests without it skip, but never in CI."""

import os
import shutil
import subprocess
import sysconfig
from importlib.util import find_spec
from pathlib import Path

import pytest


def get_program(name: str) -> str:
    """Return where a program is; skips where it is not installed."""
    found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    _skip_unless(found is not None, name)
    return str(found)


def get_python(version: str) -> str:
    """Return an interpreter of this version, from PATH or pyenv; skips where there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    installed = sorted(map(str, pyenv.glob(f"{version}.*/bin/python3")))
    for candidate in filter(shutil.which, (f"python{version}", *installed)):
        # pyenv's shims stand on PATH for every version, and fail for those not chosen.
        command = [candidate, "-c", "import sys; print(sys.executable)"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout.strip()
    _skip_unless(False, f"Python {version}")
    return ""


def require_module(name: str) -> None:
    """Skip where a module is not installed."""
    _skip_unless(find_spec(name) is not None, name)


def _skip_unless(there: bool, name: str) -> None:
    if there:
        return
    reason = (
        f"{name} is not installed; the extras docs, manifests, openapi and tracing bring modules"
    )
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason, allow_module_level=True)
