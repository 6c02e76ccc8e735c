"""`python -m scaffold env`: the files of settings and secrets that git ignores.

    services/<package>/.env        for `python app.py`, made of the .env.example beside it
    .secrets/postgres_password     of PostgreSQL's superuser, as which its container alone works
    .secrets/owner_password        of the role that owns the database and migrates it
    .secrets/roles/<package>       of the role that a service logs in as
    .secrets/keys/<package>        a service's SECRET_KEY

Those in .secrets/ are for the containers of compose.yaml, each of which is given its own alone.
"""

import re
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path, PurePosixPath
from secrets import token_urlsafe

import click

from quart_fleet.files import read_text
from scaffold import preview, transaction
from scaffold.plan import Plan
from scaffold.workspace import SERVICES, Workspace

NAME = ".env"
EXAMPLE = ".env.example"
SECRETS = PurePosixPath(".secrets")

_SCRIPT = "db_manager/owner.sql"
"""A container reads it as a user of its own, whatever the umask that git cloned with."""
_SECRET_KEY = re.compile(r"^SECRET_KEY=.*$", re.MULTILINE)


@click.command("env")
@click.option("--dry-run", is_flag=True, help="List the files; write nothing.")
def command(dry_run: bool) -> None:
    """Make each .env and each secret that is missing.

    A .env for each service, of its .env.example, and in .secrets/ what the containers of
    compose.yaml are given. A file that is there stays as it is.
    """
    workspace = Workspace.find(Path.cwd())
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
            if script.exists():
                script.chmod(script.stat().st_mode | 0o444)
    preview.print_list(plan)


def make_secrets(packages: Iterable[str]) -> dict[PurePosixPath, bytes]:
    """Return the secrets of the database and of these services' containers, all of them new."""
    names = ["postgres_password", "owner_password"]
    for package in packages:
        names += [f"roles/{package}", f"keys/{package}"]
    # Without a service too the folder of the roles is there, which a container is given whole.
    placeholder = {SECRETS / "roles/.keep": b""}
    return placeholder | {SECRETS / name: token_urlsafe(32).encode() for name in names}


def give_secret(example: str) -> str:
    """Return an example of settings with a new SECRET_KEY in place of its own."""
    return _SECRET_KEY.sub(f"SECRET_KEY={token_urlsafe(32)}", example)
