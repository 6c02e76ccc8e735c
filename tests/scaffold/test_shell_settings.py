"""What a shell is set to for other work neither stops nor turns aside what is installed here."""

import os
import sys
from pathlib import Path

import pytest

from quart_fleet.conventions import without_foreign_variables
from tests.requirement import get_program
from tests.scaffold.commands import done, run, scaffold

pytestmark = pytest.mark.slow

_SETTINGS = {
    "PIP_USER": "1",
    "PIP_TARGET": "elsewhere",
    "PIP_PREFIX": "elsewhere",
    "PIP_ROOT": "elsewhere",
    "PIP_REQUIRE_VIRTUALENV": "1",
    "PIP_NO_DEPS": "1",
    "PIP_DRY_RUN": "1",
    "PIP_REQUIRE_HASHES": "1",
    "PIP_PYTHON": "/usr/bin/python3",
    "UV_SYSTEM_PYTHON": "1",
    "UV_PYTHON": "/usr/bin/python3",
    "VIRTUAL_ENV": "/elsewhere",
}


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_a_workspace_is_installed_into_its_own_venv(tmp_path: Path, installer: str) -> None:
    done(scaffold(tmp_path, "init", "shop"))
    shop, own = tmp_path / "shop", without_foreign_variables(os.environ)
    uv = f"{Path(get_program('uv')).parent}{os.pathsep}" if installer == "uv" else ""
    settings = [f"{name}={value}" for name, value in _SETTINGS.items()]
    make = ["make", "install", f"PYTHON={sys.executable}"]

    completed = run(shop, "env", "--unset=PYTHONPATH", f"PATH={uv}{own['PATH']}", *settings, *make)

    done(completed)
    assert f"Installing into .venv with {installer}" in completed.stderr
    assert "Installing with pip instead" not in completed.stderr
    done(run(shop, "env", "--unset=PYTHONPATH", ".venv/bin/python", "-m", "scaffold", "--version"))
    assert not (shop / "elsewhere").exists()
