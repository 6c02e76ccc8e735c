"""The grammar of a field, `NAME:SPEC`, and what may name one.

SPEC := TYPE ["?"] (":" MODIFIER)* ["=" DEFAULT]
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from scaffold.language.description import (
    FieldDescription,
    Generated,
    ResourceDescription,
    Type,
    Value,
)
from scaffold.language.naming import check_name
from scaffold.language.options import parse_options
from scaffold.language.scanner import Scanner, listed
from scaffold.language.values import NUMBERS, ORDERED, TEXTS, read_default, read_value

TYPES = (
    *("str", "text", "int", "bigint", "float", "decimal", "bool", "date", "time", "datetime"),
    *("duration", "uuid", "email", "url", "enum"),
)
MODIFIERS = ("unique", "lookup", "index", "fixed", "positive", "min", "max", "length")
LATER_TYPES = ("json", "ref", "many", "items")
LATER_MODIFIERS = ("secret", "search", "pattern", "was")
"""Of the language, and not generated yet."""

LONGEST_WORD = 63
"""Characters of an enum's word."""
WIDEST, MOST_DIGITS = 10_485_760, 1000
"""PostgreSQL's limits of varchar(n) and numeric(p,s)."""

_ARGUMENT = re.compile(r"[^,()]*")
_ENUM_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_TAKING = {"min": ORDERED, "max": ORDERED, "positive": NUMBERS, "length": TEXTS, "lookup": TEXTS}
"""Types that a modifier is for, where it is not for all."""


def parse_fields(texts: Iterable[str]) -> ResourceDescription:
    """Return the description of a resource's fields; raises MisuseError."""
    fields = dict[str, FieldDescription]()
    for text in texts:
        field, scanner = parse_field(text), Scanner(text)
        if field.name in fields:
            scanner.refuse(
                f"{field.name!r} is described twice", "Each field has a name of its own.", 0
            )
        fields[field.name] = field
    for name, field in fields.items():
        for parameter in (f"{name}_min", f"{name}_max"):
            if parameter in fields and field.type.name in ORDERED:
                Scanner(str(fields[parameter])).refuse(
                    f"{parameter!r} is the parameter of {name}'s range",
                    "Choose another name for one of them.",
                    0,
                )
    return ResourceDescription(tuple(fields.values()))


def parse_block(block: Mapping[str, object]) -> ResourceDescription:
    """Return the description of a table of TOML: specs by their fields' names, and options."""
    specs = {name: value for name, value in block.items() if not name.startswith("_")}
    description = parse_fields(f"{name}:{spec}" for name, spec in specs.items())
    options = {name: value for name, value in block.items() if name.startswith("_")}
    return parse_options(description, options)


def parse_field(text: str) -> FieldDescription:
    """Return the description of one field; raises MisuseError."""
    scanner = Scanner(text)
    name = scanner.word()
    check_name(scanner, name)
    scanner.expect(":", "A field is NAME:TYPE, as in 'price:decimal(10,2):min(0)'")
    kind = _parse_type(scanner)
    field = FieldDescription(name=name, type=kind, optional=scanner.take("?"))
    given = set[str]()
    while scanner.take(":"):
        start = scanner.position
        field = _parse_modifier(scanner, field, given)
        if problem := field.contradiction:
            scanner.refuse(problem, "Change this, or what stands before it.", start)
    # What is unique has an index already.
    field = replace(field, index=field.index and not field.unique)
    start = scanner.position + 1
    if scanner.take("="):
        try:
            field = replace(field, default=read_default(scanner.rest, kind))
        except ValueError as error:
            scanner.refuse(f"{scanner.rest!r} is no default of {kind}", str(error), start)
        if not isinstance(field.default, Generated) and not field.allows(field.default):
            reason = "The default is refused by the field's own rules"
            scanner.refuse(reason, "A value that they allow.", start)
    elif scanner.rest:
        scanner.refuse(
            f"{scanner.rest[0]!r} is not expected",
            "After a type: ? for what may be null, :MODIFIER, and =DEFAULT at the end.",
        )
    return field


