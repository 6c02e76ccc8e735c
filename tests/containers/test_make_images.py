"""`make images`: what Docker is asked to build, told by a program in its place."""

import os
import re
import shlex
from pathlib import Path

import pytest

from tests.requirement import get_program
from tests.workspace import GeneratedWorkspace, run

_COMMIT = "git -c user.name=a -c user.email=a@b.c commit --quiet --allow-empty --message=first"


@pytest.fixture
def clone(workspace: GeneratedWorkspace, tmp_path: Path) -> Path:
    """A folder with the workspace's Dockerfiles and a commit, cloned with credentials."""
    for path in (workspace.root / "Makefile", *workspace.root.rglob("Dockerfile")):
        target = tmp_path / path.relative_to(workspace.root)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(path.read_text())
    for command in (
        "git init --quiet",
        "git remote add origin https://token:x@example.com/shop.git",
        f"env GIT_COMMITTER_DATE=2026-11-28T10:00:00+0100 {_COMMIT}",
        "git tag v1.2",
    ):
        run(command.split(), tmp_path, dict(os.environ))
    return tmp_path


def built(clone: Path, *variables: str) -> dict[str, dict[str, str]]:
    """Return the arguments of each build, by the image's name."""
    make = [get_program("make"), "--silent", "images", "BUILD=echo build", *variables]
    builds = {}
    for line in run(make, clone, dict(os.environ)).splitlines():
        arguments = dict(re.findall(r"--build-arg (\w+)=(\S*)", line))
        words = shlex.split(line)
        arguments["file"] = words[words.index("--file") + 1]
        builds[words[words.index("--tag") + 1]] = arguments
    return builds


def test_images_are_named_and_tagged_as_in_the_manifests(clone: Path) -> None:
    builds = built(clone, "REGISTRY=registry.example.com/shop", "TAG=0.1.0")

    files = {name: arguments["file"] for name, arguments in builds.items()}
    assert files == {
        "registry.example.com/shop/migrate:0.1.0": "db_manager/Dockerfile",
        "registry.example.com/shop/user-service:0.1.0": "services/user_service/Dockerfile",
        "registry.example.com/shop/metrics-service:0.1.0": "services/metrics_service/Dockerfile",
    }


def test_labels_are_those_of_the_commit_and_hold_no_credentials(clone: Path) -> None:
    revision = run(["git", "rev-parse", "HEAD"], clone, dict(os.environ)).strip()

    arguments = built(clone)["shop/migrate:v1.2"]

    assert arguments == {
        "VERSION": "v1.2",
        "REVISION": revision,
        "SOURCE": "https://example.com/shop.git",
        "CREATED": "2026-11-28T10:00:00+01:00",
        "file": "db_manager/Dockerfile",
    }
