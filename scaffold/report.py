"""What the generator says of a plan: to people and to programs."""

import os
from pathlib import Path, PurePosixPath

import click

from quart_fleet.conventions import PREFIX
from quart_fleet.output import mark
from scaffold import compose, preview
from scaffold.draft import Draft
from scaffold.plan import Plan
from scaffold.workspace import MODELS, SERVICES, read_settings


def print_result(draft: Draft, plan: Plan) -> None:
    """Say what was written, where the service will be, and which commands come next."""
    counts = {"created": plan.created, "changed": plan.changed, "kept": plan.kept}
    summary = ", ".join(f"{len(paths)} {verb}" for verb, paths in counts.items() if paths)
    place = f"{draft.name.typed} is in {_relative(plan.root / draft.folder)} ({summary})"
    unchanged = f"{draft.name.typed} is as it would be generated: nothing to write."
    click.echo(
        f"{click.style(mark('✓', 'Done:'), fg='green')} {place if plan.writes else unchanged}"
    )
    click.echo("\nIts addresses, once it runs:")
    for url in _urls(draft):
        click.echo(f"  {url}")
    click.echo("\nNext:")
    for line in _next_commands(draft):
        click.echo(f"  {line}")


def print_json(draft: Draft, plan: Plan) -> None:
    """Print one object; paths are below `workspace`."""
    resource = draft.resource
    service = {
        "name": draft.name.typed,
        "package": draft.name.package,
        "port": draft.port,
        "path": str(draft.folder),
    }
    about = {
        "service": service,
        "resource": resource and {"name": resource.name, "path": resource.path},
        "urls": _urls(draft),
        "next": _next_commands(draft),
    }
    preview.print_json(plan, about)


def print_warnings(draft: Draft, plan: Plan) -> None:
    """Say what the command left as it was, and what the user has to do about it."""
    settings = draft.folder / ".env"
    port = read_settings(plan.root / settings).get("SERVICE_PORT")
    if port and port.value != str(draft.port):
        click.echo(
            f"{settings} stays, with SERVICE_PORT={port.value}: "
            f"edit it to move the service to {draft.port}.",
            err=True,
        )
    model = draft.resource and PurePosixPath(MODELS, f"{draft.resource.name}.py")
    if model in plan.changed:
        click.echo(
            f"{model} is other than it was, and the revision of its table stays: where columns "
            'differ,\nwrite the next one: python -m db_manager revision -m "…"',
            err=True,
        )
    composition = draft.inventory.composition
    is_listed = compose.LIST in plan.writes or composition.uses(draft.name.package)
    if composition.files and not is_listed:
        click.echo(
            f"{compose.FILE} includes no list of services ({compose.LIST}): add the service to it "
            f"yourself,\nwith include: [{draft.folder}/{compose.FILE}]",
            err=True,
        )


def _urls(draft: Draft) -> list[str]:
    api = f"http://localhost:{draft.port}{PREFIX}"
    urls = [f"{api}/", f"{api}/health"]
    return [*urls, f"{api}/{draft.resource.path}"] if draft.resource else urls


def _next_commands(draft: Draft) -> list[str]:
    root = _relative(draft.inventory.root)
    to_root = [] if root == "." else [f"cd {root}"]
    return [
        *to_root,
        "python -m db_manager migrate",
        f"cd {SERVICES}/{draft.name.package}",
        "pip install -r requirements.txt",
        "python app.py",
        f"curl {_urls(draft)[-1]}",
    ]


def _relative(path: Path) -> str:
    return os.path.relpath(path)
