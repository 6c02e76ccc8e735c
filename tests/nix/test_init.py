"""`nix run FLAKE -- init DIR` makes the workspace that `python -m scaffold init` makes."""

import re
from pathlib import Path

import pytest

from tests.nix.offline import OfflineNix, done, flake_of
from tests.scaffold.commands import picture
from tests.workspace import GeneratedWorkspace

pytestmark = pytest.mark.slow


def test_the_store_makes_the_same_bytes_as_a_clone(made: Path, tmp_path: Path) -> None:
    ours = GeneratedWorkspace.make(tmp_path / made.name)

    assert picture(made) == picture(ours.root)
    assert len(list((made / "vendor").glob("*.whl"))) == 1


def test_the_shell_takes_the_framework_from_vendor(nix: OfflineNix, workspace: Path) -> None:
    script = """
        python -c 'import db_manager, quart_fleet, scaffold, shared
for package in db_manager, quart_fleet, scaffold, shared: print(package.__file__)'
    """

    *framework, shared = done(nix.develop(flake_of(workspace), script, workspace)).splitlines()

    assert [path for path in framework if not path.startswith(str(nix.store))] == []
    assert Path(shared).is_relative_to(workspace)


def test_a_workspace_shows_itself_working(nix: OfflineNix, workspace: Path) -> None:
    before = picture(workspace)

    shown = done(nix.develop(flake_of(workspace), "make demo", workspace))

    found = re.fullmatch(r"(\d+) of (\d+) checks passed in .* s\.", shown.splitlines()[-1])
    assert found, shown
    assert int(found[1]) == int(found[2]) >= 60
    assert picture(workspace) == before
