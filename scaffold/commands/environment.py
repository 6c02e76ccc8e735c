"""`python -m scaffold env`: the files of settings and secrets that are missing, made."""

from contextlib import nullcontext
from pathlib import Path, PurePosixPath

import click

from quart_fleet.files import read_text
from scaffold.commands import preview
from scaffold.engine import transaction
from scaffold.engine.plan import Plan
from scaffold.generation.secrets import EXAMPLE, NAME, give_secret, make_secrets
from scaffold.workspace import SERVICES, Workspace

_SCRIPT = "db_manager/owner.sql"
"""A container reads it as a user of its own, whatever the umask that git cloned with."""


@click.command("env")
@click.option("--dry-run", is_flag=True, help="List the files; write nothing.")
def command(dry_run: bool) -> None:
    """Make each .env and each secret that is missing.

    A .env for each service, of its .env.example, and in .secrets/ what the containers of
    compose.yaml are given. A file that is there stays as it is.
    """
    preview.print_list(make_missing(Workspace.find(Path.cwd()), dry_run=dry_run))


def make_missing(workspace: Workspace, *, dry_run: bool = False) -> Plan:
    """Make each .env and each secret that is missing, unless it is only to be seen what they are."""
    with nullcontext() if dry_run else workspace.locked():
        services = workspace.services()
        files = make_secrets(service.package for service in services)
        for service in services:
            example = service.folder / EXAMPLE
            if example.is_file():
                text = give_secret(read_text(example))
                files[PurePosixPath(SERVICES, service.package, NAME)] = text.encode()
        plan = Plan.decide(workspace.root, files, keep=files)
        if not dry_run:
            transaction.apply(plan)
            script = workspace.root / _SCRIPT
            if script.exists() and script.stat().st_mode & 0o444 != 0o444:
                script.chmod(script.stat().st_mode | 0o444)
    return plan
