"""Whatever happens while it writes: everything is there in the end, or nothing is."""

import os
import pty
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from scaffold.engine import transaction
from scaffold.engine.plan import Plan
from tests.scaffold import faults
from tests.scaffold.commands import (
    ENVIRONMENT,
    Completed,
    done,
    picture,
    refused,
    run,
    scaffold,
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder that has some of what the small plan writes."""
    folder = tmp_path / "place"
    (folder / "folder").mkdir(parents=True)
    (folder / "gone/deep").mkdir(parents=True)
    names = ("changed.txt", "folder/changed.sh", "folder/kept.txt", *map(str, faults.DELETED))
    for name in names:
        (folder / name).write_text("old")
    (folder / "changed.txt").chmod(0o700)  # which no umask gives to what is written
    (folder / "same.txt").write_text("same")
    return folder


def strike(folder: Path, kind: str, step: int, fault: str, *arguments: str) -> Completed:
    """Write, and be struck at one step of it."""
    return run(folder, sys.executable, faults.__file__, kind, str(step), fault, *arguments)


def strikes(place: Path, fault: str) -> Iterator[Completed]:
    """Write the small plan once for each of its steps, struck there; then put the disk back."""
    original = place.with_name("original")
    shutil.copytree(place, original)
    for step in range(1, 100):
        completed = strike(place, "any", step, fault, "apply")
        if completed.returncode == faults.UNREACHED:
            assert step > 15
            return
        yield completed
        shutil.rmtree(place)
        shutil.copytree(original, place)
    raise AssertionError("There is no end of steps")


def test_a_plan_is_written_with_right_modes(place: Path) -> None:
    before = picture(place)

    transaction.apply(replace(Plan.decide(place, faults.SMALL_PLAN), deleted=faults.DELETED))

    after = picture(place)
    assert {path: what[1] for path, what in after.items() if what[1]} == {
        **{str(path): content for path, content in faults.SMALL_PLAN.items()},
        "folder/kept.txt": b"old",
    }
    assert not (place / "gone").exists()
    usual = before["folder/kept.txt"][0]
    assert after["changed.txt"][0] == before["changed.txt"][0] != usual
    assert after["folder/changed.sh"][0] == after["new/deep/a.txt"][0] == usual
    assert after["folder/new.sh"][0] & 0o100
    assert after["new"][0] == before["folder"][0]


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["ENOSPC", "SIGINT", "SIGTERM"])
def test_a_failure_at_any_step_leaves_what_was(place: Path, fault: str) -> None:
    before = picture(place)

    for completed in strikes(place, fault):
        assert completed.returncode == 1
        assert picture(place) == before


def test_what_a_killed_process_left_is_undone_later(place: Path) -> None:
    before = picture(place)
    half_written = 0

    for completed in strikes(place, "SIGKILL"):
        assert completed.returncode == -signal.SIGKILL
        left = {path: what for path, what in picture(place).items() if path[0] != "."}
        half_written += left != before
        assert transaction.recover(place)
        assert picture(place) == before

    assert half_written


@pytest.fixture
def worn(with_user_service: Path) -> Path:
    """A workspace whose user service was changed here and half deleted there, with a new port."""
    service = with_user_service / "services/user_service"
    (service / "app.py").write_text("changed")
    (service / "README.md").unlink()
    shutil.rmtree(service / "domain")
    fleet = with_user_service / "fleet.toml"
    fleet.write_text(fleet.read_text().replace("8081", "9000"))
    return with_user_service


def test_a_full_disk_is_told_and_leaves_what_was(worn: Path) -> None:
    before = picture(worn)

    completed = strike(worn, "rename", 3, "ENOSPC", "apply", "--restore")

    message = refused(completed)
    assert "Nothing was written" in message
    assert "No space left on device" in message
    assert picture(worn) == before


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_an_interruption_is_told_and_leaves_what_was(worn: Path, name: str) -> None:
    before = picture(worn)

    completed = strike(worn, "rename", 3, name, "apply", "--restore")

    message = refused(completed, exit_code=128 + signal.Signals[name])
    assert message == "Error: Interrupted: nothing was written.\n"
    assert picture(worn) == before


def test_the_next_run_undoes_what_a_killed_one_left(worn: Path) -> None:
    before = picture(worn)
    killed = strike(worn, "rename", 3, "SIGKILL", "apply", "--restore")
    assert killed.returncode == -signal.SIGKILL
    assert picture(worn) != before

    message = refused(scaffold(worn, "user-service", "8081"))

    assert "Undid what an interrupted scaffold had left" in message
    assert "fleet.toml describes user-service already" in message
    assert picture(worn) == before


def test_a_limit_of_the_system_leaves_what_was(workspace: Path) -> None:
    before = picture(workspace)

    completed = run(
        workspace,
        *("sh", "-c", 'ulimit -f 1; exec "$@"', "sh"),
        *(sys.executable, "-B", "-m", "scaffold", "user-service", "8081"),
    )

    refused(completed)
    assert picture(workspace) == before


def test_nothing_is_left_in_the_temporary_folder(workspace: Path, tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()

    completed = run(
        workspace,
        *("env", f"TMPDIR={temporary}"),
        *(sys.executable, "-m", "scaffold", "user-service", "8081"),
    )

    done(completed)
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_an_interrupted_formatter_leaves_no_temporary_folder(
    workspace: Path, tmp_path: Path, name: str
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    code = (
        "import os, signal, subprocess;"
        f"subprocess.run = lambda *_, **__: os.kill(os.getpid(), signal.{name});"
        "from scaffold.cli import main; main(['user-service', '8081'])"
    )

    completed = run(workspace, "env", f"TMPDIR={temporary}", sys.executable, "-c", code)

    refused(completed, exit_code=128 + signal.Signals[name])
    assert list(temporary.iterdir()) == []


@pytest.mark.slow
def test_services_generated_at_once_do_not_disturb_each_other(workspace: Path) -> None:
    names = ["product-service", "order-service", "invoice-service", "payment-service"]

    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "scaffold", name, str(port)],
            cwd=workspace,
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for port, name in enumerate(names, 8081)
    ]

    assert [process.wait() for process in processes] == [0, 0, 0, 0]
    done(scaffold(workspace, "last-service", "8090"))  # refused if the revisions had two heads
    assert len(list((workspace / "services").glob("*/app.py"))) == 5


def test_of_two_that_want_a_port_at_once_one_gets_it(workspace: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "scaffold", name, "8081"],
            cwd=workspace,
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for name in ("product-service", "order-service")
    ]

    assert sorted(process.wait() for process in processes) == [0, 1]
    assert len(list((workspace / "services").glob("*/app.py"))) == 1


@pytest.mark.parametrize(("answer", "exit_code"), [("y", 0), ("n", 1), ("", 1)])
def test_a_person_at_a_terminal_is_asked(worn: Path, answer: str, exit_code: int) -> None:
    before = picture(worn)
    ours, theirs = pty.openpty()

    with subprocess.Popen(
        [sys.executable, "-m", "scaffold", "remove", "user-service"],
        cwd=worn,
        env=ENVIRONMENT,
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        question = os.read(ours, 1000).decode()
        os.write(ours, f"{answer}\n".encode())
        assert process.wait() == exit_code

    os.close(ours)
    assert "Edited since generated, and to be deleted: services/user_service/app.py" in question
    assert (picture(worn) == before) == (answer != "y")


def test_a_process_that_outlives_its_terminal_is_not_interrupted(workspace: Path) -> None:
    struck = ("rename", "1", "SIGHUP", "user-service", "8081")

    completed = run(workspace, "nohup", sys.executable, faults.__file__, *struck)

    done(completed)
    assert (workspace / "services/user_service/app.py").is_file()
