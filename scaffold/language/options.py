"""Options of a resource: names that begin with an underscore, and what each takes."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from scaffold.language.description import IndexColumn, ResourceDescription
from scaffold.language.naming import NAME, check_name
from scaffold.language.scanner import Scanner

OPTIONS = ("_index", "_unique", "_active", "_plural", "_routes")

_FORMS = {
    "_index": '_index = ["category, -price"], a list of texts that name fields; - is for descending',
    "_unique": '_unique = ["name, category"], a list of texts that name fields',
    "_active": "_active = false, for a resource without is_active",
    "_plural": '_plural = "people", in snake case',
    "_routes": '_routes = "contract", for the routes of the users alone',
}


def parse_options(
    description: ResourceDescription, options: Mapping[str, object]
) -> ResourceDescription:
    """Return the description with its options; raises MisuseError."""
    change = dict[str, Any]()
    for option, value in options.items():
        scanner = Scanner(option)
        if option not in OPTIONS:
            scanner.refuse_word(scanner.word(), "option", OPTIONS, 0)
        match option, value:
            case "_index", list():
                change["index"] = tuple(_columns(description, option, one) for one in value)
            case "_unique", list():
                sets = [_columns(description, option, one) for one in value]
                change["unique"] = tuple(tuple(column.name for column in one) for one in sets)
            case "_active", bool():
                change["has_active"] = value
            case "_plural", str() if NAME.fullmatch(value):
                check_name(Scanner(value), value)
                change["plural"] = value
            case "_routes", "contract":
                change["is_contract"] = True
            case _:
                scanner.refuse(f"{option} takes another value", _FORMS[option], 0)
    return replace(description, **change)


def _columns(
    description: ResourceDescription, option: str, value: object
) -> tuple[IndexColumn, ...]:
    """Read `category, -price`."""
    scanner = Scanner(value if isinstance(value, str) else "")
    allowed = [field.name for field in description.fields]
    found = list[IndexColumn]()
    while True:
        scanner.skip_blanks()
        is_descending = option == "_index" and scanner.take("-")
        start = scanner.position
        name = scanner.word()
        if name not in allowed:
            scanner.refuse_word(name, f"field in {option}", allowed, start)
        if name in [column.name for column in found]:
            scanner.refuse(f"{name!r} is there twice", _FORMS[option], start)
        found.append(IndexColumn(name, is_descending))
        scanner.skip_blanks()
        if not scanner.rest:
            return tuple(found)
        scanner.expect(",", _FORMS[option])
