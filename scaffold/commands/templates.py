"""`python -m scaffold templates`: templates that a workspace has taken over, in scaffold/templates."""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path, PurePosixPath

import click

from quart_fleet.files import read_text
from quart_fleet.output import mark
from scaffold.commands import preview
from scaffold.commands.editing import Options, takes_options
from scaffold.engine import transaction
from scaffold.engine.baseline import place_of_template, read_copied_templates, remember
from scaffold.engine.plan import Plan
from scaffold.errors import MisuseError, ScaffoldError
from scaffold.generation.render import OWN, SUFFIX, TEMPLATES
from scaffold.language.scanner import hint
from scaffold.workspace import Workspace

_FOLDERS = ("composition", "deploy", "models", "resource", "service")
"""What `apply` and `deploy` render; all else is rendered once, by `init`."""


@click.group("templates")
def command() -> None:
    """Let the templates of the workspace win over the framework's.

    A copy in scaffold/templates is the workspace's to edit; `apply` brings the change to every
    service, and `upgrade` merges what a newer framework changed in its own.
    """


@command.command("copy", short_help="Copy one to scaffold/templates, which is the workspace's.")
@click.argument("template", metavar="PATH")
@takes_options
def copy(template: str, **options: bool) -> None:
    """Copy the template PATH, as `templates list` has it, to scaffold/templates."""
    chosen, workspace = Options(**options), Workspace.find(Path.cwd())
    if (workspace.root / OWN).resolve() == TEMPLATES.resolve():
        raise MisuseError(f"This is the framework's own repository: its templates are in {OWN}.")
    known = {path.as_posix(): path for path in _list_templates()}
    path = known.get(template.removeprefix(f"{OWN}/").removesuffix(SUFFIX) + SUFFIX)
    if path is None:
        near = hint(template, [name.removesuffix(SUFFIX) for name in known])
        raise MisuseError(
            f"There is no template {template!r}{near}.\nAll of them: python -m scaffold templates list"
        )
    with workspace.locked() if chosen.writes else nullcontext():
        if (workspace.root / OWN / path).exists():
            raise ScaffoldError(f"{OWN / path} is there already: edit it, then apply.")
        content = read_text(TEMPLATES / path).encode()
        plan = Plan.decide(workspace.root, {OWN / path: content, place_of_template(path): content})
        if chosen.writes:
            transaction.apply(remember(plan))
    if chosen.json:
        preview.print_json(plan, with_diff=chosen.diff)
    elif chosen.diff:
        preview.print_diff(plan)
    elif chosen.dry_run:
        preview.print_list(plan)
    else:
        click.echo(
            f"{click.style(mark('✓', 'Done:'), fg='green')} {OWN / path} is the workspace's."
        )
        click.echo("\nNext: edit it, then python -m scaffold apply")


@command.command("list", short_help="List all, and which are the workspace's own.")
def list_templates() -> None:
    """List the templates, and which of them are the workspace's own."""
    root = Workspace.find(Path.cwd()).root
    copied = read_copied_templates(root)
    for path in _list_templates():
        own = root / OWN / path
        is_own = own.is_file() and own.resolve() != (TEMPLATES / path).resolve()
        state = ""
        if is_own:
            state = "  own" if read_text(own) != copied.get(path) else "  own, not edited"
        click.echo(f"{path.as_posix().removesuffix(SUFFIX)}{state}")


def _list_templates() -> Iterator[PurePosixPath]:
    """Yield the framework's templates that can be taken over, sorted."""
    for folder in _FOLDERS:
        for path in sorted((TEMPLATES / folder).rglob(f"*{SUFFIX}")):
            yield PurePosixPath(path.relative_to(TEMPLATES))
