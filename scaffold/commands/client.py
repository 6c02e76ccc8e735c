"""`python -m scaffold client CONSUMER PROVIDER [OPERATION…]`: what a service calls of another."""

from pathlib import Path

import click

from scaffold.commands import preview
from scaffold.commands.completion import complete_operation, complete_service
from scaffold.commands.editing import (
    Options,
    change_fleet,
    print_change,
    print_notes,
    takes_options,
)
from scaffold.engine.change import ApplyOptions
from scaffold.generation.clients import choose_operations, read_document
from scaffold.language.fleet import drop_client, find_client, put_client
from scaffold.names import ServiceName
from scaffold.workspace import Workspace


@click.command("client")
@click.argument("consumer", shell_complete=complete_service)
@click.argument("provider", shell_complete=complete_service)
@click.argument("operations", nargs=-1, metavar="[OPERATION]...", shell_complete=complete_operation)
@click.option(
    "--drop",
    is_flag=True,
    help="Take the operations away; without any, the client as a whole.",
)
@takes_options
def command(
    consumer: str, provider: str, operations: tuple[str, ...], drop: bool, **options: bool
) -> None:
    """Have CONSUMER call OPERATIONs of PROVIDER: a port, an adapter over HTTP, a fake and its tests.

    An OPERATION is an id of the provider's OpenAPI document, services/PROVIDER/openapi.json, of
    which all this is made; without any, those that read. They are added to fleet.toml, which says
    from then on what CONSUMER calls.
    """
    chosen = Options(**options)
    root = Workspace.find(Path.cwd()).root

    def edit(text: str) -> str:
        find_client(text, consumer, provider)
        if drop:
            return drop_client(text, consumer, provider, operations)
        document = read_document(root, ServiceName.parse(provider))
        return put_client(
            text, consumer, provider, choose_operations(document, provider, operations)
        )

    change = change_fleet(edit, chosen, ApplyOptions(is_removal=drop))
    if chosen.json:
        preview.print_json(change.plan, with_diff=chosen.diff)
    elif chosen.writes:
        calls = "calls less of" if drop else "has its client of"
        print_change(change, f"{consumer} {calls} {provider}")
    print_notes(change, chosen)
