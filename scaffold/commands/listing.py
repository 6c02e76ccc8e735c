"""`python -m scaffold list`: the services of the fleet, what they keep, and what was edited."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from scaffold.distribution.framework import get_framework
from scaffold.engine.baseline import find_differing, parse_described, read_described
from scaffold.generation.fleet import Fleet
from scaffold.workspace import SERVICES, Workspace


@dataclass(frozen=True, slots=True)
class ListedService:
    """A service, and how its files differ from what was generated last."""

    name: str
    port: int | None
    resources: list[str]
    is_described: bool
    """Whether fleet.toml has it; what was made by hand, or by 0.1.0, it has not."""
    edited: list[str]
    deleted: list[str]

    @property
    def state(self) -> str:
        """In words."""
        if not self.is_described:
            return "not in fleet.toml"
        counts = {"edited": self.edited, "deleted": self.deleted}
        return ", ".join(f"{len(paths)} {word}" for word, paths in counts.items() if paths)


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the result for a program.")
def command(as_json: bool) -> None:
    """List the services: ports, resources, and files that differ from what was generated.

    As fleet.toml was applied last; with the version of the framework and the newest revision.
    """
    workspace = Workspace.find(Path.cwd())
    inventory = workspace.read()
    described = Fleet.of(parse_described(read_described(workspace.root)))
    states = find_differing(workspace.root)
    services = []
    for service in described.services:
        own = [service.folder, *(resource.model for resource in service.resources)]
        found = {
            str(path): state
            for path, state in states.items()
            if any(path.is_relative_to(one) for one in own)
        }
        services.append(
            ListedService(
                service.name.typed,
                service.port,
                [resource.singular for resource in service.resources],
                is_described=True,
                edited=[path for path, state in found.items() if state == "edited"],
                deleted=[path for path, state in found.items() if state == "deleted"],
            )
        )
    packages = {service.name.package for service in described.services}
    services += [
        ListedService(one.called, one.port, sorted(one.entities - {"__init__"}), False, [], [])
        for one in inventory.services
        if one.package not in packages
    ]
    heads, version = list(inventory.history.heads), get_framework().version
    if as_json:
        about = {"version": version, "heads": heads}
        click.echo(json.dumps({"services": [asdict(one) for one in services], **about}, indent=2))
        return
    rows = [
        (one.name, str(one.port or "-"), ", ".join(one.resources) or "-", one.state)
        for one in services
    ]
    rows = [("SERVICE", "PORT", "RESOURCES", "FILES"), *rows]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows if services else []:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        click.echo("  ".join([*cells, row[3]]).rstrip())
    if not services:
        click.echo(f"No service yet: {SERVICES}/ is empty. python -m scaffold user-service 8081")
    click.echo(f"\nFramework {version}; newest revision: {', '.join(heads) or 'none'}")
