"""The parent of workers, where one fails to start, ends or takes long."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.chassis.serving import TIMEOUT
from tests.chassis.worker import KILLED


@dataclass(frozen=True, slots=True)
class Parent:
    process: subprocess.Popen[str]
    folder: Path

    def wait_for(self, *names: str) -> None:
        """Wait until the workers of these numbers do what they were told to."""
        deadline = time.monotonic() + TIMEOUT
        while not all((self.folder / name).exists() for name in names):
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline, list(self.folder.iterdir())
            time.sleep(0.02)

    def end(self, *numbers: signal.Signals) -> tuple[int, str]:
        """Send the signals, and return the exit code and what has been said."""
        for number in numbers:
            self.process.send_signal(number)
        said, _ = self.process.communicate(timeout=TIMEOUT)
        return self.process.returncode, said


@contextmanager
def parent(folder: Path, count: int, orders: str) -> Iterator[Parent]:
    environment = {**os.environ, "WORKERS_FOLDER": str(folder), "WORKERS_ORDERS": orders}
    command = [sys.executable, "-m", "tests.chassis.worker", str(count)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            yield Parent(process, folder)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def test_the_first_that_cannot_start_ends_all(tmp_path: Path) -> None:
    with parent(tmp_path, 2, "fail") as started:
        assert started.end() == (3, "")


@pytest.mark.slow
def test_one_that_cannot_start_leaves_the_others_and_is_tried_again(tmp_path: Path) -> None:
    with parent(tmp_path, 2, "serve fail serve") as started:
        started.wait_for("0 serve", "2 serve")
        code, said = started.end(signal.SIGTERM)

    assert code == 0
    assert said.endswith(" could not start: another one is started in 1 s\n")


@pytest.mark.slow
def test_one_that_ends_soon_is_started_again_after_a_pause(tmp_path: Path) -> None:
    with parent(tmp_path, 1, "die serve") as started:
        started.wait_for("1 serve")
        code, said = started.end(signal.SIGTERM)

    assert code == 0
    assert said.endswith(" ended by itself: another one is started in 1 s\n")


@pytest.mark.slow
def test_a_replacement_that_cannot_start_leaves_those_that_serve(tmp_path: Path) -> None:
    with parent(tmp_path, 1, "serve fail serve") as started:
        started.wait_for("0 serve")
        started.process.send_signal(signal.SIGHUP)
        started.wait_for("1")
        started.process.send_signal(signal.SIGHUP)
        started.wait_for("2 serve")
        code, said = started.end(signal.SIGTERM)

    assert (code, said) == (0, "A new worker could not start: those that serve stay\n")


@pytest.mark.slow
def test_the_signal_to_end_waits_for_no_worker_that_starts(tmp_path: Path) -> None:
    with parent(tmp_path, 2, "serve hang") as started:
        started.wait_for("0 serve", "1 hang")

        assert started.end(signal.SIGTERM) == (0, "")


def test_the_signal_to_end_waits_for_no_replacement(tmp_path: Path) -> None:
    with parent(tmp_path, 1, "serve hang") as started:
        started.wait_for("0 serve")
        started.process.send_signal(signal.SIGHUP)
        started.wait_for("1 hang")

        assert started.end(signal.SIGTERM) == (0, "")


def test_one_whose_parent_is_killed_as_it_starts_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KILLED, "")

    with parent(tmp_path, 1, "die") as started:
        assert started.end() == (-signal.SIGKILL, "")

    assert (tmp_path / "0 die").exists()


@pytest.mark.slow
@pytest.mark.parametrize("hangups", [1, 2])
def test_a_signal_after_a_hangup_is_the_first_to_end(tmp_path: Path, hangups: int) -> None:
    with parent(tmp_path, 1, "drain drain drain") as started:
        started.wait_for("0 drain")
        code, said = started.end(*[signal.SIGHUP] * hangups, signal.SIGTERM)

    assert (code, said) == (0, "")
    assert not [*tmp_path.glob("* cut")]
