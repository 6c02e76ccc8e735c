"""`python -m scaffold contracts`: forbidden imports, lacking requirements, and shared ports."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from scaffold.contracts.check import check
from scaffold.workspace import Workspace, find_shared_ports


@click.command("contracts")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def command(as_json: bool) -> None:
    """Check the imports of shared/ and of every service.

    Besides, each requirements.txt names what its service imports, and no two services have one
    port.
    """
    workspace = Workspace.find(Path.cwd())
    verdict = check(workspace)
    shared_ports = find_shared_ports(workspace.services())
    if as_json:
        click.echo(json.dumps(asdict(verdict) | {"shared_ports": shared_ports}, indent=2))
    else:
        held = f"{verdict.rules} rules hold in {', '.join(verdict.packages)}."
        click.echo("\n".join([*map(str, verdict.broken), *shared_ports]) or held)
    sys.exit(1 if verdict.broken or shared_ports else 0)
