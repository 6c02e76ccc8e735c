"""`python -m scaffold NAME PORT`: a service, generated into the workspace."""

import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import click

from scaffold import preview, report, transaction
from scaffold.cli import COMMANDS
from scaffold.draft import Draft, draft_service
from scaffold.errors import MisuseError, ScaffoldError
from scaffold.fields import Resource
from scaffold.generation import plan_service
from scaffold.language.grammar import parse_fields
from scaffold.names import ServiceName, parse_port
from scaffold.plan import Plan
from scaffold.workspace import Workspace

_NAMED = 4
"""How many missing files a message names."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to write, and how to tell."""

    force: bool
    dry_run: bool
    diff: bool
    json: bool

    @property
    def writes(self) -> bool:
        """Whether the disk is meant to change."""
        return not (self.dry_run or self.diff)


@click.command("service")
@click.argument("name")
@click.argument("port")
@click.argument("fields", nargs=-1, metavar="[FIELD]...")
@click.option("--bare", is_flag=True, help="Only health and root: the service keeps nothing.")
@click.option("--force", is_flag=True, help="Write the generated files of a service anew.")
@click.option("--dry-run", is_flag=True, help="List the files; write nothing.")
@click.option("--diff", is_flag=True, help="Print the changes as a unified diff; write nothing.")
@click.option("--json", is_flag=True, help="Print the result for a program.")
def command(name: str, port: str, fields: tuple[str, ...], bare: bool, **options: bool) -> None:
    """Generate the service NAME, which listens on PORT.

    It keeps what it is named after: user-service keeps users, order-item-service keeps order
    items. A FIELD is NAME:TYPE with its rules, as in 'price:decimal(10,2):min(0)'; without any,
    the resource has a name and a description. An existing service is left as it is, unless --force writes its generated files anew;
    its .env, its revision and files of your own stay even then.
    """
    if name in COMMANDS:
        raise MisuseError(
            f"{name!r} is a command, so no service can have this name: try {name}-service."
        )
    service, number = ServiceName.parse(name), parse_port(port)
    if bare and fields:
        raise MisuseError("A --bare service keeps nothing: leave out --bare, or the fields.")
    resource = None if bare else Resource.of(service, parse_fields(fields))
    workspace, chosen = Workspace.find(Path.cwd()), Options(**options)
    with workspace.locked() if chosen.writes else nullcontext():
        if chosen.writes and transaction.recover(workspace.root):
            click.echo("Undid what an interrupted scaffold had left.", err=True)
        draft = draft_service(workspace.read(), service, number, resource)
        plan = plan_service(draft)
        if not chosen.force:
            _confirm(draft, plan, chosen)
        if chosen.writes:
            transaction.apply(plan)
    if chosen.json:
        report.print_json(draft, plan)
    elif chosen.diff:
        preview.print_diff(plan)
    elif chosen.dry_run:
        preview.print_list(plan)
    else:
        report.print_result(draft, plan)
    report.print_warnings(draft, plan)


def _confirm(draft: Draft, plan: Plan, options: Options) -> None:
    """Return if nothing is lost, or a person at a terminal agrees; raises ScaffoldError."""
    if draft.existing is None:
        if plan.overwritten:
            raise ScaffoldError(
                f"{', '.join(map(str, plan.overwritten))} exists and is not as generated; "
                "nothing was written.\nMove it away, or write it anew with --force."
            )
        return
    missing = plan.missing(draft.folder)
    more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    state = (
        f"exists, but lacks {', '.join(missing[:_NAMED])}{more}" if missing else "exists already"
    )
    problem = f"{draft.folder} {state}"
    if not options.writes or options.json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ScaffoldError(
            f"{problem}; nothing was written.\n"
            "To write its generated files anew add --force; --diff --force shows what would change."
        )
    if not click.confirm(f"{problem}. Write its generated files anew (.env stays)?", err=True):
        raise ScaffoldError("Nothing was written.")
