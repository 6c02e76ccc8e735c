"""`python -m scaffold up`: the fleet running, on this machine, until Ctrl-C."""

import asyncio
from difflib import get_close_matches
from pathlib import Path

import click

from scaffold.commands.environment import make_missing
from scaffold.errors import ScaffoldError
from scaffold.supervisor.fleet import Options, run
from scaffold.workspace import Service, Workspace, find_shared_ports


@click.command("up")
@click.argument("names", metavar="[SERVICE]...", nargs=-1)
@click.option("--no-migrate", is_flag=True, help="Leave the database as it is.")
@click.option("--seed", is_flag=True, help="Store the rows to begin with that are missing.")
@click.option("--no-reload", is_flag=True, help="Start no service anew when its files change.")
def command(names: tuple[str, ...], no_migrate: bool, seed: bool, no_reload: bool) -> None:
    """Run services together until Ctrl-C: all, or those that are named.

    What is missing is made first: each .env, the embedded PostgreSQL unless DATABASE_URL names
    another, and the newest revision of the database. A service whose process ends is started
    again. One whose files change is followed by another process on the same socket, so that no
    request is lost; where that does not start, the one before it serves on.
    """
    workspace = Workspace.find(Path.cwd())
    services = _choose(workspace.services(), names)
    if shared := find_shared_ports(services):
        raise ScaffoldError("\n".join(shared))
    make_missing(workspace)
    asyncio.run(run(workspace, services, Options(not no_migrate, not no_reload, seed)))


def _choose(services: list[Service], names: tuple[str, ...]) -> list[Service]:
    if not services:
        raise ScaffoldError("No service yet. Make one: python -m scaffold user-service 8081")
    by_name = {each.called: each for each in services} | {each.package: each for each in services}
    for name in names:
        if name not in by_name:
            near = get_close_matches(name, by_name, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise ScaffoldError(f"There is no service {name!r}.{hint}")
    chosen = [by_name[name] for name in dict.fromkeys(names)] or services
    for each in chosen:
        if each.missing or each.port is None:
            what = ", ".join(each.missing) or "a port in its settings.py"
            raise ScaffoldError(f"{each.called} cannot run: it has no {what}.")
    return chosen
