"""`python -m scaffold routes`: what every service answers, as its application says it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from quart_fleet.conventions import PREFIX
from scaffold.commands.completion import complete_service
from scaffold.errors import MisuseError, ScaffoldError
from scaffold.names import normalise
from scaffold.workspace import SERVICES, Service, Workspace

EVERY_SERVICE = tuple(
    f"{PREFIX}/{path}"
    for path in ("", "health", "health/ready", "openapi.json", "docs", "docs/<name>")
)
"""What each service answers for itself; the cluster asks each pod for it."""
_UNSERVED = {"TESTING": "True", "DOCS": "False", "PYTHONDONTWRITEBYTECODE": "1"}
"""Settings with which an application is made and never started."""
_FRAME = re.compile(r'^\s*File "(.+)", line (\d+)', re.MULTILINE)
"""A place in a traceback."""
_ASKING = """
import json, os, runpy, sys, tempfile
import quart_fleet.database, quart_fleet.server, quart_fleet.web

_, option, *scripts = sys.argv
for script in scripts:
    with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as said:
        child = os.fork()
        if not child:
            os.dup2(printed.fileno(), 1)
            os.dup2(said.fileno(), 2)
            sys.argv = [script, option]
            if not sys.flags.safe_path:  # then its folder would not be there
                sys.path[0] = os.path.dirname(script)
            runpy.run_path(script, run_name="__main__")
            sys.exit()
        os.waitpid(child, 0)
        texts = []
        for file in (printed, said):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
    print(json.dumps(texts), flush=True)
