"""`python -m scaffold routes`: what every service answers, as its application says it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from quart_fleet.conventions import PREFIX
from scaffold.applications import ask
from scaffold.commands.completion import complete_service
from scaffold.errors import MisuseError, ScaffoldError
from scaffold.names import normalise
from scaffold.workspace import SERVICES, Service, Workspace

EVERY_SERVICE = tuple(f"{PREFIX}/{path}" for path in ("", "health", "health/ready", "openapi.json"))
"""What each service answers for itself, beside its page; the cluster asks each pod for it."""
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
