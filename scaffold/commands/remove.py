"""`python -m scaffold remove SERVICE [RESOURCE]`: a service or a resource, taken out of the fleet."""

import click

from scaffold.commands import preview
from scaffold.commands.completion import complete_resource, complete_service
from scaffold.commands.editing import (
    Options,
    change_fleet,
    print_change,
    print_next,
    print_notes,
    takes_options,
)
from scaffold.engine.change import ApplyOptions
from scaffold.language.fleet import remove_resource, remove_service


@click.command("remove")
@click.argument("service", shell_complete=complete_service)
@click.argument("resource", shell_complete=complete_resource, required=False)
@click.option(
    "--assume-applied",
    is_flag=True,
    help="Drop tables by a new revision, as if every database had them.",
)
@takes_options
def command(service: str, resource: str | None, assume_applied: bool, **options: bool) -> None:
    """Take SERVICE, or its RESOURCE, out of fleet.toml and of everything made of it.

    Its revisions are deleted while nothing builds on them and the database that
    `python -m db_manager` uses has not applied them; applied, it is downgraded first, after
    asking. Otherwise a new revision drops the tables. Files that are not generated stay.
    """
    chosen = Options(**options)

    def edit(text: str) -> str:
        if resource is None:
            return remove_service(text, service)
        return remove_resource(text, service, resource)

    change = change_fleet(
        edit, chosen, ApplyOptions(assume_applied=assume_applied, is_removal=True)
    )
    if chosen.json:
        preview.print_json(change.plan, with_diff=chosen.diff)
    elif chosen.writes:
        print_change(change, f"{service if resource is None else resource} is removed")
        print_next(change)
    print_notes(change, chosen)
