"""`nix develop`: all that a workspace needs, and nothing that it did not ask for."""

import json
from pathlib import Path

import pytest

from tests.nix.offline import OfflineNix, done, flake_of
from tests.scaffold.commands import picture

pytestmark = pytest.mark.slow

_PROGRAMS = ("python", "pip", "pytest", "ruff", "postgres", "psql", "git", "make", "uv", "curl")


def test_the_shell_says_in_three_lines_what_to_do(nix: OfflineNix, workspace: Path) -> None:
    completed = nix.develop(flake_of(workspace), "python --version", workspace)

    assert done(completed).startswith("Python 3.")
    hints = completed.stderr.splitlines()[-3:]
    assert [line.split(":")[0] for line in hints] == ["A service", "The database", "Run it"]
    assert completed.stderr.count("python -m scaffold") == 1


def test_the_shell_finds_every_program_in_the_store(nix: OfflineNix, workspace: Path) -> None:
    script = f"type -P {' '.join(_PROGRAMS)}"

    found = done(nix.develop(flake_of(workspace), script, workspace)).split()

    assert [Path(path).name for path in found] == list(_PROGRAMS)
    assert [path for path in found if not path.startswith(str(nix.store))] == []


def test_the_shell_changes_nothing_but_the_search_path(nix: OfflineNix, workspace: Path) -> None:
    before = picture(workspace)
    script = """
        state() { set +o; shopt; alias; echo "PS1=${PS1-}"; }
        unset PYTHONPATH FLEET_NIX_SHELL UV_PYTHON UV_PYTHON_DOWNLOADS
        settings=$(state); names=$(compgen -v)
        eval "$shellHook" 2>/dev/null
        [ "$settings" = "$(state)" ]
        comm -13 <(echo "$names" | sort) <(compgen -v | sort)
        echo "$PYTHONPATH"
    """

    output = done(nix.develop(flake_of(workspace), script, workspace / "services"))

    new = set(output.splitlines()[:-1]) - {"names", "settings", "BASH_REMATCH", "PIPESTATUS"}
    assert new == {"PYTHONPATH", "FLEET_NIX_SHELL", "UV_PYTHON", "UV_PYTHON_DOWNLOADS"}
    assert output.splitlines()[-1] == f"{workspace}:{workspace}/services"
    assert picture(workspace) == before


def test_the_shell_outside_of_a_workspace_has_no_search_path(
    nix: OfflineNix, workspace: Path, tmp_path: Path
) -> None:
    assert done(nix.develop(flake_of(workspace), 'echo "<${PYTHONPATH-}>"', tmp_path)) == "<>\n"


def test_the_commands_of_the_readme_work_in_the_shell(nix: OfflineNix, workspace: Path) -> None:
    script = """
        export PYTHONDONTWRITEBYTECODE=1
        python -m scaffold user-service 8081
        python -m db_manager migrate
        python -m db_manager postgres status --json >status.json
        export SERVICE_PORT=$(python -c 'import socket; s = socket.create_server(("", 0)); print(s.getsockname()[1])')
        cd services/user_service
        pip install --no-index -r requirements.txt >/dev/null
        python app.py & service=$!
        cd ../..
        trap 'kill $service; wait $service' EXIT
        curl -sS --retry 60 --retry-connrefused --retry-delay 1 "localhost:$SERVICE_PORT/api/v1/health/ready" >ready.json
        python -m pytest -q services >tests.txt
        make lint
    """

    done(nix.develop(flake_of(workspace), script, workspace))

    assert json.loads((workspace / "ready.json").read_text())["success"] is True
    assert json.loads((workspace / "status.json").read_text())["source"] == "PATH"
    assert " passed" in (workspace / "tests.txt").read_text()
    assert not list(workspace.glob(".venv*"))
