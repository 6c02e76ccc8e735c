"""The grammar of a field, `NAME:SPEC`, and of the table that describes a resource.

SPEC := TYPE ["?"] (":" MODIFIER)* ["=" DEFAULT]
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from scaffold.language.description import (
    NUMBERS,
    ORDERED,
    TEXTS,
    FieldDescription,
    Generated,
    ResourceDescription,
    Type,
    Value,
)
from scaffold.language.naming import check_field_name, read_former_name
from scaffold.language.options import check_part, parse_options
from scaffold.language.patterns import read_pattern
from scaffold.language.scanner import Scanner, listed
from scaffold.language.types import (
    MOST_ENTRIES,
    SCALARS,
    TYPES,
    WIDEST,
    parse_type,
    read_arguments,
    read_numbers,
)
from scaffold.language.values import read_default, read_value

_OF_MANY = ("many", "items")
_TAKING = {
    "unique": (*SCALARS, "ref"),
    "lookup": TEXTS,
    "index": (*SCALARS, "ref"),
    "fixed": TYPES,
    "secret": TEXTS,
    "search": TEXTS,
    "positive": NUMBERS,
    "min": ORDERED,
    "max": ORDERED,
    "length": (*TEXTS, *_OF_MANY),
    "pattern": TEXTS,
    "was": TYPES,
}
"""The types that each modifier is for."""
MODIFIERS = tuple(_TAKING)


def parse_block(
    block: Mapping[str, object], name: str = "", owner: str = ""
) -> ResourceDescription:
    """Return the description of a table of TOML: specs by their fields' names, and options.

    Args:
        block: without the tables of parts.
        name: of the resource, or of the part.
        owner: the resource of a part, else empty.
    """
    specs = {key: value for key, value in block.items() if not key.startswith("_")}
    for key, spec in specs.items():
        if not isinstance(spec, str):
            allowed = f'A text in quotes, as in {key} = "decimal(10,2):min(0)"'
            Scanner(key).refuse(f"{key!r} is not described by a text", allowed, 0)
    options = {key: value for key, value in block.items() if key.startswith("_")}
    has_active = options.get("_active") is not False and not owner
    texts = [f"{key}:{spec}" for key, spec in specs.items()]
    fields = parse_fields(texts, has_active=has_active)
    description = replace(fields, name=name, has_active=has_active)
    if owner:
        check_part(description, owner, options, texts)
    return parse_options(description, options)


def parse_fields(texts: Iterable[str], *, has_active: bool = True) -> ResourceDescription:
    """Return the description of a resource's fields; raises DescriptionError."""
    fields = dict[str, FieldDescription]()
    owners = dict[str, str]()
    for text in texts:
        field, scanner = parse_field(text, has_active=has_active), Scanner(text)
        if field.name in fields:
            scanner.refuse(
                f"{field.name!r} is described twice", "Each field has a name of its own.", 0
            )
        for name in field.names:
            if owners.setdefault(name, field.name) != field.name:
                scanner.refuse(
                    f"{name!r} would be of {owners[name]} and of {field.name}",
                    "Choose another name for one of them.",
                    0,
                )
        fields[field.name] = field
    return ResourceDescription(tuple(fields.values()))


