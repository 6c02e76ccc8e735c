"""`python -m scaffold NAME PORT`: a service, described in fleet.toml and generated."""

from dataclasses import replace

import click

from scaffold.cli import COMMANDS
from scaffold.commands import preview, report
from scaffold.commands.editing import Options, change_fleet, print_notes, takes_options
from scaffold.engine.change import ApplyOptions
from scaffold.errors import MisuseError, ScaffoldError
from scaffold.generation.presets import preset_of
from scaffold.language.fleet import add_service, parse_fleet
from scaffold.language.grammar import parse_fields
from scaffold.names import ResourceName, ServiceName, normalise, parse_port


@click.command("service")
@click.argument("name")
@click.argument("port")
@click.argument("fields", nargs=-1, metavar="[FIELD]...")
@click.option("--bare", is_flag=True, help="Only health and root: the service keeps nothing.")
@takes_options
def command(name: str, port: str, fields: tuple[str, ...], bare: bool, **options: bool) -> None:
    """Generate the service NAME, which listens on PORT.

    It keeps what it is named after: user-service keeps users, order-item-service keeps order
    items. A FIELD is NAME:TYPE with its rules, as in 'price:decimal(10,2):min(0)'; without any,
    the resource has a name and a description. Both are written to fleet.toml, which says from
    then on what the service is.
    """
    if name in COMMANDS:
        raise MisuseError(
            f"{name!r} is a command, so no service can have this name: try {name}-service."
        )
    service, number = ServiceName.parse(name), parse_port(port)
    if bare and fields:
        raise MisuseError("A --bare service keeps nothing: leave out --bare, or the fields.")
    resource = None
    if not bare:
        singular = ResourceName.of(service).singular
        described, preset = parse_fields(fields), preset_of(singular)
        is_preset = not fields or described.fields == preset.fields
        resource = replace(preset if is_preset else described, name=singular)

    def edit(text: str) -> str:
        for known in parse_fleet(text).services:
            if normalise(known.name) == service.package:
                raise ScaffoldError(
                    f"fleet.toml describes {known.name} already; nothing was written.\n"
                    "To change it, edit fleet.toml and run: python -m scaffold apply"
                )
        return add_service(text, service.typed, number, resource)

    chosen = Options(**options)
    change = change_fleet(edit, chosen, ApplyOptions())
    made = change.after.find_service(service.package)
    assert made is not None
    if chosen.json:
        about = report.describe(made, change.plan.root)
        preview.print_json(change.plan, about, with_diff=chosen.diff)
    elif chosen.writes:
        report.print_result(made, change)
    print_notes(change, chosen)
