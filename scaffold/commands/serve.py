"""`python -m scaffold serve`: services in one process, for a small server, until SIGTERM."""

import os
import sys
from pathlib import Path

import click

from scaffold.workspace import Workspace, choose_services


@click.command("serve")
@click.argument("names", metavar="[SERVICE]...", nargs=-1)
def command(names: tuple[str, ...]) -> None:
    """Serve services in one process until SIGTERM: all, or those that are named.

    Each has its own port, settings and lines of log, as if it were alone. One that cannot start is
    named, and tried again; the others serve. This is `python -m quart_fleet.server`, which needs
    no scaffold.
    """
    workspace = Workspace.find(Path.cwd())
    packages = [each.package for each in choose_services(workspace, names)] if names else []
    os.chdir(workspace.root)
    os.execv(sys.executable, [sys.executable, "-m", "quart_fleet.server", *packages])  # noqa: S606
