"""Of what tries one thing in many ways, a part is tried, the same for the same seed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workspace import FRAMEWORK

_TESTS = """
import pytest


@pytest.mark.many
@pytest.mark.parametrize("number", range(40))
def test_many(number):
    pass


@pytest.mark.many
def test_one():
    pass


@pytest.mark.parametrize("number", range(3))
def test_few(number):
    pass
"""


@pytest.fixture
def tests(tmp_path: Path) -> Path:
    (tmp_path / "test_ways.py").write_text(_TESTS)
    hook = "from tests.share import pytest_collection_modifyitems\n"
    (tmp_path / "conftest.py").write_text(hook)
    return tmp_path


def chosen(tests: Path, **settings: str) -> list[str]:
    options = ["-q", "--collect-only", "-o", "markers=many", "-p", "no:cacheprovider"]
    environment = {name: each for name, each in os.environ.items() if name not in ("SHARE", "SEED")}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        cwd=tests,
        env=environment | {"PYTHONPATH": str(FRAMEWORK)} | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return re.findall(r"::(.+)", run.stdout)


@pytest.mark.parametrize(("share", "count"), [({}, 40), ({"SHARE": "25"}, 10), ({"SHARE": "1"}, 1)])
def test_a_share_of_many_and_all_others_are_tried(
    tests: Path, share: dict[str, str], count: int
) -> None:
    names = [name.partition("[")[0] for name in chosen(tests, **share)]

    assert names == [*["test_many"] * count, "test_one", *["test_few"] * 3]


def test_a_seed_chooses_the_same_and_another_one_others(tests: Path) -> None:
    first, again, other = (chosen(tests, SHARE="25", SEED=seed) for seed in ("1", "1", "2"))

    assert first == again != other
