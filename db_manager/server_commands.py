"""`python -m db_manager postgres`: the workspace's embedded server, in hand."""

import dataclasses
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from select import select
from typing import TYPE_CHECKING

import click

from db_manager.errors import ManagerError
from db_manager.terminal import JSON, Commands, print_fields
from db_manager.workspace import get_workspace

if TYPE_CHECKING:
    from quart_fleet.postgres import EmbeddedPostgres

_INTERVAL = 1.0
"""Seconds between two looks at a server that runs."""


@click.group(cls=Commands)
def postgres() -> None:
    """Look after the embedded PostgreSQL, used where DATABASE_URL is not set."""


@postgres.command()
def start() -> None:
    """Start the server and keep it until `stop`; print its URL."""
    with _server() as server:
        click.echo(server.start())


@postgres.command()
def run() -> None:
    """Run the server until Ctrl-C or the end of the input, and end when it has; print its URL.

    Where the server ends before, as by `stop`, this ends with an error.
    """
    has_ended = False
    with _server() as server:
        with server as url:
            click.echo(url)
            pid = server.find_pid()
            with suppress(KeyboardInterrupt):
                # What is read does not count, only its end.
                while not select([sys.stdin], [], [], _INTERVAL)[0] or os.read(0, 4096):
                    if has_ended := server.find_pid() != pid:
                        break
        if has_ended:
            raise ManagerError(f"The embedded PostgreSQL has ended. Its log: {server.status().log}")
        server.await_end()


@postgres.command()
def stop() -> None:
    """Stop the server, used or not; the next command that needs it starts it again."""
    with _server() as server:
        was_running = server.status().running
        server.stop()
    click.echo("Stopped." if was_running else "It was not running.")


@postgres.command()
@JSON
def status(as_json: bool) -> None:
    """Show whether the server runs, where, and from which programs."""
    with _server() as server:
        fields = dataclasses.asdict(server.status())
    if as_json:
        click.echo(json.dumps(fields, indent=2, default=str))
    else:
        words = {True: "yes", False: "no", None: "-"}
        print_fields(
            (name.capitalize(), words.get(value) or str(value)) for name, value in fields.items()
        )


@postgres.command()
def url() -> None:
    """Print the server's URL, for DATABASE_URL or psql."""
    with _server() as server:
        click.echo(server.url())


@postgres.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def psql(arguments: tuple[str, ...]) -> None:
    """Open psql on the server, without the settings of others (PGSERVICE and so on).

    ARGUMENTS are psql's own, as -c 'SELECT 1'.
    """
    from db_manager.shell import embedded_server, run_psql, without_pg  # noqa: PLC0415

    with embedded_server() as url:
        raise SystemExit(run_psql(url, arguments, without_pg()))


@contextmanager
def _server() -> Iterator["EmbeddedPostgres"]:
    from quart_fleet.postgres import EmbeddedPostgres, EmbeddedPostgresError  # noqa: PLC0415

    try:
        yield EmbeddedPostgres(get_workspace().postgres_folder)
    except EmbeddedPostgresError as error:
        raise ManagerError(str(error)) from error
