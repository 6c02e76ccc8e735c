"""`python -m scaffold resource SERVICE RESOURCE FIELD…`: one more thing that a service keeps."""

from collections.abc import Mapping
from dataclasses import replace

import click

from scaffold.commands import preview
from scaffold.commands.completion import complete_service
from scaffold.commands.editing import (
    Options,
    change_fleet,
    print_change,
    print_next,
    print_notes,
    takes_options,
)
from scaffold.engine.change import ApplyOptions
from scaffold.errors import MisuseError
from scaffold.generation.presets import preset_of
from scaffold.language.description import ResourceDescription
from scaffold.language.fleet import add_resource, has_resource, put_options
from scaffold.language.grammar import parse_block, parse_fields
from scaffold.language.naming import check_resource_name
from scaffold.language.scanner import Scanner
from scaffold.names import normalise


@click.command("resource")
@click.argument("service", shell_complete=complete_service)
@click.argument("resource")
@click.argument("fields", nargs=-1, metavar="[FIELD]...")
@click.option(
    "--index",
    multiple=True,
    metavar="FIELDS",
    help="An index of several fields, as in 'status, -placed_at'; lists are sorted by it.",
)
@click.option(
    "--unique",
    multiple=True,
    metavar="FIELDS",
    help="Fields whose values together are in one row only, as in 'course, term'.",
)
@click.option(
    "--action",
    multiple=True,
    metavar="NAME=RULE",
    help="A change of a state by a route of its own, as in 'pay=status: open -> paid'.",
)
@click.option("--no-active", is_flag=True, help="Without is_active and its two routes.")
@click.option("--plural", metavar="WORD", help="The plural, where English has another.")
@takes_options
def command(  # noqa: PLR0913 - an argument for each option
    service: str,
    resource: str,
    fields: tuple[str, ...],
    *,
    index: tuple[str, ...],
    unique: tuple[str, ...],
    action: tuple[str, ...],
    no_active: bool,
    plural: str | None,
    **options: bool,
) -> None:
    """Add the resource RESOURCE, in the singular, to SERVICE; give one that is there more options.

    A FIELD is NAME:TYPE with its rules, as in 'price:decimal(10,2):min(0)'; without any, a new one
    has a name and a description.
    """
    chosen = Options(**options)
    given: dict[str, object] = {
        option: value
        for option, value in {
            "_index": list(index),
            "_unique": list(unique),
            "_active": False if no_active else None,
            "_plural": plural,
            "_actions": _rules(action),
        }.items()
        if value not in (None, [], {})
    }

    def edit(text: str) -> str:
        if given and not fields and has_resource(text, service, resource):
            return put_options(text, service, resource, given)
        return add_resource(text, service, resource, _describe(resource, fields, given))

    change = change_fleet(edit, chosen, ApplyOptions())
    owner, _, _ = resource.partition(".")
    is_new = change.before.find_resource(normalise(service), owner) is None
    about = f"{service} keeps {resource}" if is_new else f"{resource} now has {_listed(given)}"
    if chosen.json:
        preview.print_json(change.plan, with_diff=chosen.diff)
    elif chosen.writes:
        print_change(change, about)
        print_next(change)
    print_notes(change, chosen)


def _describe(
    resource: str, fields: tuple[str, ...], options: Mapping[str, object]
) -> ResourceDescription:
    """Return a new resource of a command; raises MisuseError."""
    check_resource_name(Scanner(resource), resource, 0)
    no_active = options.get("_active") is False
    described = parse_fields(fields, has_active=not no_active) if fields else preset_of(resource)
    block: dict[str, object] = {one.name: str(one).partition(":")[2] for one in described.fields}
    described_whole = parse_block(block | {**options}, resource)
    return replace(described_whole, is_contract=described.is_contract)


def _listed(options: Mapping[str, object]) -> str:
    """Return what an existing resource got: `_index 'status, -placed_at', the action pay`."""
    said = list[str]()
    for option, value in options.items():
        match value:
            case list():
                said += [f"{option} {each!r}" for each in value]
            case dict():
                said += [f"the action {name}" for name in value]
            case False:
                said.append("no is_active")
            case _:
                said.append(f"the plural {value}")
    return ", ".join(said)


def _rules(actions: tuple[str, ...]) -> dict[str, str]:
    """Return the rules by the names of their actions; raises MisuseError."""
    rules = dict[str, str]()
    for action in actions:
        name, _, rule = action.partition("=")
        if name in rules:
            raise MisuseError(f"--action {name} is there twice. Each action has a name of its own.")
        rules[name] = rule.strip()
    return rules
