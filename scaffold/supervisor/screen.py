"""The lines of all services as one stream: in columns on a terminal, plain elsewhere."""

import json
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from itertools import cycle

import click

_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_cyan", "bright_magenta")
_LEVELS = {"warning": "yellow", "error": "red", "critical": "red"}
_OWN = frozenset(
    {"timestamp", "level", "logger", "event", "service", "pid", "exception", "stack", "route"}
)
"""Fields of a line of JSON that are shown in a place of their own, or not at all."""
_OF_ACCESS = frozenset({"method", "path", "status", "duration_ms", "bytes_received", "client"})


class Screen:
    """Where lines are shown; a terminal that has gone is no trouble."""

    def __init__(self, names: Iterable[str]) -> None:
        names = list(names)
        self._is_coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self._width = max(map(len, names))
        self._colours = dict(zip(names, cycle(_COLOURS), strict=False))

    def show(self, name: str, line: str) -> str:
        """Show a line of a service's output, of JSON what it says; return it without its time."""
        try:
            found = json.loads(line) if line.startswith("{") else None
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or "event" not in found:
            self._print(name, line)
            return line
        level, text, hidden = str(found.get("level", "")), str(found["event"]), _OWN
        if "duration_ms" in found:
            text, hidden = (
                f"{text} {found.get('status')} {found['duration_ms']} ms",
                _OWN | _OF_ACCESS,
            )
        rest = (f"{key}={value}" for key, value in found.items() if key not in hidden)
        shown = " ".join((level * (level != "info"), text, *rest)).strip()
        self._print(name, f"{str(found.get('timestamp', ''))[11:19]} {shown}", level)
        for traced in str(found.get("exception") or "").splitlines():
            self._print(name, f"  {traced}", level)
        return shown

    def tell(self, name: str, text: str) -> None:
        """Show what has become of a service."""
        for line in text.splitlines():
            self._print(name, line, "warning")

    def say(self, line: str) -> None:
        """Show a line about the fleet."""
        with suppress(OSError):
            click.echo(line, err=True)

    def _print(self, name: str, line: str, level: str = "") -> None:
        # Control codes in a service's output do not reach the terminal.
        line = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in line)
        shown = f"{name:{self._width}}"
        if self._is_coloured:
            shown = click.style(shown, fg=self._colours[name])
            line = click.style(line, fg=_LEVELS[level]) if level in _LEVELS else line
        with suppress(OSError):
            click.echo(f"{shown}  {line}", color=self._is_coloured)


def _quoted(value: object) -> str:
    """Return a value as text, quoted where a part of it could be taken for another one."""
    text = str(value)
    return repr(text) if not text or set(text) & set(" =\"'") else text
