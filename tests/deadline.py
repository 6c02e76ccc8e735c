"""A deadline for every test: one that hangs fails, with the place where it does, and the rest runs on.

Each of set-up, call and teardown has 15 minutes, or what `@pytest.mark.timeout(seconds)` says. The alarm
is a signal, raised where the main thread is. It repeats, because what it ends may wait anew: a block of
Popen waits for its process. Where Python itself never comes to it, the process ends.
"""

import asyncio
import faulthandler
import io
import os
import signal
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

SECONDS = 900.0
_AGAIN = 30.0
"""Seconds between two alarms."""
_END = 300.0
"""Seconds from the first alarm to the end of the process."""


@contextmanager
def deadline(item: pytest.Item) -> Iterator[None]:
    """Fail the block when the time of its test is over."""
    mark = item.get_closest_marker("timeout")
    seconds = float(mark.args[0]) if mark else SECONDS

    def expire(_number: int, _frame: FrameType | None) -> None:
        pytest.fail(
            f"It hangs: {seconds:.0f} s are over.\n{_describe_tasks()}{_describe_processes()}"
        )

    previous = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    faulthandler.dump_traceback_later(seconds + _END, exit=True)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, previous)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    with deadline(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    with deadline(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    with deadline(item):
        return (yield)


def _describe_tasks() -> str:
    """Return where the tasks of the running loop wait: the loop's own stack does not say it."""
    stacks = io.StringIO()
    try:
        for task in asyncio.all_tasks():
            task.print_stack(file=stacks)
    except RuntimeError:  # no loop runs
        return ""
    return stacks.getvalue()


def _describe_processes() -> str:
    """Return the commands of all that this process started and that still run."""
    parents, commands = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
            words = (
                (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            )
        except OSError:  # it has ended
            continue
        parents[int(folder.name)] = int(status[1])
        commands[int(folder.name)] = f"{folder.name} {status[0]} {words}\n"
    own = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in own} - own:
        own |= more
    return "".join(commands[pid] for pid in sorted(own - {os.getpid()}))
