"""The parts that tests are tried in are apart from each other, and together are all tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.shard import is_in
from tests.workspace import FRAMEWORK

TESTS = [f"tests/test_ways.py::test_many[{number}]" for number in range(400)]


def test_each_is_in_one_part_and_parts_are_about_equal() -> None:
    parts = [[test for test in TESTS if is_in(f"{number}/4", test)] for number in range(1, 5)]

    assert sorted(test for part in parts for test in part) == sorted(TESTS)
    assert all(70 < len(part) < 130 for part in parts)


@pytest.mark.parametrize("shard", ["5/4", "0/4", "2", "2/0", "a/b"])
def test_a_part_that_is_none_is_refused(shard: str) -> None:
    with pytest.raises(pytest.UsageError, match="a part and the number of all, such as 2/4"):
        is_in(shard, TESTS[0])


def test_pytest_runs_that_part_in_its_order(tmp_path: Path) -> None:
    ways = "import pytest\n@pytest.mark.parametrize('n', range(9))\ndef test_way(n): pass\n"
    (tmp_path / "test_ways.py").write_text(ways)
    (tmp_path / "conftest.py").write_text("from tests.shard import pytest_collection_modifyitems\n")
    environment = {"PYTHONPATH": str(FRAMEWORK), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env=os.environ | environment | {"SHARD": "1/2"},
        capture_output=True,
        text=True,
        check=True,
    )

    names = [f"test_ways.py::test_way[{number}]" for number in range(9)]
    expected = [name for name in names if is_in("1/2", name)]
    assert 0 < len(expected) < 9
    assert [line for line in run.stdout.splitlines() if "::" in line] == expected
