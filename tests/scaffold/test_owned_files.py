"""This repository is a workspace too: what it owns as one is what `init` renders."""

import re
from pathlib import PurePosixPath

import pytest

from scaffold.commands.init import License, WorkspaceWords
from scaffold.generation.render import render_tree
from tests.scaffold.commands import REPOSITORY

_WORDS = WorkspaceWords("quart-fleet", License.parse("MIT"), "A fleet")
_FOLDERS = ("shared", "db_manager", "services", "docs", "nix/grimp.nix", "nix/packages.nix")
_FILES = (
    *(".dockerignore", ".editorconfig", ".envrc", ".gitattributes", "compose.yaml", "flake.lock"),
)
_DIFFERING = {
    *(".gitignore", ".gitlab-ci.yml", ".pre-commit-config.yaml", ".python-version"),
    *("Makefile", "README.md", "flake.nix", "nix/framework.nix", "pyproject.toml"),
}
"""Those of the framework's repository are of the framework, or are not there."""
_SHARED_TARGETS = ("help", "demo", "lint", "types")


@pytest.fixture(scope="module")
def rendered() -> dict[PurePosixPath, str]:
    """What `init` would write here."""
    return render_tree("workspace", {"workspace": _WORDS})


def test_the_workspaces_own_files_are_their_templates_rendering(
    rendered: dict[PurePosixPath, str],
) -> None:
    owned = {
        path: text
        for path, text in rendered.items()
        if str(path) in _FILES or any(path.is_relative_to(folder) for folder in _FOLDERS)
    }

    assert len(owned) >= 24
    assert {
        path for path, text in owned.items() if (REPOSITORY / path).read_text() != text
    } == set()


def test_every_file_is_compared_or_named_as_different(rendered: dict[PurePosixPath, str]) -> None:
    left = {str(path) for path in rendered if str(path) not in _FILES}
    left = {path for path in left if not path.startswith((".github/", *_FOLDERS))}

    assert left == _DIFFERING


def test_a_shared_file_that_no_template_renders_would_be_noticed(
    rendered: dict[PurePosixPath, str],
) -> None:
    here = {
        PurePosixPath(path.relative_to(REPOSITORY))
        for path in (REPOSITORY / "shared").rglob("*.py")
    }

    assert here == {path for path in rendered if path.is_relative_to("shared")}


def test_both_makefiles_do_the_same_by_the_same_name(rendered: dict[PurePosixPath, str]) -> None:
    ours = (REPOSITORY / "Makefile").read_text()
    theirs = rendered[PurePosixPath("Makefile")]

    for name in _SHARED_TARGETS:
        assert _recipe(ours, name) == _recipe(theirs, name)
    beginning = ours[: ours.index(".PHONY: help")]
    assert theirs.startswith(beginning)


def _recipe(makefile: str, target: str) -> str:
    found = re.search(rf"^{target}:.*\n(\t.*\n)+", makefile, re.MULTILINE)
    assert found, target
    return found[0]


def test_the_tools_settings_are_the_same(rendered: dict[PurePosixPath, str]) -> None:
    ours = (REPOSITORY / "pyproject.toml").read_text()
    theirs = rendered[PurePosixPath("pyproject.toml")]
    for table in ("[tool.ruff.lint]", "[tool.scaffold]"):
        start = theirs.index(table)
        assert theirs[start : theirs.index("\n[", start + 1)] in ours
