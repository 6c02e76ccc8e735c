"""The lines of all services as one stream: in columns on a terminal, plain elsewhere."""

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from itertools import cycle

import click

from scaffold.supervisor.journal import Entry

_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_cyan", "bright_magenta")
_LEVELS = {"warning": "yellow", "error": "red", "critical": "red"}
_OWN = frozenset({"exception", "stack", "route"})
"""Fields of an entry that are shown in a place of their own, or not at all."""
_OF_ACCESS = frozenset({"method", "path", "status", "duration_ms", "bytes_received", "client"})


class Screen:
    """Where lines are shown.

    Args:
        names: what lines may be of.
        outlives: the errors of an output that nobody reads any more which are no trouble.
    """

    def __init__(
        self, names: Iterable[str], outlives: tuple[type[OSError], ...] = (OSError,)
    ) -> None:
        names = list(names)
        self._outlives = outlives
        self.is_silent = False
        self._is_coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self._width = max(map(len, names))
        self._colours: dict[str, str] = {}
        self._next = cycle(_COLOURS)
        for name in names:
            self._colours[name] = next(self._next)

    def show(self, entry: Entry) -> str:
        """Show an entry in a line of its own; return what it says without its time."""
        if entry.is_probe:
            return entry.message
        if entry.source == "supervisor":
            for line in entry.message.splitlines():
                self._print(entry.service, line, entry.level or "")
            return entry.message
        if entry.level is None:
            self._print(entry.service, entry.message)
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
        at = datetime.fromtimestamp(entry.time, UTC)
        self._print(entry.service, f"{at:%H:%M:%S} {shown}", entry.level)
        for traced in str(entry.fields.get("exception") or "").splitlines():
            self._print(entry.service, f"  {traced}", entry.level)
        return shown

    def say(self, line: str) -> None:
        """Show a line about the fleet."""
        if self.is_silent:
            return
        with suppress(OSError):
            click.echo(line, err=True)

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
        with suppress(*self._outlives):
            click.echo(f"{shown}  {line}", color=self._is_coloured)
