"""The commands of `python -m db_manager`; what they need is imported when they run."""

import asyncio
import dataclasses
import errno
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from db_manager.errors import ACCEPT, LoginRefusedError, ManagerError, UnreachableError
from db_manager.server_commands import postgres
from db_manager.terminal import (
    CONFIRM,
    JSON,
    LOCK_WAIT,
    WAIT,
    YES,
    Commands,
    Consent,
    get_renames,
    get_revision,
    open_manager_and,
    print_fields,
    say,
    settle,
    use_no_colour_if_asked,
)
from quart_fleet import __version__
from quart_fleet.errors import ServiceError
from quart_fleet.output import escape_unprintable_text, open_closed_files

if TYPE_CHECKING:
    from db_manager.report import Status


@click.group(
    cls=Commands,
    context_settings={"max_content_width": 100, "help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="db_manager", message="%(prog)s %(version)s")
@click.pass_context
def commands(context: click.Context) -> None:
    """Look after the database: DATABASE_URL, or else the workspace's embedded PostgreSQL."""
    use_no_colour_if_asked(context)


@commands.command()
@JSON
@WAIT
def status(as_json: bool, wait: float) -> None:
    """Show the database beside revisions and models; exit 1 when it is behind."""
    found = _find_status(wait)
    if as_json:
        click.echo(found.to_json())
    else:
        print_fields(found.to_lines())
    if found.problem:
        raise ManagerError(found.problem)


@commands.command()
@click.argument("revision", default="head", callback=get_revision)
@click.option(
    "--roles",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Make a login role of each file in this folder, which holds its password.",
)
@click.option(
    "--expand/--contract",
    "expands_only",
    default=None,
    help="Before a roll-out, apply what old code works with too; after it, the rest.",
)
@LOCK_WAIT
@WAIT
def migrate(
    revision: str, folder: Path | None, expands_only: bool | None, lock_wait: float, wait: float
) -> None:
    """Bring the database up to REVISION, by default the newest, and grant each service its tables.

    Safe to run several times at once.
    """
    from db_manager.roles import read_passwords  # noqa: PLC0415

    if expands_only is not None and revision != "head":
        raise click.UsageError(
            "--expand and --contract say by themselves which revision is the last."
        )
    passwords = read_passwords(folder) if folder else {}
    done = open_manager_and(
        lambda manager: manager.migrate(revision, passwords, expands_only=bool(expands_only)),
        wait,
        lock_wait=lock_wait,
    )
    click.echo(done)


@commands.command("wait")
@click.option(
    "--timeout", type=click.FloatRange(min=0), default=600, metavar="SECONDS", show_default=True
)
def wait_for_revisions(timeout: float) -> None:
    """Wait until the database is migrated as far as this code knows, or further."""
    open_manager_and(
        lambda manager: manager.wait(timeout),
        timeout,
        retried=(UnreachableError, LoginRefusedError),
    )


@commands.command(context_settings={"ignore_unknown_options": True})
@click.argument("revision", callback=get_revision)
@YES
@CONFIRM
@LOCK_WAIT
@WAIT
def downgrade(revision: str, yes: bool, name: str | None, lock_wait: float, wait: float) -> None:
    """Take the database back to REVISION: an id, -1 for one step, base for all."""
    from db_manager.revisions import Revisions  # noqa: PLC0415

    Revisions().refuse_unknown(revision)
    loss = (
        "Going back drops what the newer revisions made, with its rows, and brings what they "
        "dropped back empty"
    )
    consent = Consent(loss, yes, name, lambda manager: manager.find_loss(revision))
    reverted = open_manager_and(
        lambda manager: manager.downgrade(revision), wait, consent, lock_wait=lock_wait
    )
    click.echo(f"Reverted: {', '.join(reverted)}." if reverted else "Nothing to do.")


@commands.command()
@click.option("-m", "--message", required=True, help="What the revision does, in one line.")
@click.option("--empty", is_flag=True, help="Write a revision without changes, to fill in.")
@click.option(
    "--rename",
    "renames",
    multiple=True,
    metavar="OLD:NEW",
    callback=get_renames,
    help="What has a new name: TABLE:NEW or TABLE.COLUMN:NEW. May be repeated.",
)
@click.option(
    "--drop",
    "drops",
    multiple=True,
    metavar="NAME",
    help="What is dropped indeed, with its rows: TABLE or TABLE.COLUMN. May be repeated.",
)
@LOCK_WAIT
@WAIT
def revision(  # noqa: PLR0913 - one for each option
    *,
    message: str,
    empty: bool,
    renames: tuple[tuple[str, str], ...],
    drops: tuple[str, ...],
    lock_wait: float,
    wait: float,
) -> None:
    """Write the revision that makes the models' changes.

    The models are compared with the database, which must be at the newest revision.
    """
    from db_manager.revisions import refuse_bad_message  # noqa: PLC0415
    from db_manager.runner import write_empty_revision  # noqa: PLC0415

    refuse_bad_message(message)
    if empty:
        _print_path(write_empty_revision(message))
        return
    written = open_manager_and(
        lambda manager: manager.revise(message, renames, lambda losses: settle(losses, drops)),
        wait,
        lock_wait=lock_wait,
    )
    if not written:
        say("Nothing to write: the models equal the database. (--empty writes one all the same.)")
        return
    from db_manager.lint import lint_all  # noqa: PLC0415

    names = {each.name for each in written}
    findings = [each for each in lint_all() if each.file in names]
    for finding in findings:
        say(f"Unsafe: {finding}.")
    if findings:
        say(f"Mend it, or say in the file why it is right. {ACCEPT}")
    for file in written:
        _print_path(file)


@commands.command("lint")
@JSON
def lint_revisions(as_json: bool) -> None:
    """Tell what new revisions do to services that run meanwhile; exit 1 for what no comment accepts."""
    from db_manager.lint import lint_all  # noqa: PLC0415
    from db_manager.revisions import Revisions  # noqa: PLC0415

    Revisions().heads()  # which tells what is wrong with the files
    found = lint_all()
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(each) for each in found], indent=2))
    if found:
        lines = [f"{each}." for each in found]
        raise ManagerError("\n".join([*lines, f"Or say why it is right. {ACCEPT}"]))
    if not as_json:
        click.echo("No new revision stops or breaks services that run.")