"""
"""Runs one script after the other, each in a fork: the chassis is imported once for all of them."""
_WHAT = {"--routes": "routes", "--openapi": "OpenAPI document"}
"""What an app.py is asked for, by its option."""
_IMPLIED = frozenset({"HEAD", "OPTIONS"})
"""Methods that Quart answers by itself."""


@dataclass(frozen=True, slots=True)
class ServedRoute:
    """A route of a service, and the function behind it."""

    service: str
    port: int | None
    method: str
    """`WEBSOCKET` for one that is no request."""
    path: str
    endpoint: str
    """The blueprint and its function, as in `products.create`."""


def read_routes(service: Service) -> list[ServedRoute]:
    """Return the routes of a service, sorted by path; raises ScaffoldError."""
    [answer] = read_all_routes([service])
    if isinstance(answer, ScaffoldError):
        raise answer
    return answer


def read_all_routes(services: Sequence[Service]) -> list[list[ServedRoute] | ScaffoldError]:
    """Return the routes of each service, sorted by path, or why it does not tell them.

    Each service's own app.py is run and tells them; it opens no database and no port.
    """
    return [
        _read_routes(service, json.loads(said)) if isinstance(said, str) else said
        for service, said in zip(services, ask(services, "--routes"), strict=True)
    ]


def _read_routes(service: Service, told: Sequence[Mapping[str, Any]]) -> list[ServedRoute]:
    return [
        ServedRoute(service.called, service.port, method, each["rule"], each["endpoint"])
        for each in told
        for method in (["WEBSOCKET"] if each["websocket"] else each["methods"])
        if method not in _IMPLIED
    ]


def ask(services: Sequence[Service], option: str) -> list[str | ScaffoldError]:
    """Return the JSON that each service's own app.py prints with an option, or why it does not.

    None opens a database or a port.
    """
    count = min(len(services), os.cpu_count() or 1)
    with ThreadPoolExecutor(count or 1) as threads:
        parts = threads.map(
            lambda part: _ask(part, option), (services[at::count] for at in range(count))
        )
    answers = {one.package: answer for part in parts for one, answer in part}
    return [answers[one.package] for one in services]


def _ask(services: Sequence[Service], option: str) -> list[tuple[Service, str | ScaffoldError]]:
    """Have one interpreter ask some services, each in a process of its own that begins with the chassis."""
    root = services[0].folder.parents[1]
    path = [str(root), str(root / SERVICES), os.environ.get("PYTHONPATH", "")]
    scripts = [f"{SERVICES}/{one.package}/app.py" for one in services]
    done = subprocess.run(  # noqa: S603 - the workspace's own command
        [sys.executable, "-c", _ASKING, option, *scripts],
        cwd=root,
        env=os.environ | _UNSERVED | {"PYTHONPATH": os.pathsep.join(filter(None, path))},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    said = [json.loads(line) for line in done.stdout.splitlines()]
    said += [["", done.stderr]] * (len(services) - len(said))
    return [(one, _checked(one, option, *texts)) for one, texts in zip(services, said, strict=True)]


def _checked(service: Service, option: str, printed: str, said: str) -> str | ScaffoldError:
    """Return the JSON that an app.py printed, or what it said in its place."""
    root = service.folder.parents[1]
    script = f"{SERVICES}/{service.package}/app.py"
    try:
        is_told = isinstance(json.loads(printed), list | dict)
    except ValueError:
        is_told = False
    if not is_told:
        said = said.strip() or f"it printed {printed.strip()[:80] or 'nothing'}"
        reason = said.splitlines()[-1] if "Traceback (most recent" in said else said
        places = [
            f" ({(root / file).relative_to(root)}:{line})"
            for file, line in _FRAME.findall(said)
            if (root / file).is_relative_to(root / SERVICES)
            or (root / file).is_relative_to(root / "shared")
        ]
        what = _WHAT[option]
        return ScaffoldError(
            f"{script} does not tell its {what}: {reason.rstrip('.')}{''.join(places[-1:])}.\n"
            f"Mend it until this works: DEBUG=True python {script} {option}"
        )
    return printed


@click.command("routes")
@click.argument("services", nargs=-1, metavar="[SERVICE]...", shell_complete=complete_service)
@click.option("--json", "as_json", is_flag=True, help="Print the result for a program.")
def command(services: tuple[str, ...], as_json: bool) -> None:
    """List the routes of every SERVICE, by default of all: method, path, function, port.

    Each service's application is made and asked; no server starts, and no database is opened. One
    that does not answer is named after the others, and the exit code is 1.
    """
    asked = find_services(services)
    answers = read_all_routes(asked)
    failures = [str(one) for one in answers if isinstance(one, ScaffoldError)]
    routes = [each for one in answers if not isinstance(one, ScaffoldError) for each in one]
    if as_json and (routes or not failures):
        click.echo(json.dumps({"routes": [asdict(each) for each in routes]}, indent=2))
    elif routes:
        click.echo("\n".join(_lay_out(routes)))
    elif not failures:
        click.echo(f"No service yet: {SERVICES}/ is empty. python -m scaffold user-service 8081")
    if failures:
        raise ScaffoldError("\n".join(failures))


def find_services(names: Sequence[str]) -> list[Service]:
    """Return the services of these names, or all of them where none is named; raises MisuseError."""
    found = Workspace.find(Path.cwd()).services()
    for name in names:
        if normalise(name) not in {normalise(one.package) for one in found}:
            known = ", ".join(one.called for one in found) or "none"
            raise MisuseError(f"There is no service {name!r}.\nServices: {known}")
    wanted = {normalise(name) for name in names}
    return [one for one in found if not wanted or normalise(one.package) in wanted]


def _lay_out(routes: Iterable[ServedRoute]) -> list[str]:
    """Return the lines of a table; a service's name and port stand above its own."""
    cells = [(each.method, each.path, each.endpoint) for each in routes]
    widths = [max(len(row[column]) for row in cells) for column in range(2)]
    lines: list[str] = []
    before = None
    for each, (method, path, endpoint) in zip(routes, cells, strict=True):
        if each.service != before:
            lines += [*([""] if lines else []), f"{each.service}, port {each.port or 'unknown'}"]
        before = each.service
        lines.append(f"  {method.ljust(widths[0])}  {path.ljust(widths[1])}  {endpoint}")
    return lines
