"""`python -m scaffold up`: the fleet running on this machine, until Ctrl-C or in the background."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

import click
from click.core import ParameterSource
from dotenv import dotenv_values

from scaffold.commands.environment import make_missing
from scaffold.errors import ScaffoldError
from scaffold.supervisor.fleet import Options, refuse_shared_ports
from scaffold.supervisor.place import Place, SilentError
from scaffold.supervisor.remote import ask, refuse_failed, show, show_database
from scaffold.supervisor.running import run
from scaffold.supervisor.service import READY_TIMEOUT
from scaffold.workspace import Service, Workspace, choose_services

_POLL_INTERVAL = 0.05
_MIGRATES: dict[bool | None, Literal["never", "first", "always"]] = {
    None: "first",
    True: "always",
    False: "never",
}


@click.command("up")
@click.argument("names", metavar="[SERVICE]...", nargs=-1)
@click.option("--detach", "-d", is_flag=True, help="Return when they are ready; they run on.")
@click.option("--together", is_flag=True, help="Run all of them in one process, in less memory.")
@click.option("--isolated", is_flag=True, help="Take free ports and a database of its own.")
@click.option(
    "--migrate/--no-migrate",
    "migrates",
    default=None,
    help="Apply revisions that come later too; leave the database as it is.",
)
@click.option("--seed", is_flag=True, help="Store the rows to begin with that are missing.")
@click.option("--no-reload", is_flag=True, help="Start no service anew when its files change.")
@click.option(
    "--ready-timeout",
    type=click.FloatRange(min=0.1),
    default=READY_TIMEOUT,
    metavar="SECONDS",
    show_default=True,
    help="How long a process may take until it serves.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="With --detach, print the result for a program."
)
@click.option("--in-background", is_flag=True, hidden=True)
def command(  # noqa: PLR0913 - one for each option
    *,
    names: tuple[str, ...],
    detach: bool,
    together: bool,
    isolated: bool,
    migrates: bool | None,
    seed: bool,
    no_reload: bool,
    ready_timeout: float,
    as_json: bool,
    in_background: bool,
) -> None:
    """Run services together until Ctrl-C: all, or those that are named.

    What is missing is made first: each .env, the embedded PostgreSQL unless DATABASE_URL names
    another, and the newest revision of the database. A service whose process ends is started
    again. One whose files change is followed by another process on the same socket, so that no
    request is lost; where that does not start, the one before it serves on. Services that are
    added or removed are taken up.
    """
    if as_json and not detach:
        raise click.UsageError("--json is for --detach; of a fleet that is up: ps --json.")
    if together and isolated:
        raise click.UsageError("--together is not for --isolated: each has a database role there.")
    workspace = Workspace.find(Path.cwd())
    place = Place.of(workspace.root)
    if not place.is_up():
        services = choose_services(workspace, names)
        if not isolated:
            refuse_shared_ports(services)
        if not isolated and not together:
            _refuse_shared_metrics(services)
        make_missing(workspace)
        options = Options(
            packages=frozenset(each.package for each in services) if names else frozenset(),
            migrates=_MIGRATES[migrates],
            reload=not no_reload,
            seed=seed,
            together=together,
            isolated=isolated,
            ready_timeout=ready_timeout,
            in_background=in_background,
        )
        if not detach or in_background:
            with place.held() as lock:
                os.dup(lock)  # until this process has gone, for which `stop` waits
                asyncio.run(run(workspace, services, options, place, lock))
            return
        if _detach(place, seed=seed, as_json=as_json):
            return
    elif in_background:
        raise ScaffoldError("The fleet is up already: see python -m scaffold ps.")
    is_given = click.get_current_context().get_parameter_source("ready_timeout")
    wanted = {
        "--together": ("together", True) if together else None,
        "--isolated": ("isolated", True) if isolated else None,
        "--no-reload": ("reload", False) if no_reload else None,
        "--no-migrate": ("migrate", "never") if migrates is False else None,
        "--ready-timeout": ("ready_timeout", ready_timeout)
        if is_given is ParameterSource.COMMANDLINE
        else None,
    }
    _refuse_others(place, names, {each: one for each, one in wanted.items() if one})
    _join(place, names, detach=detach, migrates=bool(migrates), seed=seed, as_json=as_json)


def _refuse_shared_metrics(services: list[Service]) -> None:
    """Raise ScaffoldError where two services have one METRICS_PORT, each in a process of its own."""
    owners = dict[str, Service]()
    given = os.environ.get("METRICS_PORT")
    for service in services:
        own = dotenv_values(service.folder / ".env", encoding="utf-8-sig").get("METRICS_PORT")
        port = given or own
        owner = owners.setdefault(port, service) if port else service
        if owner is not service and given:
            raise ScaffoldError(
                f"METRICS_PORT is set in the environment, where {len(services)} services would have "
                "one port: unset it, and set another one in the .env of each, or --together"
            )
        if owner is not service:
            raise ScaffoldError(
                f"METRICS_PORT={port} is that of {owner.called} and of {service.called}: set "
                f"another one in {service.folder / '.env'}"
            )


def _refuse_others(
    place: Place, names: tuple[str, ...], wanted: dict[str, tuple[str, Any]]
) -> None:
    """Raise ScaffoldError where the fleet that is up has other options or lacks a service.

    Args:
        place: of the fleet.
        names: of services.
        wanted: by the option as it is typed, its name among those of a fleet, and its value there.
    """
    found = ask(place, "ps", services=names).get("options", {})
    others = [option for option, (name, value) in wanted.items() if found.get(name) != value]
    if others:
        raise ScaffoldError(
            f"The fleet is up already, with another choice than {', '.join(others)}. "
            "To end it first: python -m scaffold stop"
        )


def _join(  # noqa: PLR0913 - one for each option
    place: Place,
    names: tuple[str, ...],
    *,
    detach: bool,
    migrates: bool,
    seed: bool,
    as_json: bool,
) -> None:
    """Say that the fleet is up and where; in the background, that is all that was wanted.

    Raises ScaffoldError where it is not what was wanted.
    """
    began = time.time()
    if migrates:
        migrated = ask(place, "migrate")
        if migrated["failed"]:
            raise ScaffoldError(f"The revisions cannot be applied: {migrated['failed']}")
    if seed:
        seeded = ask(place, "seed")
        if seeded["failed"]:
            raise ScaffoldError(f"The rows cannot be stored: {seeded['failed']}")
    if (migrates or seed) and not as_json:
        show_database(place, began)
    if not detach:
        show(ask(place, "ps"))
        if not (migrates or seed):
            raise ScaffoldError("The fleet is up already. To end it: python -m scaffold stop")
        return
    found = ask(place, "wait", services=names)
    show(found, as_json=as_json)
    refuse_failed(found)


def _detach(place: Place, *, seed: bool, as_json: bool) -> bool:
    """Have another process run the fleet, and return when its services serve.

    False where the fleet that is up is that of another command, which was a moment faster.
    """
    began = time.time()
    at = sys.argv.index("up") + 1  # not at the end, where it could follow a --
    arguments = [*sys.argv[1:at], "--in-background", *sys.argv[at:]]
    # What it says until then, which is shown where it ends.
    found = None
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(  # noqa: S603 - this very command
            [sys.executable, "-m", "scaffold", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            while process.poll() is None and (found is None or found["ending"]):
                time.sleep(_POLL_INTERVAL)
                try:
                    found = ask(place, "wait") if place.is_up() else None
                except SilentError:
                    raise
                except ScaffoldError:  # it has ended: what it has said tells why
                    found = None
        except BaseException as error:
            process.terminate()
            if not isinstance(error, SilentError):
                process.wait()
            raise
        if found is None and place.is_up():
            found = ask(place, "wait")
        if found and found["pid"] != process.pid and not found["ending"]:
            process.terminate()
            process.wait()
            return False
        if found is None or found["ending"]:
            said.seek(0)
            sys.stderr.write(said.read().decode("utf-8", "replace"))
            sys.exit(process.returncode or 1)
    if seed and not as_json:
        show_database(place, began)
    show(found, as_json=as_json)
    refuse_failed(found)
    return True
