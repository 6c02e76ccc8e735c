"""What is said of a demo that was kept: where it is, and how to go on with it."""

import shlex

import click

from scaffold.demo.database import OwnDatabase
from scaffold.demo.sandbox import Installation, Sandbox


def say_where(sandbox: Sandbox) -> None:
    """Tell the folder."""
    click.echo(f"Kept: {sandbox.workspace}, with its logs in {sandbox.root / 'logs'}", err=True)


def say_how_to_start(installation: Installation) -> None:
    """Tell the commands that start a service on the data as the demo left it."""
    paths = [
        f"{name}={shlex.quote(value)} "
        for name, value in installation.variables.items()
        if name == "PYTHONPATH"
    ]
    click.echo(
        "To start a service again:\n"
        f"  cd {shlex.quote(str(installation.sandbox.workspace))}\n"
        f"  {''.join(paths)}{shlex.quote(installation.python)} services/user_service/app.py",
        err=True,
    )


def say_which_database(database: OwnDatabase) -> None:
    """Tell what stays on the caller's server."""
    click.echo(
        f"Its data is in {database.name}, on the server of DATABASE_URL: name that database "
        "there, and drop it when you are done.",
        err=True,
    )
