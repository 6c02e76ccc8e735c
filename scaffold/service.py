"""`python -m scaffold NAME PORT`: a service, generated into the workspace."""

import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import click

from scaffold import preview, report, transaction
from scaffold.cli import COMMANDS
from scaffold.errors import MisuseError, ScaffoldError
from scaffold.generation import Draft, draft_bare_service, draft_service
from scaffold.names import ServiceName, parse_port
from scaffold.plan import Plan
from scaffold.workspace import Workspace

_TOLD = 4


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
@click.option("--bare", is_flag=True, help="Only health and root: the service keeps nothing.")
@click.option("--force", is_flag=True, help="Write the generated files of a service anew.")
@click.option("--dry-run", is_flag=True, help="List the files; write nothing.")
@click.option("--diff", is_flag=True, help="Print the changes as a unified diff; write nothing.")
@click.option("--json", is_flag=True, help="Print the result for a program.")
def command(name: str, port: str, bare: bool, **options: bool) -> None:
    """Generate the service NAME, which listens on PORT.

    It keeps what it is named after: user-service keeps users, order-item-service keeps order
    items. An existing service is left as it is, unless --force writes its generated files anew;
    its .env, its revision and files of your own stay even then.
    """
    service, number = _parse_name(name), parse_port(port)
    workspace = Workspace.find(Path.cwd())
    drafted = draft_bare_service if bare else draft_service
    chosen = Options(**options)
    with workspace.locked() if chosen.writes else nullcontext():
        if chosen.writes and transaction.recover(workspace.root):
            click.echo("Undid what an interrupted scaffold had left.", err=True)
        _generate(drafted(workspace, service, number), chosen)


def _parse_name(typed: str) -> ServiceName:
    if typed in COMMANDS:
        raise MisuseError(
            f"{typed!r} is a command, so no service can have this name: try {typed}-service."
        )
    return ServiceName.parse(typed)


def _generate(draft: Draft, options: Options) -> None:
    existing = draft.workspace.find_service(draft.name.package)
    plan = draft.plan()
    if existing and not options.force:
        _ask(draft, plan.missing(draft.folder), options)
    if plan.overwritten and not existing and not options.force:
        raise ScaffoldError(
            f"{', '.join(map(str, plan.overwritten))} exists and is not as generated; "
            "nothing was written.\nMove it away, or write it anew with --force."
        )
    if options.writes:
        transaction.apply(plan)
    _print(draft, plan, options)
    report.warn_of_kept_settings(draft)
    report.warn_of_unlisted_container(draft)


def _ask(draft: Draft, missing: list[str], options: Options) -> None:
    """Return if a person at a terminal wants it written anew; raises ScaffoldError."""
    state = f"exists, but lacks {_list(missing)}" if missing else "exists already"
    problem = f"{draft.folder} {state}"
    if options.writes and not options.json and sys.stdin.isatty() and sys.stderr.isatty():
        question = f"{problem}. Write its generated files anew (.env stays)?"
        if click.confirm(question, err=True):
            return
        raise ScaffoldError("Nothing was written.")
    raise ScaffoldError(
        f"{problem}; nothing was written.\n"
        "To write its generated files anew add --force; --diff --force shows what would change."
    )


def _list(names: list[str]) -> str:
    """Return the first few of the names."""
    told, rest = names[:_TOLD], len(names) - _TOLD
    return f"{', '.join(told)} and {rest} more" if rest > 0 else ", ".join(told)


def _print(draft: Draft, plan: Plan, options: Options) -> None:
    if options.json:
        report.print_json(draft, plan)
    elif options.diff:
        preview.print_diff(plan)
    elif options.dry_run:
        preview.print_list(plan)
    else:
        report.print_result(draft, plan)
