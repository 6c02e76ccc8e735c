"""The linter's own process: `python -m scaffold.contracts.linter` in a workspace's root.

It needs the root and services/ first on PYTHONPATH, and prints a verdict or a refusal in JSON.
"""

import json
import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from io import StringIO
from pathlib import Path

from grimp.exceptions import SourceSyntaxError
from importlinter import configuration
from importlinter.application.ports.reporting import Report
from importlinter.application.use_cases import create_report
from importlinter.application.user_options import UserOptions
from importlinter.domain.contract import registry

from scaffold.contracts.contract import RuleContract, UnknownModuleError
from scaffold.contracts.faults import find_faults
from scaffold.contracts.packages import Packages
from scaffold.contracts.rules import Rule, make_rules
from scaffold.contracts.verdict import BrokenImport, Verdict
from scaffold.errors import ScaffoldError
from scaffold.workspace import Workspace

_TYPE = "rule"


def lint(workspace: Workspace) -> Verdict:
    """Judge every import of the workspace; raises ScaffoldError when some cannot be read."""
    packages = Packages(workspace)
    if faults := find_faults(packages):
        raise ScaffoldError("\n".join(faults))
    rules = make_rules(packages.services)
    try:
        report = _run(packages.names, rules)
    except (SourceSyntaxError, UnicodeError, UnknownModuleError) as error:
        raise ScaffoldError(str(error).replace(f"{workspace.root}/", "")) from None
    return Verdict(packages.names, len(rules), _broken(report, packages))


def _run(packages: tuple[str, ...], rules: list[Rule]) -> Report:
    """Run import-linter without its cache, which could be stale, and without its display."""
    configuration.configure()
    registry.register(RuleContract, _TYPE)
    options = UserOptions(
        {"root_packages": list(packages), "include_external_packages": "True"},
        [{"name": rule.says, "type": _TYPE, "rule": rule} for rule in rules],
    )
    with redirect_stdout(StringIO()):
        return create_report(options, cache_dir=None)


def _broken(report: Report, packages: Packages) -> tuple[BrokenImport, ...]:
    """Return every broken import once, under the first rule that it breaks."""
    rules: dict[tuple[str, int, str], str] = {}
    for contract, check in report.get_contracts_and_checks():
        for found in check.metadata["broken"]:
            rules.setdefault(found, contract.name)
    return tuple(
        sorted(
            BrokenImport(packages.file_of(module), line, module, imported, rule)
            for (module, line, imported), rule in rules.items()
        )
    )


def main() -> None:
    """Lint the workspace in the current folder."""
    try:
        document = asdict(lint(Workspace(Path.cwd())))
    except ScaffoldError as error:
        document = {"refusal": str(error)}
    sys.stdout.write(json.dumps(document))


if __name__ == "__main__":
    main()