@commands.command()
@click.option("-m", "--message", default="merge heads", show_default=True, help="One line.")
def merge(message: str) -> None:
    """Write the revision that joins the heads which two branches left; no database is asked."""
    from db_manager.revisions import refuse_bad_message  # noqa: PLC0415
    from db_manager.runner import write_merge  # noqa: PLC0415

    refuse_bad_message(message)
    written = write_merge(message)
    if written is None:
        say("Nothing to join: there is one head.")
    else:
        _print_path(written)


@commands.command()
@JSON
@WAIT
def check(as_json: bool, wait: float) -> None:
    """Compare models and migrated database, and lint; exit 1 when they differ or it finds something."""
    from db_manager.lint import lint_all  # noqa: PLC0415
    from db_manager.report import Check  # noqa: PLC0415

    status = _find_status(wait)
    found = Check.of(status, tuple(map(str, lint_all() if status.heads else ())))
    if as_json:
        click.echo(found.to_json())
    else:
        for line in found.not_compared:
            say(f"Not compared: {line}.")
    if found.problems:
        is_unsafe = any(each.startswith("Unsafe: ") for each in found.problems)
        advice = [f"Mend it, or say in the file why it is right. {ACCEPT}"] if is_unsafe else []
        raise ManagerError("\n".join([*found.problems, *advice]))
    if not as_json:
        click.echo("The models equal the migrations.")


@commands.command()
@click.option(
    "--every",
    type=click.FloatRange(min=0.1),
    metavar="SECONDS",
    help="Again, until the input ends.",
)
@WAIT
def activity(every: float | None, wait: float) -> None:
    """Print, as a line of JSON, the database's size, connections and largest tables."""
    from db_manager.activity import tell_activity  # noqa: PLC0415

    asyncio.run(tell_activity(every, wait))


@commands.command()
@JSON
def history(as_json: bool) -> None:
    """List the revisions, the newest first; no database is asked."""
    from db_manager.report import history_json  # noqa: PLC0415
    from db_manager.revisions import Revisions  # noqa: PLC0415

    revisions = Revisions().list_all()
    if as_json:
        click.echo(history_json(revisions))
        return
    for each in revisions:
        click.echo(f"{click.style(each.id, fg='yellow')}  {each.message}")


@commands.command()
@click.argument("revision", default="head", callback=get_revision)
@WAIT
def sql(revision: str, wait: float) -> None:
    """Print the SQL of migrating to REVISION; FROM:TO asks no database."""
    from db_manager.runner import render_sql  # noqa: PLC0415

    if ":" in revision:
        click.echo(render_sql(revision), nl=False)
        return
    click.echo(open_manager_and(lambda manager: manager.sql(revision), wait), nl=False)


