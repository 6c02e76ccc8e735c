"""What the generator says of a service that it has made: to people and to programs."""

import os
from pathlib import Path

import click

from quart_fleet.conventions import PREFIX
from scaffold import compose
from scaffold.commands.editing import print_change
from scaffold.engine.change import Change
from scaffold.generation.fleet import PlannedService
from scaffold.workspace import SERVICES


def print_result(service: PlannedService, change: Change) -> None:
    """Say what was written, where the service will be, and which commands come next."""
    root = change.plan.root
    print_change(change, f"{service.name.typed} is in {_relative(root / service.folder)}")
    click.echo("\nIts addresses, once it runs:")
    for url in _urls(service):
        click.echo(f"  {url}")
    click.echo("\nNext:")
    for line in _next_commands(root, service):
        click.echo(f"  {line}")
    click.echo("\nOr all services, with their database: python -m scaffold up")
    is_listed = compose.LIST in change.plan.writes
    composition = change.composition
    if composition.files and not is_listed and not composition.uses(service.name.package):
        click.echo(
            f"{compose.FILE} includes no list of services ({compose.LIST}): add the service to it "
            f"yourself,\nwith include: [{service.folder}/{compose.FILE}]",
            err=True,
        )


def describe(service: PlannedService, root: Path) -> dict[str, object]:
    """Return what a program is told of a service."""
    return {
        "service": {
            "name": service.name.typed,
            "package": service.name.package,
            "port": service.port,
            "path": str(service.folder),
        },
        "resources": [{"name": one.name, "path": one.path} for one in service.resources],
        "urls": _urls(service),
        "next": _next_commands(root, service),
    }


def _urls(service: PlannedService) -> list[str]:
    api = f"http://localhost:{service.port}{PREFIX}"
    return [f"{api}/", f"{api}/health", *(f"{api}/{one.path}" for one in service.resources)]


def _next_commands(root: Path, service: PlannedService) -> list[str]:
    to_root = [] if _relative(root) == "." else [f"cd {_relative(root)}"]
    return [
        *to_root,
        "python -m db_manager migrate",
        f"cd {SERVICES}/{service.name.package}",
        "pip install -r requirements.txt",
        "python app.py",
        f"curl {_urls(service)[-1]}",
    ]


def _relative(path: Path) -> str:
    return os.path.relpath(path)
