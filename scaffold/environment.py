"""`python -m scaffold env`: the secrets of the containers, random and never committed."""

from contextlib import nullcontext
from pathlib import Path, PurePosixPath
from secrets import token_urlsafe

import click

from scaffold import preview, transaction
from scaffold.plan import Plan
from scaffold.workspace import Workspace

FILE = PurePosixPath(".env")

_TEXT = """\
# Secrets of the containers of compose.yaml, made at random by `python -m scaffold`.
# Stays on this machine: git and the images ignore it.
SECRET_KEY={key}

# PostgreSQL takes the first when it fills a new volume; its clients log in with the second.
POSTGRES_PASSWORD={password}
PGPASSWORD={password}
"""


@click.command("env")
@click.option("--dry-run", is_flag=True, help="List the file; write nothing.")
def command(dry_run: bool) -> None:
    """Make .env, with secrets of its own for docker compose, where there is none."""
    workspace = Workspace.find(Path.cwd())
    with nullcontext() if dry_run else workspace.locked():
        plan = Plan.decide(workspace.root, make(), keep=[FILE])
        if not dry_run:
            transaction.apply(plan)
    preview.print_list(plan)


def make() -> dict[PurePosixPath, bytes]:
    """Return the file, with secrets that were never seen before."""
    text = _TEXT.format(key=token_urlsafe(32), password=token_urlsafe(24))
    return {FILE: text.encode()}


def find_missing(root: Path) -> dict[PurePosixPath, bytes]:
    """Return the file where `root` has none, and nothing where it has one."""
    return {} if (root / FILE).exists() else make()
