"""Nix and a workspace that the flake made; without them a skip, in CI a failure."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nix.offline import OfflineNix, commit, done, find_obstacle, prepared
from tests.workspace import FRAMEWORK


@pytest.fixture(scope="session")
def nix() -> Iterator[OfflineNix]:
    """Nix, in a folder where the user that PostgreSQL runs as can read the store."""
    if obstacle := find_obstacle():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(obstacle)
    with prepared() as nix:
        yield nix


@pytest.fixture(scope="session")
def made(nix: OfflineNix, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that the flake's generator made; tests only read it."""
    folder = tmp_path_factory.mktemp("made") / "shop"
    done(nix.run_overridden("run", FRAMEWORK, "--", "init", folder, folder=folder.parent))
    return folder


@pytest.fixture
def workspace(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Such a workspace, in git, at a path with a space."""
    folder = tmp_path_factory.mktemp("workspace") / "my fleet"
    shutil.copytree(made, folder)
    commit(folder)
    return folder
