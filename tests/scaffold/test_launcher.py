"""`fleet`: one installed command, which runs the scaffold that a workspace is of."""

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

import quart_fleet
from scaffold.distribution.framework import get_framework
from scaffold.distribution.wheel import build_wheel
from tests.scaffold.commands import ENVIRONMENT, REPOSITORY, Completed, done, refused

INSTALLED = quart_fleet.__version__
OTHER = "0.1.9"
_RUN = f'import sys; sys.path.append("{REPOSITORY}"); from scaffold.launcher import run; run()'


def fleet(folder: Path, *arguments: str, **variables: str) -> Completed:
    """Run the function that the installed command calls."""
    return subprocess.run(
        [sys.executable, "-c", _RUN, *arguments],
        cwd=folder,
        env=ENVIRONMENT | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def other(workspace: Path) -> Path:
    """A workspace of another version, without its wheel."""
    project = workspace / "pyproject.toml"
    project.write_text(project.read_text().replace(f'"{INSTALLED}"', f'"{OTHER}"'))
    (workspace / "vendor").mkdir()
    return workspace


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the other version."""
    made = build_wheel(get_framework())
    folder = tmp_path_factory.mktemp("wheels")
    (folder / "made.whl").write_bytes(made.content)
    path = folder / f"quart_fleet-{OTHER}-py3-none-any.whl"
    with zipfile.ZipFile(folder / "made.whl") as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "scaffold/framework.toml":
                old, new = (f'version = "{each}"'.encode() for each in (INSTALLED, OTHER))
                assert old in content
                content = content.replace(old, new, 1)
            target.writestr(name, content)
    return path


def test_outside_of_a_workspace_it_is_the_installed_one(tmp_path: Path) -> None:
    assert done(fleet(tmp_path, "--version")) == f"fleet {INSTALLED}\n"
    assert done(fleet(tmp_path, "--help")).startswith("Usage: fleet [OPTIONS] COMMAND")


@pytest.mark.slow
def test_in_a_workspace_of_its_version_it_works_there(workspace: Path) -> None:
    assert done(fleet(workspace / "shared", "ping", "8081", "--bare")).startswith("✓ ping is in")


@pytest.mark.slow
def test_in_a_workspace_of_another_version_its_vendored_one_runs(other: Path, wheel: Path) -> None:
    shutil.copy(wheel, other / "vendor")

    assert done(fleet(other / "services", "--version")) == f"scaffold {OTHER}\n"
    assert done(fleet(other, "ping", "8081", "--bare")).startswith("✓ ping is in")
    assert "NAME PORT" in fleet(other, "service", "--help").stdout


def test_the_exit_code_of_the_vendored_one_is_kept(other: Path, wheel: Path) -> None:
    shutil.copy(wheel, other / "vendor")

    assert "Missing argument 'PORT'" in refused(fleet(other, "user-service"), exit_code=2)


def test_what_makes_and_what_upgrades_a_workspace_is_the_installed_one(other: Path) -> None:
    assert "is inside the workspace" in refused(fleet(other, "init", "new"))


def test_a_workspace_without_its_own_is_not_touched_by_another(other: Path) -> None:
    message = refused(fleet(other, "ping", "8081", "--bare"))

    assert f"of quart-fleet {OTHER}, and {INSTALLED} runs.\nInstall its own: make inst" in message


def test_the_installed_packages_of_a_workspace_win(other: Path, wheel: Path) -> None:
    venv.create(other / ".venv", with_pip=False)
    [site] = (other / ".venv/lib").glob("python*/site-packages")
    zipfile.ZipFile(wheel).extractall(site)
    borrowed = [entry for entry in sys.path if entry.endswith("site-packages")]
    (site / "borrowed.pth").write_text("\n".join(borrowed) + "\n")

    # PYTHONPATH would name the repository's own packages first.
    assert done(fleet(other, "--version", PYTHONPATH="")) == f"scaffold {OTHER}\n"


def test_a_clone_runs_its_own_code(tmp_path: Path) -> None:
    for package in ("quart_fleet", "scaffold"):
        shutil.copytree(REPOSITORY / package, tmp_path / package)
    text = (REPOSITORY / "pyproject.toml").read_text()
    (tmp_path / "pyproject.toml").write_text(
        text.replace(f'version = "{INSTALLED}"', f'version = "{OTHER}"', 1)
    )

    assert done(fleet(tmp_path / "scaffold", "--version")) == f"scaffold {OTHER}\n"


def complete(folder: Path, *words: str, shell: str = "zsh") -> list[str]:
    """Return what a shell is told for the last of the words."""
    variables = {
        "_FLEET_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": " ".join(["fleet", *words]),
        "COMP_CWORD": str(len(words)),
    }
    return done(fleet(folder, **variables)).splitlines()


@pytest.mark.slow
def test_commands_services_resources_and_options_are_completed(with_user_service: Path) -> None:
    assert "remove" in complete(with_user_service, "rem")
    assert "user-service" in complete(with_user_service, "remove", "us")
    assert "user" in complete(with_user_service, "field", "user-service", "u")
    assert "--rename" in complete(with_user_service, "field", "user-service", "user", "--ren")
    assert complete(with_user_service, "remove", "nothing") == [""]


def test_words_are_completed_where_nothing_can_be_read(tmp_path: Path) -> None:
    assert "init" in complete(tmp_path, "in")
    assert complete(tmp_path, "remove", "us") == [""]
    assert complete(tmp_path, "init", "8081", "x") != []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(tmp_path: Path, shell: str) -> None:
    assert f"_FLEET_COMPLETE={shell}_complete" in done(fleet(tmp_path, "completion", shell))


def test_bash_completes_by_its_script(tmp_path: Path) -> None:
    program = tmp_path / "fleet"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{_RUN}' \"$@\"\n")
    program.chmod(0o755)
    script = (
        'eval "$(fleet completion bash)"; COMP_WORDS=(fleet comp); COMP_CWORD=1;'
        '_fleet_completion fleet comp; echo "${COMPREPLY[@]}"'
    )
    path = os.pathsep.join([str(tmp_path), ENVIRONMENT.get("PATH", os.defpath)])

    completed = subprocess.run(
        ["bash", "-c", script],
        env=ENVIRONMENT | {"PATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert completed.stdout == "completion\n", completed.stderr
