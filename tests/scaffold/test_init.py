"""`python -m scaffold init DIR`: a workspace that is whole in itself."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from scaffold.workspace import is_workspace
from tests.scaffold.commands import (
    ENVIRONMENT,
    REPOSITORY,
    done,
    picture,
    refused,
    run,
    scaffold,
)


def project(workspace: Path) -> dict[str, Any]:
    """Read the project file."""
    return tomllib.loads((workspace / "pyproject.toml").read_text())


def test_a_workspace_holds_what_its_owner_owns(fresh: Path) -> None:
    assert is_workspace(fresh)
    assert {path.name for path in fresh.iterdir() if path.is_dir()} == {
        *(".github", ".scaffold", "db_manager", "docs", "nix", "services", "shared", "vendor")
    }
    names = {path.name for path in (fresh / "services").iterdir()}
    assert names == {"README.md", "compose.yaml"}


def test_a_workspace_is_short(fresh: Path) -> None:
    files = [path for path in fresh.rglob("*") if path.is_file()]
    texts = [path for path in files if path.suffix not in (".lock", ".whl")]
    lines = sum(len(path.read_text().splitlines()) for path in texts)

    assert len(files) <= 45
    assert lines <= 1500


def test_a_workspace_names_each_of_its_docs(fresh: Path) -> None:
    pages = {f"docs/{path.name}" for path in (fresh / "docs").iterdir()}
    readme = (fresh / "README.md").read_text()

    assert len(pages) == 6
    assert set(re.findall(r"\]\((docs/[^)]+)\)", readme)) == pages
    assert sum(len((fresh / page).read_text().splitlines()) for page in pages) <= 700


def test_every_link_of_a_workspaces_pages_leads_somewhere(fresh: Path) -> None:
    for page in (fresh / "README.md", *(fresh / "docs").iterdir()):
        links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())

        assert [link for link in links if not (page.parent / link).exists()] == []


def test_a_workspace_has_no_benchmark_and_no_tests_of_the_framework(fresh: Path) -> None:
    assert "bench" not in (fresh / "Makefile").read_text()
    assert not (fresh / "tests").exists()


def test_no_folder_of_a_workspace_hides_an_installed_package(fresh: Path) -> None:
    for package in ("quart_fleet", "scaffold", "db_manager"):
        assert not (fresh / package / "__init__.py").exists()


def test_a_workspace_remembers_the_version_of_its_framework(fresh: Path) -> None:
    framework = project(REPOSITORY)["project"]["version"]
    ours = project(fresh)

    assert ours["tool"]["scaffold"]["framework"] == framework
    assert ours["project"]["dependencies"] == [f"quart-fleet=={framework}"]
    assert ours["project"]["optional-dependencies"]["dev"] == [f"quart-fleet[dev]=={framework}"]
    assert done(scaffold(fresh, "--version")) == f"scaffold {framework}\n"


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
    [
        ("My Fleet", "my-fleet"),
        ("quart", "quart-workspace"),
        ("quart-fleet", "quart-fleet-workspace"),
        ("...", "fleet"),
        ("Ünïon", "union"),
    ],
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


def test_a_folder_that_no_path_can_name_is_refused(tmp_path: Path) -> None:
    assert "ends a path in PYTHONPATH" in refused(scaffold(tmp_path, "init", "a:b"), exit_code=2)
    assert not (tmp_path / "a:b").exists()


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


def test_words_come_from_options(tmp_path: Path) -> None:
    words = ("--name", "shop", "--license", "MIT", "--description", 'Sells "tea" \\ é')

    done(scaffold(tmp_path, "init", "fleet", *words))

    ours = project(tmp_path / "fleet")["project"]
    assert (ours["name"], ours["license"]) == ("shop", "MIT")
    assert ours["description"] == 'Sells "tea" \\ é'
    assert "the authors of shop" in (tmp_path / "fleet/LICENSE").read_text()
    assert 'name: "shop"\n' in (tmp_path / "fleet/compose.yaml").read_text()


def test_a_workspace_is_not_open_source_unless_its_owner_says_so(fresh: Path) -> None:
    ours = project(fresh)["project"]

    assert ours["license"] == "LicenseRef-Proprietary"
    assert ours["classifiers"] == ["Private :: Do Not Upload"]
    assert not (fresh / "LICENSE").exists()


@pytest.mark.parametrize(
    ("option", "word"),
    [
        ("--name", "My Shop"),
        ("--name", "quart"),
        ("--license", "all rights, mine"),
        ("--description", "two\nlines"),
        ("--description", " "),
    ],
)
def test_a_word_that_no_project_file_takes_is_refused(
    tmp_path: Path, option: str, word: str
) -> None:
    refused(scaffold(tmp_path, "init", "fleet", option, word), exit_code=2)

    assert list(tmp_path.iterdir()) == []


def test_on_a_terminal_what_no_option_says_is_asked(tmp_path: Path) -> None:
    person, terminal = pty.openpty()
    os.write(person, b"Apache-2.0\nSells tea\n")

    subprocess.run(
        [sys.executable, "-m", "scaffold", "init", "fleet", "--name", "shop"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=terminal,
        check=True,
    )

    os.close(terminal)
    asked = os.read(person, 10_000).decode()
    os.close(person)
    ours = project(tmp_path / "fleet")["project"]
    assert (ours["name"], ours["license"]) == ("shop", "Apache-2.0")
    assert ours["description"] == "Sells tea"
    assert "Name" not in asked
    assert "Licence, as SPDX names it (none: not open source) [none]:" in asked


def test_git_is_suggested_where_there_is_none(tmp_path: Path) -> None:
    alone = done(scaffold(tmp_path, "init", "alone"))
    (tmp_path / ".git").mkdir()
    below = done(scaffold(tmp_path, "init", "below"))

    assert "\n  git init && git add --all\n" in alone
    assert "git init" not in below


def test_the_number_of_files_and_the_time_are_told(tmp_path: Path) -> None:
    output = done(scaffold(tmp_path, "init", "fleet"))

    number = sum(path.is_file() for path in (tmp_path / "fleet").rglob("*"))
    assert re.match(rf"✓ fleet: {number} files created in \d+\.\d s\n", output)


@pytest.mark.parametrize("step", [2, 20, 70])
def test_a_killed_init_is_begun_anew(tmp_path: Path, fresh: Path, step: int) -> None:
    folder = tmp_path / "fleet"
    faults = [sys.executable, "-m", "tests.scaffold.faults", "any", str(step), "outage"]
    killed = run(tmp_path, *faults, "init", "fleet")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert folder.is_dir()

    completed = scaffold(tmp_path, "init", "fleet")

    assert done(completed)
    assert "Undid what an interrupted scaffold had left." in completed.stderr
    assert picture(folder) == picture(fresh)


def test_the_environment_of_these_tests_runs_the_repository(fresh: Path) -> None:
    assert ENVIRONMENT["PYTHONSAFEPATH"]
    code = "import scaffold; print(scaffold.__file__)"

    assert str(REPOSITORY) in done(run(fresh, sys.executable, "-c", code))
