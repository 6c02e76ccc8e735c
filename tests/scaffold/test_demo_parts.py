"""The demo's parts, where a whole demo would not show how they fail."""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from scaffold.demo import processes
from scaffold.demo.answers import NEW_ID, NOW, date_after, filled, success, to_bytes
from scaffold.demo.errors import DemoError
from scaffold.demo.examination import Examination, Result
from scaffold.demo.fleet import Service, started
from scaffold.demo.interruption import Guard, guarded
from scaffold.demo.processes import Place, Processes
from scaffold.demo.reaper import Reaper
from scaffold.demo.requests import get
from scaffold.demo.sandbox import Installation, Sandbox, environment
from scaffold.signals import ENDING, Interrupted


def _now(**shift: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(**shift), usegmt=True)


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox with an empty workspace."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "fleet").mkdir()
    with Reaper() as reaper:
        yield Sandbox(tmp_path, Processes(Guard(), reaper))


@pytest.fixture
def here(tmp_path: Path) -> Place:
    """A folder to run commands in."""
    return Place(tmp_path, dict(os.environ))


@pytest.mark.parametrize("shift", [0, 3, -3])
def test_a_date_that_was_just_set_is_taken_as_it_came(shift: float) -> None:
    """A few seconds either way."""
    came = _now(seconds=shift)

    assert filled({"at": NOW}, {"at": came}) == {"at": came}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda date: _now(minutes=-1),
        lambda date: _now(minutes=1),
        lambda date: date.replace("GMT", "UTC"),
        lambda date: date.replace("GMT", "+0000"),
        lambda date: date.replace(",", ""),
        lambda date: date.lower(),
        lambda date: f"{date} ",
        lambda date: datetime.now(UTC).isoformat(),
        lambda date: datetime.now(UTC).timestamp(),
        lambda date: None,
    ],
    ids=["old", "young", "zone", "offset", "comma", "lower", "space", "iso", "number", "null"],
)
def test_another_date_is_replaced_by_what_was_expected(spoil: Callable[[str], object]) -> None:
    """Too old, too young, or in any other form."""
    assert filled({"at": NOW}, {"at": spoil(_now())}) == {"at": "<an HTTP date in UTC of now>"}


def test_a_wrong_day_of_the_week_is_no_date() -> None:
    """Python's own parser would let it pass."""
    came = _now()
    other = "Mon" if came[:3] != "Mon" else "Tue"

    assert filled(NOW, other + came[3:]) == "<an HTTP date in UTC of now>"


def test_a_later_date_is_later_by_a_second() -> None:
    """The same second does not show that anything was set."""
    before, now = _now(seconds=-1), _now()

    assert filled(date_after(before), now) == now
    assert filled(date_after(now), now) != now


@pytest.mark.parametrize("came", [0, -1, "1", 1.0, True, None])
def test_an_id_is_a_positive_integer(came: object) -> None:
    """As JSON has it: neither text nor a fraction nor true."""
    assert filled(NEW_ID, 7) == 7
    assert filled(NEW_ID, came) == "<a positive integer>"


def test_only_unknown_values_come_from_the_answer() -> None:
    """A missing key, another key and another length all show in the bytes."""
    expected = {"id": NEW_ID, "name": "Zo\u00eb", "items": [1]}

    assert to_bytes(filled(expected, {"id": 3, "name": "x", "more": 1, "items": [1, 2]})) == (
        b'{"id":3,"items":[1],"name":"Zo\\u00eb"}\n'
    )
    assert filled(expected, None) == {**expected, "id": "<a positive integer>"}


@pytest.fixture
def own_handlers() -> Iterator[None]:
    """Whatever becomes of the signals in this test, the next one finds them as they were."""
    before = {number: signal.getsignal(number) for number in ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("own_handlers")
def test_signals_wait_while_something_is_opened() -> None:
    """And come through when it is noted for closing; no later one does."""
    opened: list[str] = []

    def open_something(guard: Guard) -> None:
        with guard.held():
            os.kill(os.getpid(), signal.SIGTERM)
            opened.append("noted")

    with guarded() as guard:
        with pytest.raises(Interrupted):
            open_something(guard)
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)

    assert opened == ["noted"]


def test_the_handlers_of_signals_come_back() -> None:
    """The demo may be a part of a longer program."""
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]

    with guarded():
        assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] != before

    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.usefixtures("own_handlers")
def test_whoever_was_interrupted_ends_undisturbed() -> None:
    """Python takes its own handlers away before it is gone: the next signal would kill it then."""
    with suppress(Interrupted), guarded():
        os.kill(os.getpid(), signal.SIGTERM)

    assert [signal.getsignal(each) for each in ENDING] == [signal.SIG_IGN] * len(ENDING)


def test_a_failing_command_is_told_with_its_last_words(sandbox: Sandbox, here: Place) -> None:
    """Its name, its exit code, and what it said on either stream."""
    command = [sys.executable, "-c", "import sys; print('one', flush=True); sys.exit('two')"]

    with pytest.raises(DemoError, match=r"exit code 1:\n  one\n  two"):
        sandbox.processes.run(command, here, sandbox.log("failing"))


def test_a_command_that_is_not_there_is_told(sandbox: Sandbox, here: Place) -> None:
    """As on a machine without make."""
    with pytest.raises(DemoError, match="`no-such-make install` does not start"):
        sandbox.processes.run(["no-such-make", "install"], here, sandbox.log("missing"))


def test_a_stubborn_process_ends_with_its_children(
    sandbox: Sandbox, here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets its time, then it is killed."""
    monkeypatch.setattr(processes, "PATIENCE", 0.1)
    script = "trap '' TERM; sleep 600 & echo $!; wait"
    process = sandbox.processes.start(["/bin/sh", "-c", script], here, sandbox.log("stubborn"))
    while not (words := sandbox.log("stubborn").read_text()).endswith("\n"):
        time.sleep(0.01)

    sandbox.processes.end([process])

    assert process.returncode == -signal.SIGKILL
    while _is_alive(int(words)):  # killed with its parent, it ends on its own
        time.sleep(0.01)


def test_a_service_that_dies_is_named_with_its_last_words(sandbox: Sandbox) -> None:
    """At once, not when the patience with all of them has ended."""
    service = Service("user-service", 1)
    folder = sandbox.workspace / service.folder
    folder.mkdir(parents=True)
    (folder / "app.py").write_text("import sys; sys.exit('no luck')", "utf-8")
    installation = Installation(sandbox, sys.executable, {})

    with (
        pytest.raises(DemoError, match=r"user-service ended with exit code 1:\n  no luck"),
        started([service], installation),
    ):
        pass


def test_a_service_that_does_not_answer_is_red(deaf_socket: socket.socket) -> None:
    """The demo goes on: the others may be well."""
    service = Service("user-service", deaf_socket.getsockname()[1])
    results: list[Result] = []

    with Examination(service, results.append) as examination:
        data = examination.ask("one", get("/users/1"), success({"id": NEW_ID}))

    assert data == {"id": "<a positive integer>"}
    assert [result.passed for result in results] == [False]
    assert results[0].faults[0].startswith("expected status 200, got no answer: ConnectError")


def test_the_callers_settings_stay_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A PORT of the shell would put all four services on it."""
    monkeypatch.setenv("PORT", "3000")
    monkeypatch.setenv("LANG", "C.UTF-8")

    variables = environment({"DEBUG": "False"})

    assert "PORT" not in variables
    assert (variables["LANG"], variables["DEBUG"]) == ("C.UTF-8", "False")


def _is_alive(pid: int) -> bool:
    """Whether it runs; one that is dead and waits to be noticed does not."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
