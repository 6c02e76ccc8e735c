"""`python -m scaffold env`: the files of settings and secrets that git ignores, one .env each.

The workspace's own is for the containers of compose.yaml; a service's is for `python app.py`.
"""

import re
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

_OF_THE_CONTAINERS = """\
# Secrets of the containers of compose.yaml, made at random by `python -m scaffold`.
# Stays on this machine: git and the images ignore it.
SECRET_KEY={key}

# PostgreSQL takes the first when it fills a new volume; its clients log in with the second.
POSTGRES_PASSWORD={password}
PGPASSWORD={password}
"""
_SECRET_KEY = re.compile(r"^SECRET_KEY=.*$", re.MULTILINE)


@click.command("env")
@click.option("--dry-run", is_flag=True, help="List the files; write nothing.")
def command(dry_run: bool) -> None:
    """Make each .env that is missing, with secrets of its own.

    One at the workspace's root, for docker compose, and one in each service, of its .env.example.
    A file that is there stays as it is.
    """
    workspace = Workspace.find(Path.cwd())
    with nullcontext() if dry_run else workspace.locked():
        files = make()
        for service in workspace.services():
            example = service.folder / EXAMPLE
            if example.is_file():
                text = give_secret(read_text(example))
                files[PurePosixPath(SERVICES, service.package, NAME)] = text.encode()
        plan = Plan.decide(workspace.root, files, keep=files)
        if not dry_run:
            transaction.apply(plan)
    preview.print_list(plan)


def make() -> dict[PurePosixPath, bytes]:
    """Return the file of the containers, with new secrets."""
    text = _OF_THE_CONTAINERS.format(key=token_urlsafe(32), password=token_urlsafe(24))
    return {PurePosixPath(NAME): text.encode()}


def find_missing(root: Path) -> dict[PurePosixPath, bytes]:
    """Return the file of the containers where `root` has none, and nothing where it has one."""
    return {} if (root / NAME).exists() else make()


def give_secret(example: str) -> str:
    """Return an example of settings with a new SECRET_KEY in place of its own."""
    return _SECRET_KEY.sub(f"SECRET_KEY={token_urlsafe(32)}", example)
