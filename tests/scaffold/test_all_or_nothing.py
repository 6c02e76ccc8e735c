"""Whatever happens while it writes: everything is there in the end, or nothing is."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from quart_fleet.unfinished import undo_all
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
from tests.scaffold.test_client import DOCUMENT
from tests.workspace import GeneratedWorkspace, booted


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


@pytest.mark.slow
def test_what_a_killed_process_left_is_undone_by_its_guard(place: Path) -> None:
    before = picture(place)

    for completed in strikes(place, "SIGKILL"):
        assert completed.returncode == -signal.SIGKILL
        wait_for_guard(place)
        assert picture(place) == before


def wait_for_guard(folder: Path) -> None:
    """Wait until a guard has removed the staging folder, a minute at most."""
    deadline = time.monotonic() + 60
    while any(folder.glob(".scaffold-*")):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow
def test_what_a_killed_process_and_its_guard_left_is_undone_later(place: Path) -> None:
    before = picture(place)
    half_written = 0

    for completed in strikes(place, "outage"):
        assert completed.returncode == -signal.SIGKILL
        left = {path: what for path, what in picture(place).items() if path[0] != "."}
        half_written += left != before
        undo_all(place)
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


@pytest.mark.slow
def test_a_full_disk_is_told_and_leaves_what_was(worn: Path) -> None:
    before = picture(worn)

    completed = strike(worn, "rename", 3, "ENOSPC", "apply", "--restore")

    message = refused(completed)
    assert "Nothing was written" in message
    assert "No space left on device" in message
    assert picture(worn) == before


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.slow
def test_an_interruption_is_told_and_leaves_what_was(worn: Path, name: str) -> None:
    before = picture(worn)

    completed = strike(worn, "rename", 3, name, "apply", "--restore")

    message = refused(completed, exit_code=128 + signal.Signals[name])
    assert message == "Error: Interrupted: nothing was written.\n"
    assert picture(worn) == before


@pytest.mark.slow
def test_the_next_run_undoes_what_a_killed_one_left(worn: Path) -> None:
    before = picture(worn)
    killed = strike(worn, "rename", 3, "outage", "apply", "--restore")
    assert killed.returncode == -signal.SIGKILL
    assert picture(worn) != before

    message = refused(scaffold(worn, "user-service", "8081"))

    assert "Undid what an interrupted scaffold had left" in message
    assert "fleet.toml describes user-service already" in message
    assert picture(worn) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        "-m scaffold list",
        "-m scaffold routes",
        "-m scaffold apply --dry-run",
        "-m scaffold templates list",
        "-m db_manager history",
        "-m db_manager lint",
        "-m db_manager sql base:head",
    ],
)
def test_whatever_comes_next_undoes_what_a_killed_one_left(
    with_user_service: Path, command: str
) -> None:
    before = picture(with_user_service / "services")
    killed = strike(
        with_user_service, "rename", 9, "outage", "resource", "user-service", "card", "name:str"
    )
    assert killed.returncode == -signal.SIGKILL
    assert picture(with_user_service / "services") != before

    run(with_user_service, sys.executable, "-B", *command.split())

    assert picture(with_user_service / "services") == before
    assert not list(with_user_service.glob(".scaffold-*"))


CARD = "resource book-service card number:str"
NOWHERE = "postgresql://ada@127.0.0.1:1/ada"
HALVES = [(9, "resource book-service tag label:str"), (20, "remove book-service card --yes")]
"""Commands, and after how many of their renames code is there that cannot be imported."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> GeneratedWorkspace:
    """A workspace whose service starts, and whose resource a killed command half adds or removes."""
    return GeneratedWorkspace.make(
        tmp_path_factory.mktemp("whole") / "fleet", "book-service 8081", CARD
    )


def start(workspace: GeneratedWorkspace) -> None:
    """Start the service, which asks no database for its health."""
    with booted(workspace, "book_service", NOWHERE):
        pass


def try_tests(workspace: GeneratedWorkspace) -> None:
    """Run tests that need no database."""
    name = "services/book_service/tests/test_book_use_cases.py"
    workspace.python("-m", "pytest", "-q", "-p", "no:cacheprovider", name)


def migrate(workspace: GeneratedWorkspace) -> None:
    """Run what reads revisions and models before it asks the database, of which there is none."""
    with pytest.raises(AssertionError, match=r"127\.0\.0\.1:1"):
        workspace.python("-m", "db_manager", "migrate", DATABASE_URL=NOWHERE)


