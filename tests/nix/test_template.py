"""`nix flake init -t` and `python -m scaffold init` make the same workspace."""

import tomllib
from pathlib import Path

from tests.nix.offline import OfflineNix, commit, done, flake_of
from tests.scaffold.commands import picture
from tests.workspace import GeneratedWorkspace

_OF_THE_FOLDER = ("README.md", "pyproject.toml")
"""What `init` writes for the folder's name, which Nix does not know."""


def test_the_template_is_what_init_makes(template: Path, tmp_path: Path) -> None:
    made = GeneratedWorkspace.make(tmp_path / "quart-fleet")

    ours, theirs = picture(template), picture(made.root)

    assert list(ours) == list(theirs)
    assert [path for path in ours if ours[path] != theirs[path]] == list(_OF_THE_FOLDER)


def test_the_projects_differ_in_what_they_say_of_themselves(template: Path, tmp_path: Path) -> None:
    made = GeneratedWorkspace.make(tmp_path / "quart-fleet")

    ours, theirs = (
        tomllib.loads((root / "pyproject.toml").read_text()) for root in (template, made.root)
    )

    for project in (ours, theirs):
        project["project"].pop("version")
        project["project"].pop("description")
    assert ours == theirs


def test_what_a_workspace_adds_is_not_in_its_template(
    nix: OfflineNix, workspace: Path, template: Path, tmp_path: Path
) -> None:
    GeneratedWorkspace(workspace).python("-m", "scaffold", "product-service", "8082")
    commit(workspace)

    done(nix.run("flake", "init", "-t", flake_of(workspace), folder=tmp_path))

    ours, theirs = picture(tmp_path), picture(template)
    assert list(ours) == list(theirs)
    assert [path for path in ours if ours[path] != theirs[path]] == ["compose.yaml"]
