"""The command line: its commands, which of them is meant, and how it ends.

A command's module is imported when it is used, not before.
"""

import errno
import os
import signal
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from quart_fleet.errors import ConfigurationError
from quart_fleet.output import escape_unprintable_text, open_closed_files
from scaffold.errors import ScaffoldError, describe
from scaffold.signals import Interrupted, not_ignored

_PROGRAM = "python -m scaffold"


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """Where a command is, and the heading and the line that --help has of it."""

    module: str
    heading: str
    help: str
    examples: tuple[str, ...] = ()
    """What follows `python -m scaffold`, at the end of the command's own --help."""
    name: str = "command"
    """Of the command, in its module."""

    def load(self) -> click.Command:
        """Import the module and return its command."""
        command = getattr(import_module(self.module), self.name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{self.module}.{self.name} is no command")
        command.epilog = _describe(self.examples)
        return command


def _describe(examples: Iterable[str]) -> str:
    """Return examples as click takes them: after a line with \\b, lines stay as they are."""
    return "\n".join(["\b\nFor example:", *(f"  {_PROGRAM} {each}" for each in examples)])


NAME = "fleet"
"""The installed command, which is `python -m scaffold` by a shorter name."""
COMPLETE_VARIABLE = "_FLEET_COMPLETE"
"""Says to click that a shell asks for words."""
SERVICE = "service"

_WORKSPACE, _SERVICES, _CHECKS, _DEPLOYMENT = "Workspace", "Services", "Checks", "Deployment"

COMMANDS = {
    "init": LazyCommand(
        "scaffold.commands.init",
        _WORKSPACE,
        "Make a new workspace in a folder.",
        ("init ../shop", "init ../shop --license MIT --description 'What the shop runs on'"),
    ),
    "upgrade": LazyCommand(
        "scaffold.commands.upgrade",
        _WORKSPACE,
        "Bring the workspace to a newer version of the framework.",
        ("upgrade --diff", "upgrade --from ../quart_fleet-0.4.0-py3-none-any.whl"),
    ),
    "env": LazyCommand(
        "scaffold.commands.environment",
        _WORKSPACE,
        "Make each .env and each secret of a container that is missing.",
        ("env", "env --dry-run"),
    ),
    "digests": LazyCommand(
        "scaffold.commands.digests",
        _WORKSPACE,
        "Renew the digests that the images of others are pinned by.",
        ("digests", "digests --check"),
    ),
    "completion": LazyCommand(
        "scaffold.commands.completion",
        _WORKSPACE,
        "Print what has a shell complete the words after `fleet`.",
        (
            "completion zsh >~/.zfunc/_fleet",
            "completion fish >~/.config/fish/completions/fleet.fish",
        ),
    ),
    SERVICE: LazyCommand(
        "scaffold.commands.service",
        _SERVICES,
        "Generate a service (the word may be left out).",
        (
            "user-service 8081",
            "product-service 8082 'name:str(120):unique' 'price:decimal(10,2):min(0)'",
            "mail-service 8084 --bare",
        ),
    ),
    "language": LazyCommand(
        "scaffold.language.command",
        _SERVICES,
        "Print what fields and fleet.toml can say.",
        ("language", "language | less"),
    ),
    "resource": LazyCommand(
        "scaffold.commands.resource",
        _SERVICES,
        "Add a resource to a service, with all its layers.",
        (
            "resource product-service category 'name:str(80):unique'",
            "resource product-service shelf 'aisle:str(9)' 'rank:int' --plural shelves",
        ),
    ),
    "field": LazyCommand(
        "scaffold.commands.field",
        _SERVICES,
        "Add, change, rename or drop fields of a resource.",
        (
            "field product-service product 'stock:int:min(0)' --fill stock=0",
            "field product-service product --rename price:net_price --drop weight",
        ),
    ),
    "client": LazyCommand(
        "scaffold.commands.client",
        _SERVICES,
        "Have a service call operations of another, by a port of its own.",
        (
            "client order-service product-service",
            "client order-service product-service get_product create_product",
            "client order-service product-service --drop list_products",
        ),
    ),
    "remove": LazyCommand(
        "scaffold.commands.remove",
        _SERVICES,
        "Remove a service or a resource.",
        ("remove product-service category", "remove mail-service --dry-run"),
    ),
    "apply": LazyCommand(
        "scaffold.commands.apply",
        _SERVICES,
        "Bring the code to what fleet.toml says.",
        ("apply --diff", "apply", "apply --restore"),
    ),
    "undo": LazyCommand(
        "scaffold.commands.undo",
        _SERVICES,
        "Take the last of these back.",
        ("undo --dry-run", "undo"),
    ),
    "templates": LazyCommand(
        "scaffold.commands.templates",
        _SERVICES,
        "Copy a template into the workspace, where it wins; list them.",
        ("templates list", "templates copy service/README.md", "apply --diff"),
    ),
    "list": LazyCommand(
        "scaffold.commands.listing",
        _SERVICES,
        "List the services, what they keep, and what was edited.",
        ("list", "list --json"),
    ),
    "routes": LazyCommand(
        "scaffold.commands.routes",
        _CHECKS,
        "List what the services answer: method, path, function.",
        ("routes", "routes user-service --json"),
    ),
    "openapi": LazyCommand(
        "scaffold.commands.openapi",
        _CHECKS,
        "Print the OpenAPI document of a service.",
        ("openapi user-service", "openapi user-service --out users.json", "openapi --write"),
    ),
    "doctor": LazyCommand(
        "scaffold.commands.doctor",
        _CHECKS,
        "Say what is wrong here, and what to do about it.",
        ("doctor", "doctor --json"),
    ),
    "contracts": LazyCommand(
        "scaffold.contracts.command",
        _CHECKS,
        "Check imports of packages, ports and answers of services.",
        ("contracts",),
    ),
    "up": LazyCommand(
        "scaffold.supervisor.command",
        _SERVICES,
        "Run the services together, and each anew when its code changes.",
        ("up", "up user-service order-service", "up --detach"),
    ),
    "ps": LazyCommand(
        "scaffold.supervisor.remote",
        _SERVICES,
        "Show the services that are up, and their database.",
        ("ps", "ps --json"),
        "ps",
    ),
    "logs": LazyCommand(
        "scaffold.supervisor.remote",
        _SERVICES,
        "Show the last lines of services that are up.",
        ("logs -f", "logs user-service --since 5m"),
        "logs",
    ),
    "wait": LazyCommand(
        "scaffold.supervisor.remote",
        _SERVICES,
        "Wait until services that are up serve.",
        ("wait", "wait user-service --timeout 30"),
        "wait",
    ),
    "restart": LazyCommand(
        "scaffold.supervisor.remote",
        _SERVICES,
        "Have new processes of services take over.",
        ("restart", "restart user-service"),
        "restart",
    ),
    "stop": LazyCommand(
        "scaffold.supervisor.remote",
        _SERVICES,
        "End the services that are up.",
        ("stop",),
        "stop",
    ),
    "test": LazyCommand(
        "scaffold.commands.testing",
        _CHECKS,
        "Run the tests of all services, of some, or of what changed.",
        ("test", "test --changed", "test user-service -- -x -k username"),
    ),
    "serve": LazyCommand(
        "scaffold.commands.serve",
        _DEPLOYMENT,
        "Serve the services in one process, on a small server.",
        ("serve", "serve user-service order-service"),
    ),
    "demo": LazyCommand(
        "scaffold.demo.command",
        _CHECKS,
        "Show four services working, over real HTTP.",
        ("demo", "demo --keep"),
    ),
    "deploy": LazyCommand(
        "scaffold.deploy.command",
        _DEPLOYMENT,
        "Write manifests, or dashboards and alerts.",
        ("deploy k8s --registry registry.example.com/shop --host api.example.com",),
    ),
}

_WRITING = frozenset(
    {"apply", "client", "deploy", "digests", "env", "field", "init", "openapi", "remove"}
    | {"resource", SERVICE, "templates", "undo", "upgrade"}
)
"""Which write all of their files, or none."""
_OWN_OPTIONS = ("--help", "-h", "--version")


class Commands(click.Group):
    """Commands by name; any other first word is the name of a service."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order of the registry."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command's module and return the command."""
        return COMMANDS[cmd_name].load() if cmd_name in COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands by their headings, without importing them."""
        width = max(map(len, COMMANDS))
        for heading in dict.fromkeys(command.heading for command in COMMANDS.values()):
            lines = [
                (f"{name:{width}}", command.help)
                for name, command in COMMANDS.items()
                if command.heading == heading
            ]
            with formatter.section(heading):
                formatter.write_dl(lines)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the name of a command, without importing any, or an option."""
        names = [
            CompletionItem(name, help=command.help)
            for name, command in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the word `service` where it was left out."""
        open_closed_files()
        escape_unprintable_text()
        if args and args[0] not in (*COMMANDS, *_OWN_OPTIONS):
            if "-" not in args[0] and not "".join(args[1:2]).isdigit():
                for near in get_close_matches(args[0], COMMANDS, n=1, cutoff=0.7):
                    raise click.UsageError(
                        f"{args[0]!r} is no command, and no port follows it. Did you mean {near}?"
                    )
            args = [SERVICE, *args]
        elif (
            args
            and args[0] != SERVICE
            and "".join(args[1:2]).isdigit()
            and not ctx.resilient_parsing  # a shell that completes words shows no message
        ):
            raise click.UsageError(
                f"{args[0]!r} is a command, so no service can have this name: "
                f"try {args[0]}-service."
            )
        try:
            return super().parse_args(ctx, args)
        except OSError as error:  # of --help and --version, which are printed here
            _end(ctx, error)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what it refuses becomes a message and an exit code."""
        for number in not_ignored():
            signal.signal(number, _interrupt)
        try:
            return super().invoke(ctx)
        except (
            ScaffoldError,
            ConfigurationError,
            click.UsageError,
            OSError,
            ModuleNotFoundError,
            Interrupted,
        ) as error:
            _end(ctx, error)


def _end(ctx: click.Context, error: BaseException) -> NoReturn:
    """Say what went wrong and exit; raises what is neither the user's nor the machine's."""
    exit_code = 1
    match error:
        case ScaffoldError():
            message, exit_code = str(error), error.exit_code
        case ConfigurationError():
            message = error.message
        case click.UsageError():
            path = error.ctx.command_path if error.ctx else _PROGRAM
            message = f"{error.format_message()}\nTry: {path} --help"
            exit_code = error.exit_code
        case Interrupted():
            is_writing = ctx.invoked_subcommand in _WRITING
            message = f"Interrupted{': nothing was written' * is_writing}."
            exit_code = 128 + error.number
        case OSError() if error.errno != errno.EPIPE:  # then the reader has seen enough
            is_output = error.filename is None and error.errno not in (errno.EMFILE, errno.ENFILE)
            what = "The output is not whole" if is_output else error.filename
            message = f"{what}: {describe(error)}" if what else describe(error)
        case ModuleNotFoundError() if error.name and not error.name.startswith("scaffold"):
            message = f"{error.name} is not installed: make install at the workspace's root."
        case _:
            raise error
    click.echo(f"{click.style('Error:', fg='red')} {message}", err=True)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        # What is buffered goes nowhere: Python would exit with 120 when it fails once more.
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - until the process ends
    ctx.exit(exit_code)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    """End as Ctrl-C does, so that everything opened is closed."""
    raise Interrupted(number)


def _print_version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    # Imported late: --help does without it.
    from scaffold.distribution.framework import get_framework  # noqa: PLC0415

    try:
        click.echo(f"{NAME if ctx.info_name == NAME else 'scaffold'} {get_framework().version}")
    except ScaffoldError as error:
        raise click.ClickException(str(error)) from None
    ctx.exit()


@click.group(
    cls=Commands,
    subcommand_metavar="COMMAND | NAME PORT",
    epilog=_describe(["init ../shop", *COMMANDS[SERVICE].examples[:2], "remove --help"]),
    context_settings={"max_content_width": 100, "help_option_names": ["-h", "--help"]},
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Show the framework's version and exit.",
)
@click.pass_context
def main(ctx: click.Context) -> None:
    """Generate asynchronous services: python -m scaffold user-service 8081."""
    ctx.color = False if os.environ.get("NO_COLOR") else None
