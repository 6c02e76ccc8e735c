"""Writes, and strikes at one step: `faults.py KIND STEP FAULT (apply | ARGUMENT...)`.

`faults.py every ARGUMENT...` is killed at each step of a command in turn, undoes what that left, and
prints how often that was once the command has done them all. It is each third step, by itself, and
each with KILLS=1 in the environment, as `make proofs` has it; SEED begins with another.

A step is a file written, copied, moved or removed in a staging folder; KIND is the name of the
functions that count, or `any`. FAULT is the name of a signal, which the process sends to itself,
`outage`, which kills its guard too, or an error number, which the step raises. `apply` writes a small plan into the current folder;
anything else is a command of the generator.
"""

import errno
import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any

from quart_fleet.unfinished import STAGING, undo_all
from scaffold.cli import main
from scaffold.engine import transaction
from scaffold.engine.plan import Plan
from scaffold.engine.transaction import apply
from scaffold.guard import _start
from tests.scaffold.commands import picture

UNREACHED = 77
"""The exit code where there were fewer steps."""


SMALL_PLAN = {
    PurePosixPath(path): content
    for path, content in {
        "changed.txt": b"new",
        "folder/changed.sh": b"#!/bin/sh\n",
        "folder/new.sh": b"#!/bin/sh\n",
        "new/deep/a.txt": b"a",
        "new/deep/b.txt": b"b",
        "same.txt": b"same",
    }.items()
}
"""Changes files, creates one, and moves a whole folder into a place that has some of these."""
DELETED = tuple(map(PurePosixPath, ("folder/other.txt", "gone/deep/a.txt", "gone/b.txt")))
"""Files beside others, and all of a folder."""
STEPS: dict[Any, list[str]] = {
    Path: ["write_bytes", "write_text", "mkdir", "rename", "replace", "chmod"],
    shutil: ["copy2", "copymode"],
}


class Striker:
    """Counts the steps and strikes at one of them."""

    def __init__(self, step: int, fault: str) -> None:
        self.left = step
        self._fault = fault

    def watch(self, owner: Any, name: str) -> None:
        """Count the calls of a function that have to do with a staging folder."""
        original: Callable[..., object] = getattr(owner, name)

        def watched(*arguments: Any, **options: Any) -> object:
            if any(STAGING in str(argument) for argument in arguments):
                self._step()
            return original(*arguments, **options)

        setattr(owner, name, watched)

    def _step(self) -> None:
        self.left -= 1
        if self.left:
            return
        if self._fault == "outage":
            guard = _start()
            guard.kill()
            guard.wait()
            os.kill(os.getpid(), signal.SIGKILL)
        elif self._fault.startswith("SIG"):
            os.kill(os.getpid(), signal.Signals[self._fault])
        else:
            number = getattr(errno, self._fault)
            raise OSError(number, os.strerror(number))


def run(kind: str, striker: Striker, arguments: list[str]) -> int:
    """Write and return the exit code."""
    for owner, names in STEPS.items():
        for name in names:
            if kind in ("any", name):
                striker.watch(owner, name)
    try:
        if arguments == ["apply"]:
            plan = Plan.decide(Path.cwd(), SMALL_PLAN)
            apply(replace(plan, deleted=DELETED))
        else:
            main(arguments, prog_name="scaffold")
    except SystemExit as end:
        return int(end.code or 0)
    return UNREACHED if striker.left > 0 else 0


def run_every(arguments: list[str]) -> None:
    """Be killed at each step of a command in turn, then let it write."""
    original = transaction.apply
    root = Path.cwd()
    apart, seed = int(os.environ.get("KILLS", "3")), int(os.environ.get("SEED", "0"))

    def apply(plan: Plan, first: Callable[[], None] | None = None) -> None:
        if root not in (plan.root, plan.root.parent):
            original(plan, first)  # in a folder for the time being
            return
        before, half_written = picture(plan.root), 0
        for killed, step in enumerate(count(1 + seed % apart, apart)):
            child = os.fork()
            if not child:
                run_to_the_end(partial(original, plan, first), step)
            _, status = os.waitpid(child, 0)
            if os.waitstatus_to_exitcode(status) == UNREACHED:
                print(f"killed {killed} times, {half_written} times half-written")
                return
            left = {path: what for path, what in picture(plan.root).items() if STAGING not in path}
            half_written += left != before
            undo_all(
                plan.root
            )  # as does the process that gets the lock next, which this process holds
            assert picture(plan.root) == before, step

    transaction.apply = apply
    main(arguments, prog_name="scaffold")


def run_to_the_end(write: Callable[[], None], step: int) -> None:
    """Write in a process of its own, which is killed at a step."""
    striker = Striker(step, "SIGKILL")
    for owner, names in STEPS.items():
        for name in names:
            striker.watch(owner, name)
    write()
    os._exit(UNREACHED)


if __name__ == "__main__":
    if sys.argv[1] == "every":
        run_every(sys.argv[2:])
    sys.exit(run(sys.argv[1], Striker(int(sys.argv[2]), sys.argv[3]), sys.argv[4:]))
