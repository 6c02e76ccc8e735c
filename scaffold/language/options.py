"""Options of a resource: names that begin with an underscore, and what each takes."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from scaffold.language.description import (
    ActionDescription,
    FieldDescription,
    IndexColumn,
    ResourceDescription,
)
from scaffold.language.naming import check_action_name, check_plural
from scaffold.language.scanner import Scanner, listed

OPTIONS = {
    "_index": '_index = ["category, -price"], a list of texts that name fields; - is for descending',
    "_unique": '_unique = ["name, category"], a list of texts that name fields',
    "_active": "_active = false, for a resource without is_active",
    "_plural": '_plural = "people", in snake case',
    "_routes": '_routes = "contract", for the routes of the users alone',
    "_actions": '_actions = { pay = "status: open -> paid" }, of an enum and its words',
}
"""Each with its form."""
_OF_PARTS = ("_index", "_unique", "_plural")

_WITHOUT_ORDER = ("json", "many", "items")
_TIMES = ("created_at", "updated_at")


def parse_options(
    description: ResourceDescription, options: Mapping[str, object]
) -> ResourceDescription:
    """Return the description with its options; raises DescriptionError."""
    change = dict[str, Any]()
    for option, value in options.items():
        scanner = Scanner(option)
        match option, value:
            case "_index", list():
                change["index"] = tuple(_columns(description, option, one) for one in value)
            case "_unique", list():
                sets = [_columns(description, option, one) for one in value]
                change["unique"] = tuple(tuple(column.name for column in one) for one in sets)
            case "_active", bool():
                change["has_active"] = value
            case "_plural", str() if value:
                check_plural(Scanner(value), value, 0)
                change["plural"] = value
            case "_routes", "contract":
                change["is_contract"] = True
            case "_actions", dict():
                actions = [_action(description, name, rule) for name, rule in value.items()]
                change["actions"] = tuple(actions)
            case _ if option in OPTIONS:
                scanner.refuse(f"{option} takes another value", OPTIONS[option], 0)
            case _:
                scanner.refuse_word(scanner.word(), "option", OPTIONS, 0)
    if change.get("is_contract") and (change.get("actions") or not change.get("has_active", True)):
        Scanner("_routes").refuse(
            "The contract's routes are those of users: with is_active, without actions",
            "Leave out _routes, or the other option.",
            0,
        )
    described = replace(description, **change)
    check_unique(described)
    return described


def check_unique(description: ResourceDescription) -> None:
    """Raise DescriptionError for fields that cannot be unique together, or are so without it.

    They cannot be where they are the same in every new row; they are where some of them are unique.
    """
    single = {field.name for field in description.fields if field.is_single}
    single |= {action.field for action in description.actions}
    for names in description.unique:
        if single.issuperset(names):
            Scanner(", ".join(names)).refuse(
                "Unique, and a new row can have only one value",
                "Add a field of which rows have several.",
                0,
            )
    known = [{field.name} for field in description.fields if field.unique]
    # Those that hold others come last.
    for names in sorted(description.unique, key=len):
        for others in known:
            if others.issubset(names):
                problem = f"{', '.join(sorted(others))!r} is unique already"
                Scanner(", ".join(names)).refuse(problem, "Leave one of them out.", 0)
        known.append(set(names))


def check_part(
    description: ResourceDescription, owner: str, options: Iterable[str], texts: Iterable[str]
) -> None:
    """Raise DescriptionError for what a part of `owner` cannot have: it has no routes."""
    for option in options:
        if option in OPTIONS and option not in _OF_PARTS:
            allowed = f"Allowed here: {listed(_OF_PARTS)}"
            Scanner(option).refuse(f"A part has no routes, so no {option}", allowed, 0)
    for field, text in zip(description.fields, texts, strict=True):
        refused = {
            "A part has no routes, so no lookup": field.lookup,
            "A part has no list, so no search": field.search,
            "A part has no items of its own": field.type.name == "items",
            f"{field.key!r} is a column of every part": field.key in ("position", f"{owner}_id"),
        }
        for problem, holds in refused.items():
            if holds:
                Scanner(text).refuse(problem, "Leave it out, or make it a resource.", 0)


def _columns(
    description: ResourceDescription, option: str, value: object
) -> tuple[IndexColumn, ...]:
    """Read `category, -price`."""
    if not isinstance(value, str) or not value.strip():
        Scanner(option).refuse(f"{option} is no list of texts", OPTIONS[option], 0)
    scanner = Scanner(value)
    allowed = [
        field.name
        for field in description.fields
        if field.type.name not in _WITHOUT_ORDER and not field.secret
    ]
    if option == "_index":
        allowed += [*_TIMES, *(["is_active"] if description.has_active else [])]
    found = list[IndexColumn]()
    while True:
        scanner.skip_blanks()
        is_descending = option == "_index" and scanner.take("-")
        start = scanner.position
        name = scanner.word()
        if name not in allowed:
            scanner.refuse_word(name, f"field for {option}", allowed, start)
        if name in [column.name for column in found]:
            scanner.refuse(f"{name!r} is there twice", OPTIONS[option], start)
        found.append(IndexColumn(name, is_descending))
        scanner.skip_blanks()
        if not scanner.rest:
            return tuple(found)
        scanner.expect(",", OPTIONS[option])


def _action(description: ResourceDescription, name: str, rule: object) -> ActionDescription:
    """Read `status: open, paid -> cancelled`."""
    check_action_name(Scanner(name), name, 0)
    if not isinstance(rule, str) or not rule.strip():
        Scanner(name).refuse(f"{name!r} has no text as its rule", OPTIONS["_actions"], 0)
    scanner = Scanner(rule)
    if name in [one for field in description.fields for one in (field.name, field.key)]:
        scanner.refuse(f"{name!r} is a field, and cannot be an action", "Choose another word.")
    states = {
        one.name: one
        for one in description.fields
        if one.type.words and not (one.optional or one.unique or one.fixed)
    }
    start = scanner.position
    field = scanner.word()
    if field not in states:
        scanner.refuse_word(
            field, "enum that is required and neither unique nor fixed", states, start
        )
    scanner.expect(":", OPTIONS["_actions"])
    sources = [_state(scanner, states[field], [])]
    while scanner.take(","):
        sources.append(_state(scanner, states[field], sources))
    scanner.expect("->", OPTIONS["_actions"])
    target = _state(scanner, states[field], sources)
    if scanner.rest:
        scanner.refuse(f"{scanner.rest[0]!r} is not expected", OPTIONS["_actions"])
    return ActionDescription(name, field, tuple(sources), target)


def _state(scanner: Scanner, field: FieldDescription, taken: list[str]) -> str:
    """Read a word of an enum, and the blanks around it."""
    scanner.skip_blanks()
    start = scanner.position
    # A word may end with a dash, which begins the arrow here.
    word = scanner.word()
    if word.endswith("-") and scanner.rest.startswith(">") and word not in field.type.words:
        word, scanner.position = word[:-1], scanner.position - 1
    if word not in field.type.words:
        scanner.refuse_word(word, f"word of {field.name}", field.type.words, start)
    if word in taken:
        scanner.refuse(f"{word!r} is there twice", OPTIONS["_actions"], start)
    scanner.skip_blanks()
    return word
