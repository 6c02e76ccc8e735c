"""`python -m scaffold resource SERVICE RESOURCE FIELD…`: one more thing that a service keeps."""

from dataclasses import replace

import click

from scaffold import preview
from scaffold.editing import Options, change_fleet, print_change, print_notes, takes_options
from scaffold.engine import Wishes
from scaffold.language.fleet import add_resource
from scaffold.language.grammar import parse_fields
from scaffold.presets import preset_of


@click.command("resource")
@click.argument("service")
@click.argument("resource")
@click.argument("fields", nargs=-1, metavar="[FIELD]...")
@takes_options
def command(service: str, resource: str, fields: tuple[str, ...], **options: bool) -> None:
    """Add the resource RESOURCE, in the singular, to SERVICE.

    A FIELD is NAME:TYPE with its rules, as in 'price:decimal(10,2):min(0)'; without any, it has a
    name and a description.
    """
    chosen = Options(**options)
    described = parse_fields(fields) if fields else preset_of(resource)
    described = replace(described, name=resource)
    change = change_fleet(
        lambda text: add_resource(text, service, resource, described), chosen, Wishes()
    )
    if chosen.json:
        preview.print_json(change.plan)
    elif chosen.writes:
        print_change(change, f"{service} keeps {resource}")
    print_notes(change)
