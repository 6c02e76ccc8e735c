"""A test that hangs fails where it does, however it waits, and those after it run."""

import subprocess
import sys
from pathlib import Path

import pytest

_TESTS = """
import asyncio
import subprocess
import threading

import pytest

pytestmark = pytest.mark.timeout(0.5)


def test_a_pipe():
    with subprocess.Popen(["sleep", "7.25"], stdout=subprocess.PIPE) as process:
        process.communicate()


def test_a_lock():
    threading.Event().wait()


async def test_a_task():
    async def wait_for_nothing():
        await asyncio.Event().wait()

    await asyncio.create_task(wait_for_nothing())


@pytest.fixture
def leaving():
    yield
    threading.Event().wait()


def test_a_teardown(leaving):
    pass


def test_the_next_one():
    pass
"""


@pytest.mark.slow
def test_a_hanging_test_fails_with_what_it_waits_for(tmp_path: Path) -> None:
    (tmp_path / "test_hangs.py").write_text(_TESTS)
    (tmp_path / "conftest.py").write_text(
        "import tests.deadline\ntests.deadline._AGAIN = 0.5\nfrom tests.deadline import *\n"
    )
    options = [
        "-o",
        "asyncio_mode=auto",
        "-o",
        "markers=timeout(seconds)",
        "-p",
        "no:cacheprovider",
    ]

    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            *options,
            "--rootdir",
            tmp_path,
            "-c",
            "/dev/null",
            tmp_path,
        ],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )

    assert "3 failed, 2 passed, 1 error" in done.stdout, done.stdout + done.stderr
    assert done.stdout.count("It hangs: ") >= 4
    assert " sleep 7.25" in done.stdout
    assert "in wait_for_nothing" in done.stdout
