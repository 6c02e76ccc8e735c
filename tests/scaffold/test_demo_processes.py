"""Child processes, and the signals that end their parent."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from scaffold.demo.workspace import Sandbox
from scaffold.errors import ScaffoldError
from scaffold.signals import ENDING, Interrupted
from scaffold.supervisor import processes
from scaffold.supervisor.processes import Place, Processes, SignalGuard, guarded
from scaffold.supervisor.reaper import Reaper


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox with an empty workspace."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "fleet").mkdir()
    with Reaper() as reaper:
        yield Sandbox(tmp_path, Processes(SignalGuard(), reaper))


@pytest.fixture
def here(tmp_path: Path) -> Place:
    """A folder to run commands in."""
    return Place(tmp_path, dict(os.environ))


@pytest.fixture
def own_handlers() -> Iterator[None]:
    """Restore the handlers of signals after the test."""
    before = {number: signal.getsignal(number) for number in ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("own_handlers")
def test_signals_are_deferred_while_something_is_opened() -> None:
    """And raised when it is registered for closing; later ones are not."""
    opened: list[str] = []

    def open_something(guard: SignalGuard) -> None:
        with guard.deferred():
            os.kill(os.getpid(), signal.SIGTERM)
            opened.append("registered")

    with guarded() as guard:
        with pytest.raises(Interrupted):
            open_something(guard)
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)

    assert opened == ["registered"]


def test_the_handlers_of_signals_come_back() -> None:
    """The demo may be a part of a longer program."""
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]

    with guarded():
        assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] != before

    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.usefixtures("own_handlers")
def test_an_interrupted_process_ignores_later_signals() -> None:
    """Python removes its handlers before it has exited: the next signal would kill it then."""
    with suppress(Interrupted), guarded():
        os.kill(os.getpid(), signal.SIGTERM)

    assert [signal.getsignal(each) for each in ENDING] == [signal.SIG_IGN] * len(ENDING)


def test_a_failing_command_is_told_with_its_last_words(sandbox: Sandbox, here: Place) -> None:
    """Its name, its exit code, and what it said on either stream."""
    command = [sys.executable, "-c", "import sys; print('one', flush=True); sys.exit('two')"]

    with pytest.raises(ScaffoldError, match=r"exit code 1:\n  one\n  two"):
        sandbox.processes.run(command, here, sandbox.log("failing"))


def test_a_command_that_is_not_there_is_told(sandbox: Sandbox, here: Place) -> None:
    """As on a machine without make."""
    with pytest.raises(ScaffoldError, match="`no-such-make install` does not start"):
        sandbox.processes.run(["no-such-make", "install"], here, sandbox.log("missing"))


def test_a_stubborn_process_ends_with_its_children(
    sandbox: Sandbox, here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets its time, then it is killed."""
    monkeypatch.setattr(processes, "TERMINATION_TIMEOUT", 0.1)
    script = "trap '' TERM; sleep 600 & echo $!; wait"
    process = sandbox.processes.start(["/bin/sh", "-c", script], here, sandbox.log("stubborn"))
    while not (words := sandbox.log("stubborn").read_text()).endswith("\n"):
        time.sleep(0.01)

    sandbox.processes.end([process])

    assert process.returncode == -signal.SIGKILL
    while _is_alive(int(words)):  # killed with its parent, it ends on its own
        time.sleep(0.01)


def _is_alive(pid: int) -> bool:
    """Whether it runs; one that is dead and waits to be noticed does not."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
