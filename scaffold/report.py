"""What the generator says of a plan: to people and to programs."""

import json
import os
from pathlib import Path

import click

from scaffold import compose
from scaffold.compose import ComposeFile
from scaffold.generation import Draft
from scaffold.plan import Plan
from scaffold.workspace import SERVICES


def print_result(draft: Draft, plan: Plan) -> None:
    """Say what was written, where the service will be, and which commands come next."""
    click.echo(f"{click.style('✓', fg='green')} {_summary(draft, plan)}")
    click.echo("\nIts addresses, once it runs:")
    for url in _urls(draft):
        click.echo(f"  {url}")
    click.echo("\nNext:")
    for line in _next_commands(draft):
        click.echo(f"  {line}")


def print_json(draft: Draft, plan: Plan) -> None:
    """Print one object; paths are below `workspace`."""
    resource = draft.resource
    click.echo(
        json.dumps(
            {
                "workspace": str(plan.root),
                "service": {
                    "name": draft.name.typed,
                    "package": draft.name.package,
                    "port": draft.port,
                    "path": str(draft.folder),
                },
                "resource": resource and {"name": resource.name, "path": resource.path},
                "created": [str(path) for path in plan.created],
                "changed": [str(path) for path in plan.changed],
                "kept": [str(path) for path in plan.kept],
                "unchanged": [str(path) for path in plan.unchanged],
                "urls": _urls(draft),
                "next": _next_commands(draft),
            },
            indent=2,
        )
    )


def warn_of_kept_settings(draft: Draft) -> None:
    """Say so where the service's own .env names another port than was asked for."""
    service = draft.workspace.find_service(draft.name.package)
    if service and service.port is not None and service.port != draft.port:
        click.echo(
            f"{draft.folder}/.env stays, with SERVICE_PORT={service.port}: "
            f"edit it to move the service to {draft.port}.",
            err=True,
        )


def warn_of_unlisted_container(draft: Draft) -> None:
    """Say so where the workspace's compose.yaml has no marked place for the service."""
    composition = ComposeFile.read(draft.workspace.root)
    if not composition.text or composition.takes_entries:
        return
    if not composition.extends(draft.name.package):
        click.echo(
            f"{compose.FILE} has no line '{compose.MARKER}': add the service there yourself,\n"
            f"with extends: {{file: {draft.folder}/{compose.FILE}, service: {draft.name.image}}}",
            err=True,
        )


def _summary(draft: Draft, plan: Plan) -> str:
    if not plan.writes:
        return f"{draft.name.typed} is as it would be generated: nothing to write."
    counts = {"created": plan.created, "changed": plan.changed, "kept": plan.kept}
    told = ", ".join(f"{len(paths)} {verb}" for verb, paths in counts.items() if paths)
    return f"{draft.name.typed} is in {_relative(plan.root / draft.folder)} ({told})"


def _urls(draft: Draft) -> list[str]:
    api = f"http://localhost:{draft.port}/api/v1"
    urls = [f"{api}/", f"{api}/health"]
    return [*urls, f"{api}/{draft.resource.path}"] if draft.resource else urls


def _next_commands(draft: Draft) -> list[str]:
    root = _relative(draft.workspace.root)
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
