"""What only the extras `docs` and `manifests` install: tests without it skip, but never in CI."""

import os
import shutil
import sysconfig
from importlib.util import find_spec

import pytest


def get_program(name: str) -> str:
    """Return where a program is; skips where it is not installed."""
    found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    _skip_unless(found is not None, name)
    return str(found)


def require_module(name: str) -> None:
    """Skip where a module is not installed."""
    _skip_unless(find_spec(name) is not None, name)


def _skip_unless(there: bool, name: str) -> None:
    if there:
        return
    reason = f"{name} is not installed: pip install -e '.[docs,manifests]'"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
