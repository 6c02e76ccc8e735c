"""What may name a field, an action, a resource and its parts, and what is too long for PostgreSQL."""

import keyword
import re

from scaffold.language.scanner import Scanner
from scaffold.names import LONGEST_NAME

NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_FORM = (
    "A name is in snake case: letters from a to z, digits, single underscores, as in unit_price."
)
_BASE_COLUMNS = ("id", "created_at", "updated_at", "is_active")
_PARAMETERS = ("limit", "after", "sort", "q", "count")
_OF_GENERATED_CODE = (
    *("str", "int", "bool", "float", "dt", "true", "func", "mapped_column", "uuid4", "utc_now"),
    *("update", "patch", "deactivate", "ensure_valid"),
)
"""What a class body of the generated code calls or has as a method."""
_ROUTES = (
    *("create", "delete", "get", "list", "list_by", "list_active", "list_active_page"),
    *("list_all", "list_page", "bp", "use_cases", "find_list_query"),
    *("parse_body", "parse_patch", "parse_query"),
)
"""What a module of controllers and a class of use cases have for every resource."""

_OF_WORK = ("autocommit", "commit", "savepoint")
"""What each unit of work has, beside its repositories."""
OF_CLASSES = ("Entity", "Model", "Repository", "UseCases")
"""Ends of the names of a resource's own classes."""


def check_field_name(scanner: Scanner, name: str, at: int, *, has_active: bool = True) -> None:
    """Raise DescriptionError for what cannot name a field; `at` is where the name is."""
    columns = _BASE_COLUMNS if has_active else _BASE_COLUMNS[:3]
    _check(
        scanner,
        name,
        at,
        "a field",
        {
            f"{name!r} is a column of every table": name in columns,
            f"{name!r} is a parameter of every list": name in _PARAMETERS,
            f"{name!r} is a word of the generated code": name in _OF_GENERATED_CODE,
        },
    )


def check_action_name(scanner: Scanner, name: str, at: int) -> None:
    """Raise DescriptionError for what cannot name an action: routes, methods and columns."""
    taken = name in (*_OF_GENERATED_CODE, *_ROUTES, *_BASE_COLUMNS) or name.startswith("get_by_")
    _check(scanner, name, at, "an action", {f"{name!r} is one of every resource": taken})


def check_resource_name(scanner: Scanner, name: str, at: int) -> None:
    """Raise DescriptionError for what cannot name a resource or a part."""
    reasons = {
        "a service's port is called so": name == "port",
        f"shared/models/{name}.py is the base of every model": name == "base",
    }
    _check(scanner, name, at, "a resource", reasons)


def check_plural(scanner: Scanner, name: str, at: int) -> None:
    """Raise DescriptionError for what cannot name many of a resource."""
    check_resource_name(scanner, name, at)
    taken = {f"{name!r} is a method of every unit of work": name in _OF_WORK}
    _check(scanner, name, at, "many of a resource", taken)


def read_former_name(scanner: Scanner, name: str) -> str:
    """Read `(old)`: what the field of this name was called."""
    form = "was(old): what this field was called"
    scanner.expect("(", form)
    start = scanner.position
    old = scanner.word()
    check_field_name(scanner, old, start)
    if old == name:
        scanner.refuse(f"{name!r} is its name already", form, start)
    scanner.expect(")", form)
    return old


def class_of(name: str) -> str:
    """Return a name as a part of a class's: `order_item` is `OrderItem`."""
    return "".join(word.capitalize() for word in name.split("_"))


def enum_of(owner: str, name: str) -> str:
    """Return the class of an enum's words, by its owner's: `ProductStatus`."""
    ending = class_of(name)
    return f"{owner}{ending}{'Value' if ending in OF_CLASSES else ''}"


def _check(scanner: Scanner, name: str, at: int, kind: str, reasons: dict[str, bool]) -> None:
    if not NAME.fullmatch(name):
        named = name or scanner.text[at : at + 1]
        problem = f"{named!r} cannot name {kind}" if named else f"{kind.capitalize()} has no name"
        scanner.refuse(problem, _FORM, at)
    reasons = {
        f"a name of {len(name)} characters is too long": len(name) > LONGEST_NAME,
        f"{name!r} is a keyword of Python": keyword.iskeyword(name),
    } | reasons
    for reason, holds in reasons.items():
        if holds:
            allowed = f"Choose another word, of at most {LONGEST_NAME} characters."
            scanner.refuse(f"This cannot name {kind}, since {reason}", allowed, at)
