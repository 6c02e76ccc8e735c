"""The commands for a fleet that is up: `ps`, `logs`, `wait`, `restart` and `stop`."""

import errno
import json
import os
import re
import select
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from scaffold.errors import MisuseError, ScaffoldError
from scaffold.supervisor.control import VERSION
from scaffold.supervisor.journal import DATABASE, FLEET, Entry
from scaffold.supervisor.place import Place, SilentError
from scaffold.supervisor.screen import Screen
from scaffold.workspace import Workspace

_NOT_UP = "The fleet is not up here. To start it: python -m scaffold up"
_POLL_INTERVAL = 0.1
_READ_BYTES = 256 * 1024
_SILENCE = 1.0
"""Seconds without an answer until the supervisor is asked whether it still gives any."""
_LAST_LINES = 100
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
"""Seconds."""

Answer = dict[str, Any]

_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result for a program.")


@click.command()
@_JSON
def ps(as_json: bool) -> None:
    """Show the services that are up: state, port, process; and their database. Exit 1 if none is."""
    place = Place.of(Workspace.find(Path.cwd()).root)
    show(ask(place, "ps", as_json=as_json), as_json=as_json)


@click.command()
@click.argument("names", metavar="[SERVICE]...", nargs=-1)
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes, until the fleet ends.")
@click.option(
    "--since",
    metavar="TIME",
    callback=lambda _context, _option, text: _read_since(text),
    help="From then on: 30s, 5m, 2h ago, or a time as 2026-11-30T10:00:00.",
)
@click.option(
    "--lines",
    "-n",
    type=click.IntRange(min=0),
    metavar="N",
    help=f"As many of the last ones; without --since and --json, {_LAST_LINES}.",
)
@click.option("--json", "as_json", is_flag=True, help="Print each line for a program, as JSON.")
def logs(
    names: tuple[str, ...], follow: bool, since: float, lines: int | None, as_json: bool
) -> None:
    """Show the last lines of the services that are up, the oldest first: of all, or those named."""
    place = Place.of(Workspace.find(Path.cwd()).root)
    names_here = [FLEET, *(each["name"] for each in ask(place, "ps", as_json=as_json)["services"])]
    screen = Screen(names_here)
    with suppress(KeyboardInterrupt):  # which is how following ends
        most = _LAST_LINES if lines is None and not (since or as_json) else lines
        for answer in _answers(
            place,
            "logs",
            as_json=as_json,
            services=names,
            follow=follow,
            since=since,
            lines=most,
        ):
            if as_json:
                click.echo(json.dumps(answer))
            else:
                del answer["version"]
                screen.show(Entry(**answer))


@click.command()
@click.argument("names", metavar="[SERVICE]...", nargs=-1)
@click.option(
    "--timeout", type=click.FloatRange(min=0), default=120, metavar="SECONDS", show_default=True
)
@_JSON
def wait(names: tuple[str, ...], timeout: float, as_json: bool) -> None:
    """Wait until the services serve what the files say: all, or those named. Exit 1 where one fails.

    A fleet that is only about to be up is waited for too.
    """
    place, end = Place.of(Workspace.find(Path.cwd()).root), time.monotonic() + timeout
    is_told = False
    while not place.is_up():
        if time.monotonic() > end:
            raise _refused({"up": False, "error": _NOT_UP}, as_json=as_json)
        if not is_told:
            click.echo(f"{_NOT_UP}. It is waited for, {timeout:g} s at most.", err=True)
            is_told = True
        time.sleep(_POLL_INTERVAL)
    left = max(0.0, end - time.monotonic())
    found = ask(place, "wait", as_json=as_json, services=names, timeout=left)
    show(found, as_json=as_json)
    refuse_failed(found)


@click.command()
@click.argument("names", metavar="[SERVICE]...", nargs=-1)
@_JSON
def restart(names: tuple[str, ...], as_json: bool) -> None:
    """Have new processes take over, without losing a request: of all services, or those named."""
    place = Place.of(Workspace.find(Path.cwd()).root)
    found = ask(place, "restart", as_json=as_json, services=names)
    show(found, as_json=as_json)
    if found["failed"]:
        raise ScaffoldError("\n".join(f"{name} {why}" for name, why in found["failed"].items()))


@click.command()
@_JSON
def stop(as_json: bool) -> None:
    """End the fleet, once what the services have been asked is answered; twice, end it at once."""
    place = Place.of(Workspace.find(Path.cwd()).root)
    if place.is_up():
        with place.outlived():
            for _ in _answers(place, "stop"):
                pass  # until its services have ended
        was_up = True
    else:
        was_up = False
    if as_json:
        click.echo(json.dumps({"version": VERSION, "up": False, "stopped": was_up}))
    else:
        click.echo("Stopped." if was_up else "It was not up.")


def ask(place: Place, command: str, *, as_json: bool = False, **arguments: Any) -> Answer:
    """Ask the fleet for something, and return its one answer; raises ScaffoldError."""
    for answer in _answers(place, command, as_json=as_json, **arguments):
        return answer
    raise _refused({"up": False, "error": "The fleet has ended meanwhile."}, as_json=as_json)


