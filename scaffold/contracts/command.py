"""`python -m scaffold contracts`: forbidden imports, lacking requirements, shared ports, undeclared answers."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from scaffold.contracts.answers import Answers, check_answers
from scaffold.contracts.check import check
from scaffold.errors import MisuseError
from scaffold.workspace import Workspace, find_shared_ports


@click.command("contracts")
@click.option("--api", is_flag=True, help="Name what breaks clients of the services instead.")
@click.option(
    "--against",
    metavar="REF",
    help="With --api: the commit whose documents are the former ones, by default HEAD.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def command(api: bool, against: str | None, as_json: bool) -> None:
    """Check the imports of shared/ and of every service.

    Besides, each requirements.txt names what its service imports, no two services have one port,
    and no route answers something else than it declares. One that declares nothing is a warning.

    With --api, what each service answers is compared with its document in git's last commit: a line
    for each change that breaks clients, with the services that use it.
    """
    workspace = Workspace.find(Path.cwd())
    if api:
        # Of the generator, which may be what is broken where imports are checked.
        from scaffold.contracts.breaks import report  # noqa: PLC0415

        sys.exit(report(workspace, against, as_json=as_json))
    if against:
        raise MisuseError("--against compares documents, which is --api: give both.")
    verdict = check(workspace)
    services = workspace.services()
    shared_ports = find_shared_ports(services)
    # Whose imports are broken may not run.
    answers = check_answers(services) if services and not verdict.broken else Answers()
    if as_json:
        more = {"shared_ports": shared_ports} | asdict(answers)
        click.echo(json.dumps(asdict(verdict) | more, indent=2))
    else:
        held = f"{verdict.rules} rules hold in {', '.join(verdict.packages)}."
        faults = [*map(str, verdict.broken), *shared_ports, *answers.mismatched]
        click.echo("\n".join(faults) or held)
        for line in answers.undeclared:
            click.echo(f"warning: {line}", err=True)
    sys.exit(1 if verdict.broken or shared_ports or answers.mismatched else 0)
