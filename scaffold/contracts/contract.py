"""import-linter's contract type for our rules: one direct import is judged at a time."""

import sys
from collections.abc import Iterator
from typing import cast

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields

from scaffold.contracts.rules import EVERYTHING, Rule

_ALONE = ".__init__"


class UnknownModuleError(Exception):
    """A rule names what does not exist, so it could only ever pass."""


class _RuleField(fields.Field[Rule]):
    def parse(self, raw_data: object) -> Rule:
        return cast("Rule", raw_data)


class RuleContract(Contract):
    """A contract that holds one rule.

    Chains of imports need no look of their own: each link is a direct import that some rule judges.
    """

    rule = _RuleField()

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002 - its name
        """Judge every import of every module that the rule binds: module, line, imported."""
        rule = cast("Rule", self.rule)
        _refuse_unknown_names(rule, graph)
        broken = [found for module in _bound(rule, graph) for found in _judge(rule, module, graph)]
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print nothing: the caller reads the metadata."""


def _refuse_unknown_names(rule: Rule, graph: ImportGraph) -> None:
    unknown = {name.removesuffix(_ALONE) for name in rule.names} - graph.modules
    if unknown:
        raise UnknownModuleError(
            f"The rule that {rule.says} names modules that do not exist: "
            f"{', '.join(sorted(unknown))}."
        )


def _bound(rule: Rule, graph: ImportGraph) -> Iterator[str]:
    for module in graph.modules:
        if _is_among(module, rule.binds) and not _is_among(module, rule.spares):
            yield module


def _judge(rule: Rule, module: str, graph: ImportGraph) -> Iterator[tuple[str, int, str]]:
    for imported in graph.find_modules_directly_imported_by(module):
        if not _is_among(imported, rule.forbids) or _is_open(imported, rule):
            continue
        for detail in graph.get_import_details(importer=module, imported=imported):
            yield module, detail["line_number"], imported


def _is_open(imported: str, rule: Rule) -> bool:
    in_standard_library = imported.partition(".")[0] in sys.stdlib_module_names
    return in_standard_library or _is_among(imported, rule.allows)


def _is_among(module: str, names: tuple[str, ...]) -> bool:
    return any(
        name in (EVERYTHING, module, module + _ALONE) or module.startswith(name + ".")
        for name in names
    )
