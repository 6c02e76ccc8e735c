"""`python -m scaffold openapi`: the OpenAPI documents of services, as their applications make them."""

import json
from contextlib import closing
from pathlib import Path

import click

from scaffold.applications import Asker, ask
from scaffold.commands.completion import complete_service
from scaffold.commands.routes import find_services
from scaffold.engine import transaction
from scaffold.engine.documents import Documents, place_of_copy
from scaffold.engine.plan import Plan
from scaffold.errors import MisuseError, ScaffoldError
from scaffold.workspace import DOCUMENT, SERVICES, Workspace


@click.command("openapi")
@click.argument("services", nargs=-1, metavar="[SERVICE]", shell_complete=complete_service)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the document to a file in place of the terminal.",
)
@click.option(
    "--write", is_flag=True, help=f"Write each document to {SERVICES}/*/{DOCUMENT}, as apply does."
)
def command(services: tuple[str, ...], out: Path | None, write: bool) -> None:
    """Print the OpenAPI document of SERVICE; of several, by default of all, an object by their names.

    The service's application is made and asked; no server starts, and no database is opened.
    """
    if write and out:
        raise MisuseError("--write and --out are two places: give one of them.")
    asked = find_services(services)
    if not asked:
        raise MisuseError("No service yet. Create one: python -m scaffold user-service 8081")
    if write:
        _write([one.package for one in asked])
        return
    answers = ask(asked, "--openapi")
    if failures := [str(one) for one in answers if isinstance(one, ScaffoldError)]:
        raise ScaffoldError("\n".join(failures))
    texts = [str(one) for one in answers]
    text = texts[0]
    if len(texts) > 1:
        named = {one.called: json.loads(each) for one, each in zip(asked, texts, strict=True)}
        text = json.dumps(named, indent=2, ensure_ascii=False) + "\n"
    if out is None:
        click.echo(text, nl=False)
    else:
        try:
            out.write_text(text, "utf-8")
        except OSError as error:
            raise ScaffoldError(f"{out} cannot be written: {error.strerror}.") from None


def _write(packages: list[str]) -> None:
    """Write the copies of some services, or none; raises ScaffoldError."""
    workspace = Workspace.find(Path.cwd())
    with workspace.locked(), closing(Asker("--openapi")) as asker:
        plan, untold = Documents(Plan(workspace.root)).write(packages, asker)
        if untold:
            raise ScaffoldError("\n".join(untold))
        transaction.apply(plan)
    for each in packages:
        click.echo(place_of_copy(each))
