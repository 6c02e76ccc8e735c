"""`nix flake init -t` and `python -m scaffold init` make the same workspace."""

import re
from pathlib import Path

from tests.nix.offline import OfflineNix, commit, done, flake_of
from tests.scaffold.commands import picture
from tests.workspace import GeneratedWorkspace

_VERSION = re.compile(r'^version = ".*"$', re.MULTILINE)
"""A workspace begins with a first version of its own, which Nix cannot write."""


def test_the_template_is_what_init_makes(template: Path, tmp_path: Path) -> None:
    made = GeneratedWorkspace.make(tmp_path / "quart-fleet")

    ours, theirs = picture(template), picture(made.root)

    assert list(ours) == list(theirs)
    assert {path for path in ours if ours[path] != theirs[path]} <= {"README.md", "pyproject.toml"}
    one, other = (_VERSION.sub("", (root / "pyproject.toml").read_text(), count=1)
                  for root in (template, made.root))  # fmt: skip
    assert one == other


def test_a_workspace_of_the_template_shows_itself_working(nix: OfflineNix, workspace: Path) -> None:
    before = picture(workspace)

    shown = done(nix.develop(flake_of(workspace), "make demo", workspace))

    found = re.fullmatch(r"(\d+) of (\d+) checks passed in .* s\.", shown.splitlines()[-1])
    assert found, shown
    assert int(found[1]) == int(found[2]) >= 60
    assert picture(workspace) == before


def test_what_a_workspace_adds_is_not_in_its_template(
    nix: OfflineNix, workspace: Path, template: Path, tmp_path: Path
) -> None:
    GeneratedWorkspace(workspace).python("-m", "scaffold", "product-service", "8082")
    commit(workspace)

    done(nix.run("flake", "init", "-t", flake_of(workspace), folder=tmp_path))

    ours, theirs = picture(tmp_path), picture(template)
    assert list(ours) == list(theirs)
    assert [path for path in ours if ours[path] != theirs[path]] == ["services/compose.yaml"]
