"""`python -m scaffold contracts`: who imports what must not be imported."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from scaffold.contracts.check import check
from scaffold.contracts.verdict import Verdict
from scaffold.workspace import Workspace


@click.command("contracts")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def command(as_json: bool) -> None:
    """Check the imports of shared, db_manager, scaffold and every service."""
    verdict = check(Workspace.find(Path.cwd()))
    click.echo(json.dumps(asdict(verdict), indent=2) if as_json else _describe(verdict))
    sys.exit(1 if verdict.broken else 0)


def _describe(verdict: Verdict) -> str:
    if verdict.broken:
        return "\n".join(map(str, verdict.broken))
    return f"{verdict.rules} rules hold in {', '.join(verdict.packages)}."
