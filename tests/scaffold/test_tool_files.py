"""The tool files of a workspace: what CI, pre-commit and make read of them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.requirement import get_program
from tests.scaffold.commands import REPOSITORY, done, picture, run

_CI = {
    ".github/workflows/ci.yml": "vendor.github-workflows",
    ".gitlab-ci.yml": "vendor.gitlab-ci",
}
"""Each file with its schema."""
_LISTED = re.compile(r"^  make (\S+) +\S", re.MULTILINE)


def find_fault(path: Path, schema: str) -> str | None:
    """Return what a schema says against a file, None for nothing."""
    command = [get_program("check-jsonschema"), "--builtin-schema", schema, str(path)]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    return completed.stdout + completed.stderr if completed.returncode else None


def listed(folder: Path) -> set[str]:
    """Return the targets that `make help` lists."""
    return set(_LISTED.findall(done(run(folder, "make", "help"))))


@pytest.mark.parametrize("name", _CI)
@pytest.mark.slow
def test_ci_can_read_its_file(fresh: Path, name: str, tmp_path: Path) -> None:
    assert find_fault(fresh / name, _CI[name]) is None

    broken = tmp_path / "ci.yml"
    broken.write_text(
        (fresh / name)
        .read_text()
        .replace("  script:\n", "  scripts:\n")
        .replace("    steps:\n", "    step:\n")
    )
    assert find_fault(broken, _CI[name])


@pytest.mark.parametrize("name", [*_CI, ".pre-commit-config.yaml"])
def test_what_ci_makes_is_a_target(fresh: Path, name: str) -> None:
    made = set(re.findall(r"\bmake (\w+)", (fresh / name).read_text())) - {"sure"}

    assert made
    assert made <= listed(fresh)


@pytest.mark.parametrize("name", _CI)
def test_ci_checks_everything(fresh: Path, name: str) -> None:
    text = (fresh / name).read_text()

    for target in ("install", "lint", "types", "test", "images"):
        assert re.search(rf" make {target}( AGAINST=FETCH_HEAD)?\n", text)


def test_help_lists_what_is_there(fresh: Path) -> None:
    assert listed(fresh) == {
        *("help", "install", "demo", "test", "lint", "types", "images", "lock")
    }
    assert listed(REPOSITORY) >= {"bench", "vendor", "lock", "test-all"}


def test_nothing_that_runs_before_a_commit_is_downloaded(fresh: Path) -> None:
    text = (fresh / ".pre-commit-config.yaml").read_text()

    assert re.findall(r"repo: (\S+)", text) == ["local"]
    assert re.findall(r"language: (\S+)", text) == ["system"]


def test_vendor_of_this_repository_is_that_of_a_workspace(fresh: Path, tmp_path: Path) -> None:
    done(run(tmp_path, sys.executable, "-m", "scaffold.distribution.vendor"))

    made = picture(tmp_path)
    assert made.keys() == {"vendor", *(f"vendor/{path.name}" for path in (fresh / "vendor").iterdir()),
                           "requirements.lock", "requirements-dev.lock"}  # fmt: skip
    assert made == {name: what for name, what in picture(fresh).items() if name in made}
