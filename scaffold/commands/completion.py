"""`fleet completion SHELL`: words that a shell completes, and the names that commands take."""

from contextlib import suppress
from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class

from quart_fleet.errors import ConfigurationError
from quart_fleet.files import parse_toml
from quart_fleet.workspace import Workspace
from scaffold.cli import COMPLETE_VARIABLE, NAME, main
from scaffold.errors import ScaffoldError
from scaffold.generation.clients import operations_of, read_document
from scaffold.language.fleet import FILE
from scaffold.names import ServiceName


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print what has SHELL complete the words after `fleet`: commands, services, options.

    In bash: eval "$(fleet completion bash)" in ~/.bashrc. In zsh and fish the script is a file of
    its own, as below.
    """
    completion = get_completion_class(shell)
    assert completion is not None
    click.echo(completion(main, {}, NAME, COMPLETE_VARIABLE).source())


def complete_service(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the services of fleet.toml that begin with these letters."""
    return _complete([], incomplete)


def complete_resource(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the resources of the service that is typed already."""
    return _complete([context.params.get("service") or ""], incomplete)


def complete_operation(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the operations of the service that is typed already as the one that is called."""
    found: list[str] = []
    with suppress(ScaffoldError, OSError, ConfigurationError):
        root = Workspace.find(Path.cwd()).root
        provider = ServiceName.parse(context.params.get("provider") or "")
        found = sorted(operations_of(read_document(root, provider)))
    return [CompletionItem(one) for one in found if one.startswith(incomplete)]


def _complete(path: list[str], incomplete: str) -> list[CompletionItem]:
    """Return the tables below a path in fleet.toml; none where it cannot be read."""
    table: dict[str, object] = {}
    with suppress(OSError, ConfigurationError):
        table = parse_toml(Workspace.find(Path.cwd()).root / FILE)
    for key in path:
        found = table.get(key)
        table = found if isinstance(found, dict) else {}
    return [
        CompletionItem(name)
        for name, value in table.items()
        if isinstance(value, dict) and name[0] != "_" and name.startswith(incomplete)
    ]
