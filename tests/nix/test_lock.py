"""The lock file holds the one input to one revision."""

import json
import shutil
from pathlib import Path

import pytest

from tests.nix.offline import STANDIN, OfflineNix, done
from tests.workspace import FRAMEWORK

pytestmark = pytest.mark.slow


def test_the_lock_is_valid_for_the_inputs(nix: OfflineNix) -> None:
    metadata = json.loads(
        done(nix.run("flake", "metadata", "--json", "--no-update-lock-file", FRAMEWORK))
    )

    assert metadata["locks"] == json.loads((FRAMEWORK / "flake.lock").read_text())
    assert list(metadata["locks"]["nodes"]) == ["nixpkgs", "root"]


def test_a_lock_that_is_not_valid_would_be_noticed(nix: OfflineNix, tmp_path: Path) -> None:
    shutil.copy(FRAMEWORK / "flake.lock", tmp_path)
    flake = (FRAMEWORK / "flake.nix").read_text()
    other = flake.replace("github:NixOS/nixpkgs/nixos-26.05", f"path:{nix.root / 'nixpkgs'}")
    (tmp_path / "flake.nix").write_text(other)

    completed = nix.run("flake", "metadata", "--no-update-lock-file", f"path:{tmp_path}")

    assert completed.returncode == 1
    assert "requires lock file changes" in completed.stderr


def test_the_lock_has_the_revision_that_was_checked(nix: OfflineNix) -> None:
    facts = (STANDIN / "README.md").read_text()
    lock = json.loads((FRAMEWORK / "flake.lock").read_text())

    locked = lock["nodes"]["nixpkgs"]["locked"]
    for fact in ("rev", "narHash", "lastModified"):
        assert f"{fact} {locked[fact]}" in facts
