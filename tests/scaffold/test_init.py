"""`python -m scaffold init DIR`: a workspace that is whole in itself."""

import json
import os
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from scaffold.framework import FILES, FOLDERS, SHIPPED
from scaffold.workspace import is_workspace
from tests.scaffold.commands import (
    ENVIRONMENT,
    REPOSITORY,
    Completed,
    done,
    picture,
    refused,
    run,
    scaffold,
)


def own_scaffold(workspace: Path, *arguments: str) -> Completed:
    """Run the scaffold that the workspace carries, not the repository's."""
    return run(
        workspace,
        *("env", "-u", "PYTHONSAFEPATH", f"PYTHONPATH={workspace}"),
        *(sys.executable, "-m", "scaffold", *arguments),
    )


def project(workspace: Path) -> dict[str, Any]:
    """Read the project file."""
    return tomllib.loads((workspace / "pyproject.toml").read_text())


def templates(workspace: Path) -> dict[str, bytes]:
    """Return the contents of every template."""
    return {path: what[1] for path, what in picture(workspace / "scaffold/templates").items()}


def test_a_workspace_carries_the_framework(fresh: Path) -> None:
    assert is_workspace(fresh)
    for part in ("quart_fleet/settings.py", "db_manager/cli.py", "scaffold/cli.py", "Makefile"):
        assert (fresh / part).read_bytes() == (REPOSITORY / part).read_bytes()
    assert templates(fresh) == templates(REPOSITORY)
    names = {path.name for path in (fresh / "services").iterdir()}
    assert names == {"README.md", "compose.yaml"}


def test_everything_that_is_carried_exists_here() -> None:
    names = [*FOLDERS, *FILES]
    names += [f"{folder}/{name}" for folder, shipped in SHIPPED.items() for name in shipped]

    assert [name for name in names if not (REPOSITORY / name).exists()] == []


def test_the_project_file_differs_by_the_name_alone(fresh: Path) -> None:
    ours, theirs = project(REPOSITORY), project(fresh)

    assert theirs["project"]["name"] == "fleet"
    old, new = str(ours["project"]["name"]), str(theirs["project"]["name"])
    for key in ("name", "version"):
        ours["project"].pop(key)
        theirs["project"].pop(key)
    assert json.loads(json.dumps(ours).replace(f'"{old}[', f'"{new}[')) == theirs


def test_a_workspace_remembers_the_version_of_its_framework(fresh: Path) -> None:
    framework = project(REPOSITORY)["project"]["version"]

    assert project(fresh)["tool"]["scaffold"]["framework"] == framework
    assert done(own_scaffold(fresh, "--version")) == f"scaffold {framework}\n"


def test_a_workspace_makes_another_one_without_its_own_services(
    fresh: Path, tmp_path: Path
) -> None:
    first = shutil.copytree(fresh, tmp_path / "first" / "fleet")
    done(own_scaffold(first, "product-service", "8081"))
    (first / "scaffold/__pycache__").mkdir(exist_ok=True)
    (first / "shared/.env").write_text("SECRET_KEY=mine")

    done(own_scaffold(first, "init", str(tmp_path / "second" / "fleet")))

    assert picture(tmp_path / "second" / "fleet") == picture(fresh)


def test_two_inits_give_the_same_bytes(fresh: Path, tmp_path: Path) -> None:
    done(scaffold(tmp_path, "init", "fleet"))

    assert picture(tmp_path / "fleet") == picture(fresh)


def test_an_empty_folder_is_filled_in_place(tmp_path: Path, fresh: Path) -> None:
    folder = tmp_path / "fleet"
    (folder / ".git").mkdir(parents=True)

    output = done(scaffold(folder, "init", "."))

    assert "cd ." in output
    (folder / ".git").rmdir()
    assert picture(folder) == picture(fresh)


@pytest.mark.parametrize(
    ("folder", "name"),
    [("My Fleet", "my-fleet"), ("quart", "quart-fleet"), ("...", "fleet"), ("Ünïon", "union")],
)
def test_the_folder_names_the_project(tmp_path: Path, folder: str, name: str) -> None:
    done(scaffold(tmp_path, "init", folder))

    assert project(tmp_path / folder)["project"]["name"] == name


def test_the_next_commands_can_be_pasted(tmp_path: Path) -> None:
    output = done(scaffold(tmp_path, "init", "my shop é"))

    assert "\n  cd 'my shop é'\n" in output


def test_a_workspace_holds_no_other(workspace: Path) -> None:
    before = picture(workspace)

    message = refused(scaffold(workspace / "services", "init", "sub"))

    assert f"{workspace}/services/sub is inside the workspace {workspace}:" in message
    assert picture(workspace) == before


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "fleet").mkdir()
    (tmp_path / "fleet/mine.txt").write_text("mine")
    before = picture(tmp_path)

    assert "is not empty" in refused(scaffold(tmp_path, "init", "fleet"))
    assert picture(tmp_path) == before


def test_a_file_is_no_folder_for_a_workspace(tmp_path: Path) -> None:
    (tmp_path / "fleet").touch()

    assert "is a file" in refused(scaffold(tmp_path, "init", "fleet"), exit_code=2)
    assert "Not a directory" in refused(scaffold(tmp_path, "init", "fleet/inside"))


def test_a_failure_leaves_no_folder(tmp_path: Path) -> None:
    completed = run(
        tmp_path,
        *("sh", "-c", 'ulimit -f 4; exec "$@"', "sh"),
        *(sys.executable, "-B", "-m", "scaffold", "init", "new/deep/fleet"),
    )

    assert "File too large" in refused(completed)
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_makes_nothing(tmp_path: Path) -> None:
    output = done(scaffold(tmp_path, "init", "fleet", "--dry-run"))

    assert "create     pyproject.toml\n" in output
    assert list(tmp_path.iterdir()) == []


def test_a_program_reads_the_result(tmp_path: Path) -> None:
    result = json.loads(done(scaffold(tmp_path, "init", "fleet", "--json")))

    assert result["workspace"] == os.path.realpath(tmp_path / "fleet")
    assert all((tmp_path / "fleet" / path).is_file() for path in result["created"])


def test_the_environment_of_these_tests_runs_the_repository(fresh: Path) -> None:
    assert ENVIRONMENT["PYTHONSAFEPATH"]
    code = "import scaffold; print(scaffold.__file__)"

    assert str(REPOSITORY) in done(run(fresh, sys.executable, "-c", code))