@pytest.mark.slow
@pytest.mark.parametrize("follow", [start, try_tests, migrate])
@pytest.mark.parametrize(("step", "command"), HALVES)
def test_code_that_a_killed_command_left_half_written_is_never_run(
    whole: GeneratedWorkspace, step: int, command: str, follow: Callable[[GeneratedWorkspace], None]
) -> None:
    before = picture(whole.root / "services")
    killed = strike(whole.root, "rename", step, "outage", *command.split())
    assert killed.returncode == -signal.SIGKILL
    assert picture(whole.root / "services") != before

    follow(whole)

    assert picture(whole.root / "services") == before
    assert not list(whole.root.glob(".scaffold-*"))


COMMANDS = {
    "service": ["mail-service 8082 subject:str"],
    "resource": ["resource user-service card number:str:unique user:ref(user)"],
    "field": ["mail-service 8082 subject:str", "field mail-service mail text:text?"],
    "remove": ["mail-service 8082 subject:str", "remove mail-service --yes"],
    "remove a resource": [
        "resource user-service card number:str",
        "remove user-service card --yes",
    ],
    "client": ["mail-service 8082 subject:str", "client user-service mail-service"],
    "apply": ["mail-service 8082 subject:str", "apply --restore"],
    "undo": ["mail-service 8082 subject:str", "undo --yes"],
    "templates": ["templates copy service/README.md"],
    "env": ["env"],
    "init": ["init other"],
}
"""What is killed at every write, after what makes a workspace ready for it."""


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_all_or_nothing(
    with_user_service: Path, tmp_path: Path, name: str
) -> None:
    *first, last = COMMANDS[name]
    here = with_user_service
    for each in first:
        done(scaffold(here, *each.split()))
    if name == "apply":
        (here / "services/mail_service/README.md").unlink()
        append = here / "services/mail_service/app.py"
        append.write_text(append.read_text() + "# ours\n")
        fleet = here / "fleet.toml"
        fleet.write_text(fleet.read_text().replace("subject", 'body = "text?"\nsubject'))
    if name == "client":
        (here / "services/mail_service/openapi.json").write_text(json.dumps(DOCUMENT))
    if name == "env":
        (here / "services/user_service/.env").unlink()
        shutil.rmtree(here / ".secrets")
    if name == "init":
        here = tmp_path

    kills = ["env", "KILLS=1"] if name in ("env", "init", "templates") else []  # few steps
    said = done(run(here, *kills, sys.executable, faults.__file__, "every", *last.split()))

    times = re.search(r"killed (\d+) times, (\d+) times half-written", said)
    assert times, said
    assert int(times[1]) > 5
    assert int(times[2]) > 0
    assert not list(here.glob(".scaffold-*"))


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["SIGKILL", "outage"])
@pytest.mark.parametrize(("kind", "step"), [("write_bytes", 3), ("rename", 2), ("rename", 6)])
def test_init_works_after_one_that_was_killed(
    tmp_path: Path, fault: str, kind: str, step: int
) -> None:
    killed = strike(tmp_path, kind, step, fault, "init", "shop")
    assert killed.returncode == -signal.SIGKILL
    if fault == "SIGKILL":
        wait_for_guard(tmp_path / "shop")

    done(scaffold(tmp_path, "init", "shop"))

    done(scaffold(tmp_path / "shop", "user-service", "8081"))


@pytest.mark.slow
def test_a_limit_of_the_system_leaves_what_was(workspace: Path) -> None:
    before = picture(workspace)

    completed = run(
        workspace,
        *("sh", "-c", 'ulimit -f 1; exec "$@"', "sh"),
        *(sys.executable, "-B", "-m", "scaffold", "user-service", "8081"),
    )

    refused(completed)
    assert picture(workspace) == before


@pytest.mark.slow
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


def test_a_killed_process_leaves_nothing_in_the_temporary_folder(
    workspace: Path, tmp_path: Path
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    code = (
        "import os, signal, subprocess;"
        "subprocess.run = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL);"
        "from scaffold.cli import main; main(['user-service', '8081'])"
    )

    completed = run(workspace, "env", f"TMPDIR={temporary}", sys.executable, "-c", code)

    assert completed.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 60
    while list(temporary.iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_process_that_outlives_its_terminal_is_not_interrupted(workspace: Path) -> None:
    struck = ("rename", "1", "SIGHUP", "user-service", "8081")

    completed = run(workspace, "nohup", sys.executable, faults.__file__, *struck)

    done(completed)
    assert (workspace / "services/user_service/app.py").is_file()
