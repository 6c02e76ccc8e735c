"""`python -m scaffold field SERVICE RESOURCE FIELD…`: fields added, changed, renamed, dropped."""

import click

from scaffold.commands import preview
from scaffold.commands.completion import complete_resource, complete_service
from scaffold.commands.editing import (
    Options,
    change_fleet,
    parse_fill,
    print_change,
    print_next,
    print_notes,
    takes_fill,
    takes_options,
)
from scaffold.engine.change import ApplyOptions
from scaffold.errors import MisuseError
from scaffold.language.fleet import drop_field, put_fields, rename_field
from scaffold.language.grammar import parse_fields


@click.command("field")
@click.argument("service", shell_complete=complete_service)
@click.argument("resource", shell_complete=complete_resource)
@click.argument("fields", nargs=-1, metavar="[FIELD]...")
@click.option("--drop", multiple=True, metavar="NAME", help="Drop a field, with its values.")
@click.option("--rename", multiple=True, metavar="OLD:NEW", help="Rename a field.")
@takes_fill
@takes_options
def command(  # noqa: PLR0913 - an argument for each option
    service: str,
    resource: str,
    fields: tuple[str, ...],
    *,
    drop: tuple[str, ...],
    rename: tuple[str, ...],
    fill: tuple[str, ...],
    **options: bool,
) -> None:
    """Add fields to a RESOURCE of SERVICE, change, rename or drop them, with a revision.

    A FIELD is NAME:TYPE with its rules, as in 'price:decimal(10,2):min(0)'; one of a name that is
    there is described anew.
    """
    if not (fields or drop or rename):
        raise MisuseError("Name a FIELD, --drop or --rename.")
    chosen = Options(**options)
    described = parse_fields(fields).fields

    def edit(text: str) -> str:
        for pair in rename:
            old, colon, new = pair.partition(":")
            if not (old and colon and new):
                raise MisuseError(f"{pair!r} is no rename: give OLD:NEW.")
            text = rename_field(text, service, resource, old, new)
        for name in drop:
            text = drop_field(text, service, resource, name)
        return put_fields(text, service, resource, described)

    change = change_fleet(edit, chosen, ApplyOptions(fill=parse_fill(fill)))
    if chosen.json:
        preview.print_json(change.plan, with_diff=chosen.diff)
    elif chosen.writes:
        print_change(change, f"{resource} has its fields")
        print_next(change)
    print_notes(change, chosen)