def parse_field(text: str, *, has_active: bool = True) -> FieldDescription:
    """Return the description of one field; raises DescriptionError."""
    scanner = Scanner(text)
    name = scanner.word()
    check_field_name(scanner, name, 0, has_active=has_active)
    scanner.expect(":", "A field is NAME:TYPE, as in 'price:decimal(10,2):min(0)'")
    start = scanner.position
    kind = parse_type(scanner)
    if kind.name in _OF_MANY and scanner.rest.startswith("?"):
        scanner.refuse(f"{kind.name} is never null", "Leave out the ?: left out is [].")
    field = FieldDescription(name=name, type=kind, optional=scanner.take("?"))
    if kind.on_delete == "set_null" and not field.optional:
        scanner.refuse("set_null wants a field that may be null", f"{kind}?", start)
    given = set[str]()
    while scanner.take(":"):
        start = scanner.position
        field = _parse_modifier(scanner, field, given)
        if problem := field.contradiction:
            scanner.refuse(problem, "Change this, or what stands before it.", start)
    # What is unique has an index already, and so has a reference.
    has_index = field.unique or kind.name == "ref"
    field = replace(field, index=field.index and not has_index)
    start = scanner.position
    if scanner.take("="):
        if field.secret or kind.name not in SCALARS:
            word = "secret" if field.secret else kind.name
            scanner.refuse(f"{word} has no default", "Leave it out.", start)
        try:
            field = replace(field, default=read_default(scanner.rest, kind))
        except ValueError as error:
            scanner.refuse(f"{scanner.rest!r} is no default of {kind}", str(error), start + 1)
        if not isinstance(field.default, Generated) and not field.allows(field.default):
            reason = "The default is refused by the field's own rules"
            scanner.refuse(reason, "A value that they allow.", start + 1)
    elif scanner.rest:
        scanner.refuse(
            f"{scanner.rest[0]!r} is not expected",
            "After a type: ? for what may be null, :MODIFIER, and =DEFAULT at the end.",
        )
    return field


def _parse_modifier(scanner: Scanner, field: FieldDescription, given: set[str]) -> FieldDescription:
    start = scanner.position
    word, kind = scanner.word(), field.type
    possible = [each for each in MODIFIERS if kind.name in _TAKING[each]]
    if word not in MODIFIERS:
        scanner.refuse_word(word, "modifier", possible, start)
    if word not in possible:
        scanner.refuse(f"{word} is not for {kind}", f"Allowed here: {listed(possible)}", start)
    if word in given:
        scanner.refuse(f"{word} is there twice", f"Allowed here: {listed(possible)}", start)
    given.add(word)
    change: dict[str, Any]
    match word:
        case "lookup" if field.name in ("active", "page"):
            route = f"Every list has a route /{field.name}: choose another name."
            scanner.refuse(f"A lookup cannot be named {field.name}", route, 0)
        case "lookup":
            change = {"lookup": True, "unique": True}
        case "min" | "max":
            change = {"least" if word == "min" else "greatest": _bound(scanner, kind)}
        case "length":
            change = _lengths(scanner, kind)
        case "pattern":
            change = {"pattern": read_pattern(scanner)}
        case "was":
            change = {"was": read_former_name(scanner, field.name)}
        case _:
            change = {word: True}
    return replace(field, **change)


def _bound(scanner: Scanner, kind: Type) -> Value:
    start = scanner.position
    arguments = read_arguments(scanner)
    text, place = arguments[0] if arguments else ("", start)
    if len(arguments) > 1:
        scanner.refuse(f"Not {len(arguments)} values here", "One value, as in min(0)", start)
    try:
        return read_value(text, kind)
    except ValueError as error:
        scanner.refuse(f"{text!r} is no value of {kind}", str(error), place)


def _lengths(scanner: Scanner, kind: Type) -> dict[str, int]:
    start = scanner.position
    is_range = "," in scanner.rest.partition(")")[0]
    if kind.name in _OF_MANY:
        form = "length(least) or length(least,greatest), a number of entries"
        ranges = [(0 if is_range else 1, MOST_ENTRIES), (1, MOST_ENTRIES)]
    else:
        form = "length(least) or length(least,greatest), in characters"
        # The shortest address and the shortest URL are `a@b` and `http://a`.
        shortest = {"email": 3, "url": 8}.get(kind.name, 1)
        greatest = {"str": kind.width, "email": 320}.get(kind.name, WIDEST)
        ranges = [(1, greatest), (shortest, greatest)]
    numbers = read_numbers(scanner, form, ranges[: 1 + is_range])
    if not numbers or numbers != sorted(numbers):
        scanner.refuse("These are no lengths", form, start)
    return dict(zip(("shortest", "longest"), numbers, strict=False))