def _refused(answer: Answer, *, as_json: bool) -> ScaffoldError:
    """Return the error of what a fleet answers, or of none; print it for a program, too."""
    if as_json:
        click.echo(json.dumps({"version": VERSION, "up": True, **answer}))
    return (MisuseError if "unknown" in answer else ScaffoldError)(answer["error"])


def _answers(
    place: Place, command: str, *, as_json: bool = False, **arguments: Any
) -> Iterator[Answer]:
    connection = place.find_connection()
    if connection is None:
        raise _refused({"up": False, "error": _NOT_UP}, as_json=as_json)
    if command != "ps":  # what is not answered must not be done later
        _refuse_silent(place)
    is_endless = bool(arguments.get("follow"))
    with connection:
        connection.settimeout(_SILENCE)
        with suppress(ConnectionError):
            connection.sendall(json.dumps({"command": command, **arguments}).encode() + b"\n")
        text = b""
        while True:
            try:
                read = connection.recv(_READ_BYTES)
            except TimeoutError:
                if is_endless:
                    _refuse_unread()
                else:
                    _refuse_silent(place)
                continue
            except ConnectionError:  # it was killed: what it has said counts
                return
            if not read:  # of a line that was cut, nothing is known
                return
            *lines, text = (text + read).split(b"\n")
            for line in lines:
                answer: Answer = json.loads(line)
                if "error" in answer:
                    raise _refused(answer, as_json=as_json)
                yield answer


def _refuse_unread() -> None:
    """Raise BrokenPipeError where the reader of the output has left, as writing to it would."""
    looking = select.poll()
    looking.register(sys.stdout, 0)  # for errors alone
    if any(what & (select.POLLERR | select.POLLHUP) for _, what in looking.poll(0)):
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def _refuse_silent(place: Place) -> None:
    """Raise ScaffoldError where the supervisor is there and says nothing when it is asked."""
    if connection := place.find_connection():
        with connection, suppress(ConnectionError):
            connection.sendall(b'{"command": "ps"}\n')
            try:
                connection.recv(1)
            except TimeoutError:
                raise SilentError(connection) from None


def show(found: Answer, *, as_json: bool = False) -> None:
    """Print what is known of a fleet."""
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    now = time.time()
    rows = [("SERVICE", "STATE", "FOR", "ADDRESS", "PROCESS", "RESTARTS")]
    rows += [
        (each["name"], _describe_state(each), _describe_age(now - each["since"]), each["url"],
         str(each["pid"] or "-"), str(each["restarts"]))
        for each in found["services"]
    ]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
    for each in found["services"]:
        if each["reason"]:
            click.echo(f"\n{each['name']} {each['reason']}")
    database = found["database"]
    where = database["address"] or ("embedded" if database["embedded"] else "not asked yet")
    revision = f", at {', '.join(database['current'])}" if database["current"] else ""
    click.echo(f"\nDatabase: {database['state']}, {where}{revision}")
    if found["isolated"]:
        folder = Workspace(Path(found["root"])).postgres_folder
        click.echo(f"  isolated: ports and a database of its own, in {folder}")
    if database["reason"]:
        click.echo(f"  {database['reason']}")
    for each in database["pending"]:
        click.echo(f"  pending: {each['id']} {each['message']}")
    if found["page"]:
        click.echo(f"Page: {found['page']}")
    click.echo(
        f"Up for {_describe_age(now - found['since'])}, by process {found['pid']}. "
        "python -m scaffold logs -f shows what it does, stop ends it."
    )


def show_database(place: Place, since: float) -> None:
    """Print what was said of the database from a time on, in seconds since 1970."""
    screen = Screen([DATABASE])
    for answer in _answers(place, "logs", services=[DATABASE], since=since):
        del answer["version"]
        screen.show(Entry(**answer))


def refuse_failed(found: Answer) -> None:
    """Raise ScaffoldError, which names the services that were waited for and do not serve."""
    services = {each["name"]: each for each in found["services"]}
    bad = [f"{name} is no longer up" for name in found["waited"] if name not in services]
    bad += [
        f"{name} is {_describe_state(each)}" + (f": it {each['reason']}" if each["reason"] else "")
        for name, each in services.items()
        if name in found["waited"] and (each["state"] != "ready" or each["reason"])
    ]
    if not (bad or found["in_time"]):
        bad.append("It is not known in time whether what serves is what the files say")
    if bad:
        raise ScaffoldError("\n".join(bad))


def _describe_state(service: Answer) -> str:
    """Return a state, in which an older process may serve since the newer one did not start."""
    is_behind = service["state"] == "ready" and service["reason"]
    return "ready (older code)" if is_behind else str(service["state"])


def _describe_age(seconds: float) -> str:
    """Return a duration in its largest unit, as 5 m."""
    unit, size = next(
        ((unit, size) for unit, size in reversed(_UNITS.items()) if seconds >= size), ("s", 1)
    )
    return f"{seconds / size:.0f} {unit}"


def _read_since(text: str | None) -> float:
    """Return a time in seconds since 1970, of an age or a date."""
    if text is None:
        return 0.0
    if age := re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text):
        return time.time() - float(age[1]) * _UNITS[age[2] or "s"]
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise click.BadParameter(
            "say how long ago, as 30s, 5m, 2h, or when, as 2026-11-30T10:00:00"
        ) from None