def _parse_type(scanner: Scanner) -> Type:
    start = scanner.position
    name = scanner.word()
    if name in LATER_TYPES:
        scanner.refuse(f"The type {name} is not generated yet", f"Types: {listed(TYPES)}", start)
    if name not in TYPES:
        scanner.refuse_word(name, "type", TYPES, start)
    match name:
        case "str":
            [width] = _numbers(scanner, "str(n), n characters", [(1, WIDEST)]) or [255]
            return Type(name, width=width)
        case "decimal":
            precision, scale = _numbers(
                scanner,
                "decimal(p,s), p digits of which s are decimal places",
                [(1, MOST_DIGITS), (0, MOST_DIGITS)],
            ) or [12, 2]
            if scale > precision:
                scanner.refuse(f"{scale} of {precision} digits are too many", "decimal(p,s)", start)
            return Type(name, precision=precision, scale=scale)
        case "enum":
            return Type(name, words=_parse_words(scanner))
    if scanner.rest.startswith("("):
        scanner.refuse(f"{name} takes nothing in parentheses", "str(n), decimal(p,s), enum(a, b)")
    return Type(name)


def _arguments(scanner: Scanner) -> list[tuple[str, int]]:
    """Read `(a, b)`: each text with its place; nothing where no parenthesis comes."""
    found = list[tuple[str, int]]()
    if scanner.take("("):
        while True:
            scanner.skip_blanks()
            start = scanner.position
            found.append((scanner.until(_ARGUMENT).rstrip(), start))
            if not scanner.take(","):
                break
        scanner.expect(")", "Parentheses are closed, and hold words between commas.")
    return found


def _numbers(scanner: Scanner, form: str, ranges: list[tuple[int, int]]) -> list[int]:
    """Read as many whole numbers as there are ranges, or none at all."""
    start = scanner.position
    arguments = _arguments(scanner)
    if arguments and len(arguments) != len(ranges):
        scanner.refuse(f"Not {len(arguments)} numbers here", form, start)
    for (text, place), (least, greatest) in zip(arguments, ranges, strict=False):
        if not re.fullmatch("[0-9]{1,9}", text) or not least <= int(text) <= greatest:
            scanner.refuse(f"{text!r} is not from {least} to {greatest}", form, place)
    return [int(text) for text, _ in arguments]


def _parse_words(scanner: Scanner) -> tuple[str, ...]:
    start = scanner.position
    arguments = _arguments(scanner)
    form = "enum(draft, live): words of letters, digits, - and _"
    if not arguments:
        scanner.refuse("An enum names its words", form, start)
    constants = set[str]()
    for word, place in arguments:
        if not _ENUM_WORD.fullmatch(word) or len(word) > LONGEST_WORD:
            scanner.refuse(f"{word!r} is no word of an enum", form, place)
        constant = word.upper().replace("-", "_")
        if constant in constants:
            scanner.refuse(f"{word!r} is there twice", form, place)
        constants.add(constant)
    return tuple(word for word, _ in arguments)


def _parse_modifier(scanner: Scanner, field: FieldDescription, given: set[str]) -> FieldDescription:
    start = scanner.position
    word, kind = scanner.word(), field.type
    possible = [each for each in MODIFIERS if kind.name in _TAKING.get(each, (kind.name,))]
    if word in LATER_MODIFIERS:
        scanner.refuse(
            f"The modifier {word} is not generated yet", f"Allowed here: {listed(possible)}", start
        )
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
        case "min":
            change = {"least": _bound(scanner, kind)}
        case "max":
            change = {"greatest": _bound(scanner, kind)}
        case "length":
            change = _lengths(scanner, kind)
        case _:
            change = {word: True}
    return replace(field, **change)


def _bound(scanner: Scanner, kind: Type) -> Value:
    start = scanner.position
    arguments = _arguments(scanner)
    text, place = arguments[0] if arguments else ("", start)
    if len(arguments) > 1:
        scanner.refuse(f"Not {len(arguments)} values here", "One value, as in min(0)", start)
    try:
        return read_value(text, kind)
    except ValueError as error:
        scanner.refuse(f"{text!r} is no value of {kind}", str(error), place)


def _lengths(scanner: Scanner, kind: Type) -> dict[str, int]:
    start = scanner.position
    # The shortest address and the shortest URL are `a@b` and `http://a`.
    shortest = {"email": 3, "url": 8}.get(kind.name, 1)
    greatest = {"str": kind.width, "email": 320}.get(kind.name, WIDEST)
    count = scanner.rest.partition(")")[0].count(",") + 1
    form = "length(least) or length(least,greatest), in characters"
    numbers = _numbers(scanner, form, [(1, greatest), (shortest, greatest)][: max(count, 1)])
    if not numbers or numbers != sorted(numbers):
        scanner.refuse("These are no lengths", form, start)
    return dict(zip(("shortest", "longest"), numbers, strict=False))
