"""The linter's own process: `python -m scaffold.contracts.linter` in a workspace's root.

It needs the root and services/ first on PYTHONPATH, and prints a verdict or a refusal in JSON.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

from grimp import ImportGraph, build_graph
from grimp.exceptions import SourceSyntaxError

from quart_fleet.errors import ConfigurationError
from scaffold.contracts.faults import find_faults
from scaffold.contracts.packages import Packages
from scaffold.contracts.requirements import find_undeclared
from scaffold.contracts.rules import Rule, make_rules
from scaffold.contracts.verdict import BrokenImport, Verdict
from scaffold.errors import ScaffoldError
from scaffold.workspace import Workspace


class UnknownModuleError(Exception):
    """A rule names what does not exist, so it could only ever pass."""


def lint(workspace: Workspace) -> Verdict:
    """Judge every import of the workspace; raises ScaffoldError when some cannot be read."""
    packages = Packages(workspace)
    if faults := find_faults(packages):
        raise ScaffoldError("\n".join(faults))
    made = make_rules(packages.services, packages.owners)
    rules = [rule for rule in made if any(map(packages.owns, rule.binds))]
    try:
        # Without grimp's cache, which could be stale.
        graph = build_graph(*packages.names, include_external_packages=True, cache_dir=None)
        broken = find_broken(graph, rules)
    except (SourceSyntaxError, UnicodeError, UnknownModuleError) as error:
        raise ScaffoldError(str(error).replace(f"{workspace.root}/", "")) from None
    found = [
        BrokenImport(packages.file_of(module), line, module, imported, rule)
        for (module, line, imported), rule in broken.items()
        if packages.owns(module)
    ]
    told = {(each.file, each.line) for each in found}
    found += (each for each in find_undeclared(packages) if (each.file, each.line) not in told)
    return Verdict(tuple(packages.owned), len(rules), tuple(sorted(found)))


def find_broken(graph: ImportGraph, rules: list[Rule]) -> dict[tuple[str, int, str], str]:
    """Return every broken import (module, line, imported) once, with the first rule that it breaks.

    Chains of imports need no look of their own: each link is a direct import that some rule judges.
    Raises UnknownModuleError.
    """
    broken: dict[tuple[str, int, str], str] = {}
    for rule in rules:
        unknown = rule.names - graph.modules
        if unknown:
            names = ", ".join(sorted(unknown))
            raise UnknownModuleError(
                f"The rule that {rule.says} names modules that do not exist: {names}."
            )
        refused = (
            (module, imported)
            for module in filter(rule.concerns, graph.modules)
            for imported in filter(rule.refuses, graph.find_modules_directly_imported_by(module))
        )
        for module, imported in refused:
            for detail in graph.get_import_details(importer=module, imported=imported):
                broken.setdefault((module, detail["line_number"], imported), rule.says)
    return broken


def main() -> None:
    """Lint the workspace in the current folder."""
    try:
        document = asdict(lint(Workspace(Path.cwd())))
    except (ScaffoldError, ConfigurationError) as error:
        document = {"refusal": str(error)}
    sys.stdout.write(json.dumps(document))


if __name__ == "__main__":
    main()
