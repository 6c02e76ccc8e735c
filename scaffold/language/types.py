"""Types of the language: what stands between a field's name and its modifiers."""

import re

from scaffold.language.description import Type
from scaffold.language.scanner import Scanner

SCALARS = (
    *("str", "text", "int", "bigint", "float", "decimal", "bool", "date", "time", "datetime"),
    *("duration", "uuid", "email", "url", "enum"),
)
TYPES = (*SCALARS[:-1], "json", "enum", "ref", "many", "items")
ON_DELETE = ("restrict", "cascade", "set_null")

LONGEST_WORD = 63
"""Characters of an enum's word."""
WIDEST, MOST_DIGITS = 10_485_760, 1000
"""PostgreSQL's limits of varchar(n) and numeric(p,s)."""
MOST_ENTRIES = 1000
"""Of many and items."""

_ARGUMENT = re.compile(r"[^,()]*")
_ENUM_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_RESOURCE = re.compile(r"[a-z][a-z0-9_]*")
_SERVICE = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]*")


def parse_type(scanner: Scanner) -> Type:
    """Read a type with what it has in parentheses."""
    start = scanner.position
    name = scanner.word()
    if name not in TYPES:
        scanner.refuse_word(name, "type", TYPES, start)
    match name:
        case "str":
            [width] = read_numbers(scanner, "str(n), n characters", [(1, WIDEST)]) or [255]
            return Type(name, width=width)
        case "decimal":
            precision, scale = read_numbers(
                scanner,
                "decimal(p,s), p digits of which s are decimal places",
                [(1, MOST_DIGITS), (0, MOST_DIGITS)],
            ) or [12, 2]
            if scale > precision:
                scanner.refuse(f"{scale} of {precision} digits are too many", "decimal(p,s)", start)
            return Type(name, precision=precision, scale=scale)
        case "enum":
            return Type(name, words=_read_words(scanner))
        case "ref":
            return _read_reference(scanner)
        case "many" | "items":
            form = {"many": "many(tag), a resource", "items": "items(line), a part"}[name]
            arguments = read_arguments(scanner)
            if len(arguments) != 1 or not _RESOURCE.fullmatch(arguments[0][0]):
                scanner.refuse(f"{name} names one of this service", form, start)
            return Type(name, target=arguments[0][0])
    if scanner.rest.startswith("("):
        scanner.refuse(f"{name} takes nothing in parentheses", "str(n), decimal(p,s), enum(a, b)")
    return Type(name)


def read_arguments(scanner: Scanner) -> list[tuple[str, int]]:
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


def read_numbers(scanner: Scanner, form: str, ranges: list[tuple[int, int]]) -> list[int]:
    """Read as many whole numbers as there are ranges, or none at all."""
    start = scanner.position
    arguments = read_arguments(scanner)
    if arguments and len(arguments) != len(ranges):
        scanner.refuse(f"Not {len(arguments)} numbers here", form, start)
    for (text, place), (least, greatest) in zip(arguments, ranges, strict=False):
        if not re.fullmatch("[0-9]{1,9}", text) or not least <= int(text) <= greatest:
            scanner.refuse(f"{text!r} is not from {least} to {greatest}", form, place)
    return [int(text) for text, _ in arguments]


def _read_words(scanner: Scanner) -> tuple[str, ...]:
    start = scanner.position
    arguments = read_arguments(scanner)
    form = "enum(draft, live): words of letters, digits, - and _"
    if not arguments:
        scanner.refuse("An enum names its words", form, start)
    constants = dict[str, str]()
    for word, place in arguments:
        if not _ENUM_WORD.fullmatch(word) or len(word) > LONGEST_WORD:
            scanner.refuse(f"{word!r} is no word of an enum", form, place)
        constant = word.upper().replace("-", "_")
        if (first := constants.get(constant)) is not None:
            problem = f"{first!r} and {word!r} would both be {constant} in the code"
            scanner.refuse(problem if word != first else f"{word!r} is there twice", form, place)
        constants[constant] = word
    return tuple(word for word, _ in arguments)


def _read_reference(scanner: Scanner) -> Type:
    start = scanner.position
    arguments = read_arguments(scanner)
    form = (
        f"ref(category) or ref(category, {' or '.join(ON_DELETE)}) in one service, "
        "ref(user-service.user) or ref(user-service.user, fk) of another"
    )
    if len(arguments) not in (1, 2):
        scanner.refuse("A ref names a resource", form, start)
    (target, place), *rules = arguments
    service, dot, resource = target.rpartition(".")
    if not _RESOURCE.fullmatch(resource) or (dot and not _SERVICE.fullmatch(service)):
        scanner.refuse(f"{target!r} is no resource", form, place)
    for rule, rule_place in rules:
        possible = ("fk",) if service else ON_DELETE
        if rule not in possible:
            scanner.refuse_word(rule, f"rule of ref({target})", possible, rule_place)
    rule = rules[0][0] if rules else ""
    on_delete = "restrict" if rule == "fk" or not (rule or service) else rule
    return Type("ref", target=resource, service=service, on_delete=on_delete)
