"""A workspace installs, and passes all its checks, where no package index can be reached."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from quart_fleet.conventions import without_foreign_variables
from tests.requirement import get_program
from tests.scaffold.commands import done, find_unlocked, run, scaffold

pytestmark = pytest.mark.slow

_CHECKS = """
. .venv/bin/activate
python -m scaffold user-service 8081
python -m db_manager migrate
make $CHECKS
cd services/user_service
pip install --no-index --requirement requirements.txt
rm .env
make --directory ../.. install
test -f .env
"""
_BROKEN_UV = """#!/bin/sh
for line in 1 2 3 4 5; do echo "error: line $line" >&2; done
echo "invalid peer certificate: UnknownIssuer" >&2
exit 2
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A fresh workspace."""
    done(scaffold(tmp_path, "init", "shop"))
    return tmp_path / "shop"


def without_network(folder: Path, script: str, **settings: str) -> str:
    """Run a script of bash in a network namespace that has nothing but loopback."""
    own = without_foreign_variables(os.environ)
    namespace = ["--net"] if os.getuid() == 0 else ["--map-current-user", "--net"]
    loopback = "ip link set lo up 2>/dev/null || true"
    completed = subprocess.run(
        [get_program("unshare"), *namespace, "bash", "-ec", f"{loopback}\n{script}"],
        cwd=folder,
        env={name: value for name, value in own.items() if name != "PYTHONPATH"} | settings,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return completed.stdout + completed.stderr


@pytest.fixture(scope="module")
def python_alone(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH on which a uv is that fails as one without the right certificates does."""
    folder = tmp_path_factory.mktemp("bin")
    (folder / "uv").write_text(_BROKEN_UV)
    (folder / "uv").chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def test_uv_installs_from_its_cache(shop: Path, tmp_path: Path) -> None:
    path = f"{Path(get_program('uv')).parent}{os.pathsep}{os.environ['PATH']}"
    make = f"make install PYTHON={sys.executable}"
    done(run(shop, "env", f"PATH={path}", *make.split()))
    shutil.rmtree(shop / ".venv")

    output = without_network(
        shop, make + _CHECKS, PATH=path, UV_OFFLINE="1", CHECKS="lint types test"
    )

    assert "Installing into .venv with uv" in output
    assert "with pip" not in output
    assert " passed" in output


def test_pip_installs_from_a_wheelhouse_where_uv_fails(
    shop: Path, tmp_path: Path, python_alone: str
) -> None:
    wheelhouse = tmp_path / "wheelhouse"
    download = ["download", "--quiet", "--require-hashes", "-r", "requirements-dev.lock"]
    done(run(shop, sys.executable, "-m", "pip", *download, "--dest", str(wheelhouse)))

    output = without_network(
        shop,
        f"make install PYTHON={sys.executable}{_CHECKS}",
        PATH=python_alone,
        PIP_NO_INDEX="1",
        PIP_FIND_LINKS=str(wheelhouse),
        CHECKS="test",
    )

    assert "uv could not: invalid peer certificate: UnknownIssuer\nInstalling with pip" in output
    assert "error: line" not in output
    # Python 3.11 puts setuptools beside the first pip, which the lock's replaces.
    assert {each.partition("==")[0] for each in find_unlocked(shop)} <= {"setuptools"}
    assert "  Processing ./vendor/quart_fleet-" in output
    assert " passed" in output
