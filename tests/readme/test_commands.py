"""The README's commands do what the page says, in a fresh clone, pasted as they stand."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from quart_fleet.conventions import without_foreign_variables
from tests.ports import reserve_port
from tests.readme.guide import README, ROOT, advice, commands, mentioned, section
from tests.readme.proofs import TABLE
from tests.workspace import FRAMEWORK, run


@dataclass(frozen=True, slots=True)
class Clone:
    """A fresh clone, installed by `make install` with no help from around it."""

    root: Path
    port: int

    def bash(self, script: str) -> str:
        """Run lines of the README in one shell; the service's port is one that is free."""
        script = script.replace("8081", str(self.port))
        return run(["bash", "-ec", script], self.root, self.environment)

    @property
    def environment(self) -> dict[str, str]:
        """A user's: no settings, none of Python's, no virtual environment; uv, which saves time."""
        foreign = {"VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL"}
        own = {
            name: value
            for name, value in without_foreign_variables(os.environ).items()
            if name not in foreign and not name.startswith("PYTHON")
        }
        tools = self.root.parent / "tools"
        return own | {"PATH": os.pathsep.join([own.get("PATH", os.defpath), str(tools)])}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    if not (FRAMEWORK / ".git").exists():
        pytest.skip("not a git checkout: there is nothing to clone")
    root = tmp_path_factory.mktemp("readme") / "fleet"
    cloning = commands(README.read_text())[0].replace("<this repository>", f"'{FRAMEWORK}'")
    run(["bash", "-ec", cloning], root.parent, dict(os.environ))
    cloned = Clone(root, reserve_port())
    if uv := shutil.which("uv", path=str(Path(sys.executable).parent)):
        (root.parent / "tools").mkdir()
        (root.parent / "tools" / "uv").symlink_to(uv)
    cloned.bash("make install")
    yield cloned
    shutil.rmtree(root.parent)


@pytest.mark.slow
def test_the_quick_start_ends_with_a_user(clone: Clone) -> None:
    text = section("Quick start").partition("\n### ")[0]
    before, _, after = text.partition("and in another terminal:")
    setup = commands(before)
    assert setup[-1].endswith("&& python app.py")
    setup[-1] = setup[-1].removesuffix("&& python app.py")
    clone.bash("\n".join(setup))

    answers = _while_running(clone, "\n".join(commands(after)))

    assert '"status": "healthy"' in answers
    assert answers.count('"username": "johndoe"') == 2


def _while_running(clone: Clone, script: str) -> str:
    """Run a script while the user service runs."""
    service = subprocess.Popen(
        [str(clone.root / ".venv/bin/python"), "app.py"],
        cwd=clone.root / "services/user_service",
        env=clone.environment | {"SERVICE_PORT": str(clone.port)},
    )
    try:
        _wait_until_listening(clone.port, service)
        return clone.bash(script)
    finally:
        service.send_signal(signal.SIGTERM)
        service.wait(60)


def _wait_until_listening(port: int, service: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert service.poll() is None, "the service ended"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the service did not listen within a minute")


@pytest.mark.slow
def test_a_workspace_of_ones_own_is_made_and_installed(clone: Clone) -> None:
    lines = commands(section("Quick start").partition("\n### ")[2])
    proof = [
        "python -m scaffold product-service 8082 && python -m db_manager migrate",
        *("pytest -q services", "make lint", "make types"),
    ]

    clone.bash("\n".join([". .venv/bin/activate", *lines, *proof]))


@pytest.mark.slow
def test_every_command_of_the_table_runs(clone: Clone) -> None:
    for lines in TABLE.values():
        for line in lines:
            clone.bash(f". .venv/bin/activate\n{line}")


@pytest.mark.slow
def test_troubleshooting_with_psql_works(clone: Clone) -> None:
    if shutil.which("psql") is None:
        pytest.skip("psql is not installed")
    start, psql = mentioned(advice("A server must stay up"))

    printed = clone.bash(
        f". .venv/bin/activate\n{start}\n{psql} -Atc 'select 40 + 2'\n"
        "python -m db_manager postgres stop"
    )

    assert "42" in printed.splitlines()


@pytest.mark.parametrize(
    "page", [README, *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda page: page.name
)
def test_every_relative_link_of_a_page_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []
