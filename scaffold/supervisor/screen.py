"""The lines of all services as one stream: in columns on a terminal, plain elsewhere."""

import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import cycle, groupby
from operator import itemgetter
from typing import Self

import click

from scaffold.supervisor.journal import MOST_CHARACTERS, MOST_LINES, Entry

_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_cyan", "bright_magenta")
_LEVELS = {"warning": "yellow", "error": "red", "critical": "red"}
_OWN = frozenset({"exception", "stack", "route"})
"""Fields of an entry that are shown in a place of their own, or not at all."""
_OF_ACCESS = frozenset({"method", "path", "status", "duration_ms", "bytes_received", "client"})
_CHUNK = 16 * 1024
"""Bytes that are written at a time."""
_LAST_LINES_TIMEOUT = 1.0
"""Seconds for which the end waits where nothing is read of what is left to write."""


class Output:
    """Where the supervisor writes lines, which never waits for a reader; runs inside `with`.

    A terminal that is paused, or a pipe that is not read, gets as many lines as the journal keeps,
    and then how many were left out. One that has gone is no trouble.
    """

    def __init__(self, out: int, error: int) -> None:
        """Take the descriptors of the standard output and of the standard error."""
        self._files = (out, error)
        self._lines = deque[tuple[bool, str]]()
        """Each with whether it is for the standard error."""
        self._characters = self._left_out = self._written = 0
        self._is_over = False
        self._changed = threading.Condition()
        # Not waited for at the end of the process: it may never be.
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._is_over = True
            self._changed.notify()
        written = -1
        while self._thread.is_alive() and written != self._written:
            written = self._written
            self._thread.join(_LAST_LINES_TIMEOUT)

    def write(self, line: str, is_error: bool) -> None:
        """Have a line written by and by."""
        with self._changed:
            if len(self._lines) >= MOST_LINES or self._characters > MOST_CHARACTERS:
                self._left_out += 1
                return
            self._lines.append((is_error, line))
            self._characters += len(line)
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines or self._is_over)
                if not self._lines:
                    return
                lines, left_out = self._lines, self._left_out
                self._lines, self._characters, self._left_out = deque(), 0, 0
            if left_out:
                said = f"{left_out} lines are left out here: python -m scaffold logs has the last ones."
                lines.append((True, said))
            for is_error, group in groupby(lines, itemgetter(0)):
                with suppress(OSError):
                    self._write(self._files[is_error], "".join(f"{line}\n" for _, line in group))

    def _write(self, file: int, text: str) -> None:
        left = memoryview(text.encode("utf-8", "replace"))
        while left:
            try:
                left = left[os.write(file, left[:_CHUNK]) :]
                self._written += 1
            except BlockingIOError:  # by another program that has the same terminal
                select.select([], [file], [])


def echo(line: str, is_error: bool) -> None:
    """Write a line at once; raises OSError where its reader has left."""
    click.echo(line, err=is_error)


class Screen:
    """Where lines are shown.

    Args:
        names: of the services.
        write: takes a line, and whether it is for the standard error.
    """

    def __init__(self, names: Iterable[str], write: Callable[[str, bool], None] = echo) -> None:
        names = list(names)
        self.is_silent = False
        self._write = write
        self._is_coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self._width = max(map(len, names))
        self._colours: dict[str, str] = {}
        self._next = cycle(_COLOURS)
        for name in names:
            self._colours[name] = next(self._next)

    def show(self, entry: Entry) -> str:
        """Show an entry in a line of its own; return what it says without its time."""
        if entry.is_of_page:
            return entry.message
        if entry.source == "supervisor":
            for line in entry.message.splitlines():
                self._print(entry.service, line, entry.level or "")
            return entry.message
        at = time.strftime("%H:%M:%S", time.localtime(entry.time))
        if entry.level is None:
            self._print(entry.service, f"{at} {entry.message}")
            return entry.message
        text, hidden = entry.message, _OWN
        if "duration_ms" in entry.fields:
            status, milliseconds = entry.fields.get("status"), entry.fields["duration_ms"]
            text, hidden = f"{text} {status} {milliseconds} ms", _OWN | _OF_ACCESS
        level = entry.level * (entry.level != "info")
        rest = (
            # Quoted where a part of it could be taken for another one.
            f"{key}={value!r}"
            if isinstance(value, str) and set(value) & set(" =\"'")
            else f"{key}={value}"
            for key, value in entry.fields.items()
            if key not in hidden
        )
        shown = " ".join((level, text, *rest)).strip()
        self._print(entry.service, f"{at} {shown}", entry.level)
        for traced in str(entry.fields.get("exception") or "").splitlines():
            self._print(entry.service, f"  {traced}", entry.level)
        return shown

    def say(self, line: str) -> None:
        """Show a line about the fleet."""
        if self.is_silent:
            return
        self._write(line, True)

    def _print(self, name: str, line: str, level: str = "") -> None:
        if self.is_silent:
            return
        # Control codes in a service's output do not reach the terminal.
        if not line.isprintable():
            line = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in line)
        shown = f"{name:{self._width}}"
        if self._is_coloured:
            if name not in self._colours:
                self._colours[name] = next(self._next)
            shown = click.style(shown, fg=self._colours[name])
            line = click.style(line, fg=_LEVELS[level]) if level in _LEVELS else line
        self._write(f"{shown}  {line}", False)