@commands.command()
@LOCK_WAIT
@WAIT
def create_tables(lock_wait: float, wait: float) -> None:
    """Create the models' tables at once, in a database without them."""
    created = open_manager_and(lambda manager: manager.create_tables(), wait, lock_wait=lock_wait)
    click.echo(f"Created: {', '.join(created)}." if created else "Nothing to do.")


@commands.command()
@YES
@CONFIRM
@LOCK_WAIT
@WAIT
def drop_tables(yes: bool, name: str | None, lock_wait: float, wait: float) -> None:
    """Drop the tables of the models, with their rows."""
    consent = Consent("This drops the tables of the models, with their rows", yes, name)
    for each in open_manager_and(
        lambda manager: manager.drop_tables(), wait, consent, lock_wait=lock_wait
    ):
        say(f"Left: {each.name} ({each.reason}).")
    click.echo("Dropped.")


@commands.command()
@YES
@CONFIRM
@LOCK_WAIT
@WAIT
def reset(yes: bool, name: str | None, lock_wait: float, wait: float) -> None:
    """Drop what models and revisions made, then migrate.

    The embedded server's database is dropped as a whole; elsewhere what others made is left.
    """
    from db_manager.connection import uses_embedded_server  # noqa: PLC0415

    what = "the whole database" if uses_embedded_server() else "what the revisions made"
    consent = Consent(f"This drops {what}, with its rows", yes, name)
    done, left = open_manager_and(
        lambda manager: manager.reset(), wait, consent, lock_wait=lock_wait
    )
    for each in left:
        say(f"Left: {each.name} ({each.reason}).")
    what = "what models and revisions made" if left else "everything"
    click.echo(f"Dropped {what}, then migrated to {', '.join(done.current) or 'nothing'}.")


@commands.command()
@click.argument("service", required=False)
@WAIT
def seed(service: str | None, wait: float) -> None:
    """Store the rows that services begin with in development, as services/*/seeds.py have them.

    Of all services, or of SERVICE and what its rows refer to: in one transaction, with the rights
    of each service alone. What is there already stays as it is.
    """
    for line in open_manager_and(lambda manager: manager.seed(service), wait):
        click.echo(line)


@commands.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[SERVICE] [PSQL]...")
def shell(arguments: tuple[str, ...]) -> None:
    """Open psql on the database, or as SERVICE logs in to it, with no right but its own.

    What follows are psql's own arguments, as -c 'SELECT 1'.
    """
    from db_manager.shell import open_shell  # noqa: PLC0415

    is_named = bool(arguments) and not arguments[0].startswith("-")
    service = arguments[0] if is_named else None
    sys.exit(open_shell(service, arguments[is_named:]))


commands.add_command(postgres)

commands.sections = {
    "See": ("status", "check", "lint", "history", "sql", "activity"),
    "Change": ("migrate", "downgrade", "revision", "merge", "wait"),
    "Development": ("seed", "shell", "create-tables", "drop-tables", "reset", "postgres"),
}


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command, by default what the user typed, and end the process with its exit code."""
    open_closed_files()
    escape_unprintable_text()
    try:
        sys.exit(commands.main(arguments, "python -m db_manager", standalone_mode=False) or 0)
    except click.Abort:
        say("Interrupted.")
        sys.exit(130)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.UsageError as error:
        say(f"{click.style('Error:', fg='red')} {_describe(error)}")
        sys.exit(error.exit_code)
    except ServiceError as error:
        say(f"{click.style('Error:', fg='red')} {error}")
        sys.exit(1)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _discard_unwritten_output()
        say(f"{click.style('Error:', fg='red')} The output is not whole: {error.strerror}")
        sys.exit(1)


def _discard_unwritten_output() -> None:
    """Send what is still buffered nowhere: Python would exit with 120 when it fails once more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _describe(error: click.UsageError) -> str:
    path = error.ctx.command_path if error.ctx else "python -m db_manager"
    return f"{error.format_message()}\nTry: {path} --help"


def _find_status(wait: float) -> "Status":
    """Return what is known, which is next to nothing where the database is out of reach."""
    from db_manager.connection import address_of_database  # noqa: PLC0415
    from db_manager.report import Status  # noqa: PLC0415

    try:
        return open_manager_and(lambda manager: manager.status(), wait)
    except ManagerError as error:
        return Status(address_of_database(), problem=str(error))


def _print_path(path: Path) -> None:
    here = Path.cwd()
    click.echo(path.relative_to(here) if path.is_relative_to(here) else path)
