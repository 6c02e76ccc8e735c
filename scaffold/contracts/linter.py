"""The linter's own process: `python -m scaffold.contracts.linter` in a workspace's root.

It needs the root and services/ first on PYTHONPATH, and prints a verdict or a refusal in JSON.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import Self

from grimp import ImportGraph, build_graph
from grimp.exceptions import SourceSyntaxError

from quart_fleet.errors import ConfigurationError
from scaffold.contracts.faults import find_faults
from scaffold.contracts.packages import Packages
from scaffold.contracts.requirements import find_undeclared
from scaffold.contracts.rules import EVERYTHING, Rule, make_rules
from scaffold.contracts.verdict import BrokenImport, Verdict
from scaffold.errors import ScaffoldError
from scaffold.workspace import Workspace


class UnknownModuleError(Exception):
    """A rule names what does not exist, so it could only ever pass."""


@dataclass(frozen=True, slots=True)
class _Imports:
    """Direct imports, as importer and imported, found from either side: of many services each has rules.

    By the first name of the importer, and by each name that the imported module is or is below.
    """

    by_importer: dict[str, list[tuple[str, str]]]
    by_imported: dict[str, list[tuple[str, str]]]

    @classmethod
    def of(cls, graph: ImportGraph) -> Self:
        """Return those of a graph."""
        by_importer, by_imported = defaultdict(list), defaultdict(list)
        for module in graph.modules:
            for imported in graph.find_modules_directly_imported_by(module):
                by_importer[module.partition(".")[0]].append((module, imported))
                for name in accumulate(imported.split("."), "{}.{}".format):
                    by_imported[name].append((module, imported))
        return cls(by_importer, by_imported)

    def near(self, rule: Rule) -> Iterator[tuple[str, str]]:
        """Yield at least the imports that a rule refuses, from the side that it has fewer names for."""
        if EVERYTHING in rule.forbids or len(rule.binds) < len(rule.forbids):
            names, found = {name.partition(".")[0] for name in rule.binds}, self.by_importer
        else:
            names = {name.removesuffix(".__init__") for name in rule.forbids}
            found = self.by_imported
        return (pair for name in names for pair in found.get(name, ()))


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
    imports = _Imports.of(graph)
    for rule in rules:
        unknown = rule.names - graph.modules
        if unknown:
            names = ", ".join(sorted(unknown))
            raise UnknownModuleError(
                f"The rule that {rule.says} names modules that do not exist: {names}."
            )
        for module, imported in imports.near(rule):
            if not (rule.concerns(module) and rule.refuses(imported)):
                continue
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
