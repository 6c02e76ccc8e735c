"""Values that generated tests use: two of each field, which its rules allow and which differ."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from itertools import chain, islice, product
from itertools import count as count_from
from math import inf, nextafter
from random import Random
from string import ascii_lowercase, digits
from typing import Any
from uuid import UUID

from scaffold.generation.pattern_samples import texts_of
from scaffold.language.description import FieldDescription, Value, spell
from scaffold.language.scanner import Scanner
from scaffold.language.values import read_value

_BY_NAME: dict[str, tuple[Value, Value]] = {
    "username": ("ada", "grace"),
    "email": ("ada@example.com", "grace@example.com"),
    "first_name": ("Ada", "Grace"),
    "last_name": ("Lovelace", "Hopper"),
    "age": (36, 85),
    "name": ("First", "Second"),
    "description": ("The first of its kind", "Another one"),
}
_BY_TYPE: dict[str, tuple[Any, Any]] = {
    "int": (3, 7),
    "bigint": (3, 7),
    "float": (1.5, 2.5),
    "decimal": (Decimal("12.5"), Decimal("7.25")),
    "date": (date(2026, 11, 23), date(2027, 1, 31)),
    "time": (time(9, 24, 2), time(17, 30)),
    "datetime": (
        datetime(2026, 11, 23, 9, 24, 2, tzinfo=UTC),
        datetime(2027, 1, 31, 17, 30, tzinfo=UTC),
    ),
    "duration": (timedelta(hours=1, minutes=30), timedelta(days=2)),
    "bool": (True, False),
    "uuid": ("0b0f8a52-6f5c-4d3e-9a57-0c1d2e3f4a5b", "c3d4e5f6-7a8b-4c9d-8e0f-1a2b3c4d5e6f"),
    "email": ("ada@example.com", "grace@example.com"),
    "url": ("https://example.com/first", "https://example.com/second"),
    "json": ({"sizes": [1, 2.5], "note": None}, ["a", {"b": True}]),
    "ref": (1, 2),
}
_ORDERS = 100
"""In how many orders combinations of values are tried."""
_COMBINATIONS = 5000
_PARTS = 100
"""In which the room between two floats is divided, where there is none around them."""
_SHORT = {"email": ("a@b", "g@b"), "url": ("http://a", "http://b")}


def samples_of(field: FieldDescription) -> tuple[Value, Value]:
    """Return two values, equal only where no other is possible, or found by a pattern.

    Raises DescriptionError where a pattern is too hard to find what it needs.
    """
    return _samples_of(field) if field.pattern is None else _matching(field)


def _samples_of(field: FieldDescription) -> tuple[Value, Value]:
    kind = field.type
    if kind.name == "enum":
        return kind.words[0], kind.words[-1]
    named = _BY_NAME.get(field.name)
    if kind.name in ("str", "text"):
        label = field.name.replace("_", " ")
        texts = named or (f"First {label}", f"Second {label}")
        first, second = map(
            str, texts if all(isinstance(one, str) for one in texts) else _BY_NAME["name"]
        )
        return _fitted(field, first), _fitted(field, second)
    if kind.name in _SHORT:
        fitting = [
            pair
            for pair in (_BY_TYPE[kind.name], _SHORT[kind.name])
            if field.longest is None or max(map(len, pair)) <= field.longest
        ]
        first, second = fitting[0]
        return _lengthened(field, first), _lengthened(field, second)
    if kind.name in ("bool", "uuid", "json", "ref"):
        first, second = _BY_TYPE[kind.name]
        return first, second
    is_named = named is not None and kind.name == "int" and isinstance(named[0], int)
    return _in_range(field, named if named and is_named else _BY_TYPE[kind.name])


def entries_of(field: FieldDescription) -> int:
    """Return how many entries a many or items has in tests: two, unless its length says otherwise."""
    least = max(field.shortest or 0, 2)
    return least if field.longest is None else min(least, field.longest)


def distinct_rows(
    values: Mapping[str, Sequence[Any]],
    uniques: Sequence[Sequence[str]],
    count: int,
    known: Sequence[Mapping[str, Any]] = (),
) -> list[dict[str, Any]]:
    """Return rows, the values of which are together in one of them only: `count`, or as many as are found.

    Args:
        values: those that each field may have, by its name.
        uniques: fields that are unique together; null is equal to nothing.
        count: with those that are known.
        known: rows that are there before.
    """
    in_turn = [
        {name: found[number % len(found)] for name, found in values.items()}
        for number in range(len(known), count)
    ]
    if are_distinct([*known, *in_turn], uniques):
        return in_turn
    names = list(dict.fromkeys(name for names in uniques for name in names if name in values))
    combined = [
        dict(zip(names, each, strict=True))
        for each in islice(product(*(values[name] for name in names)), _COMBINATIONS)
    ]
    best = list[dict[str, Any]]()
    random = Random(0)  # noqa: S311 - the same for each run
    for _ in range(_ORDERS):
        found = [dict(each) for each in known]
        for each in combined:
            if len(found) < count and are_distinct([*found, each], uniques):
                found.append(each)
        best = max(best, found[len(known) :], key=len)
        if len(found) == count:
            break
        random.shuffle(combined)
    return [in_turn[number] | each for number, each in enumerate(best)]


def are_distinct(rows: Sequence[Mapping[str, Any]], uniques: Sequence[Sequence[str]]) -> bool:
    """Whether no two rows have the same values of fields that are unique together."""
    for names in uniques:
        keys = [
            repr([row[name] for name in names])
            for row in rows
            if None not in [row[name] for name in names]
        ]
        if len({*keys}) < len(keys):
            return False
    return True


def distinct_samples(field: FieldDescription, count: int) -> list[Value]:
    """Return the two values, and others that the rules allow: `count`, or as many as there are."""
    first, second = samples_of(field)
    found = [first] if first == second else [first, second]
    for each in chain(_others(field, found), _matching_texts(field)):
        if len(found) >= count:
            break
        if field.allows(each) and each not in found:
            found.append(each)
    return found[:count]


def _matching_texts(field: FieldDescription) -> Iterator[str]:
    """Yield texts that a field's pattern makes, and all its rules allow."""
    lengths = (field.shortest or 3, field.longest or field.shortest or 5)
    for text in () if field.pattern is None else texts_of(field.pattern, lengths):
        if _is_text(field, text):
            yield text


def _others(field: FieldDescription, known: Sequence[Any]) -> Iterator[Any]:
    """Yield values of the type, some of which are known, or refused by a rule."""
    last: Any = known[-1]
    match field.type.name:
        case "bool":
            return
        case "json" | "ref":
            yield from count_from(3)
        case "enum":
            yield from field.type.words
        case "uuid":
            yield from (str(UUID(int=UUID(last).int + number)) for number in count_from(1))
        case "email":
            longest = last.index("@")
            yield from (
                f"{each}{last[len(each) :]}"
                for each in _words()
                if each.isascii() and len(each) <= longest
            )
        case _ if isinstance(last, str):
            yield from (
                f"{last[: -len(each)]}{each}" for each in _words() if len(each) <= len(last)
            )
        case _:
            for start, direction in ((max(known), 1), (min(known), -1)):
                value = _moved(field, start, direction)
                while value is not None and _is_in_range(field, value):
                    yield value
                    value = _moved(field, value, direction)
            if field.type.name == "float":
                width = max(known) - min(known)
                yield from (min(known) + width / number for number in range(2, _PARTS))


def _words() -> Iterator[str]:
    """Yield words of one letter, and of two."""
    letters = ascii_lowercase + digits
    yield from letters
    yield from map("".join, product(letters, repeat=2))
    yield from map(chr, range(0x4E00, 0xA000))  # of one letter too, as a field may be no longer


def just_outside(field: FieldDescription, bound: Any, *, below: bool) -> Value | None:
    """Return the nearest value on the wrong side of a bound; None where there is none."""
    value: Value | None = _moved(field, bound, -1 if below else 1)
    return value


def just_unlike(field: FieldDescription) -> str | None:
    """Return a text that breaks the pattern of its field and no other rule; None where none is found."""
    others = replace(field, pattern=None)
    lengths = {field.shortest or 0, field.longest or 0, 1}
    texts = [letter * length for length in sorted(lengths) for letter in "?x0"]
    texts += map(str, _samples_of(others))
    return next((one for one in texts if others.allows(one) and not field.allows(one)), None)


@cache
def _matching(field: FieldDescription) -> tuple[Value, Value]:
    """Return two texts that match a pattern: the usual samples, the default, or what it makes."""
    usual = (
        text
        for text in (*_samples_of(field), field.default)
        if isinstance(text, str) and _is_text(field, text)
    )
    found = list(islice(dict.fromkeys(chain(usual, _matching_texts(field))), 2))
    if not found or (field.unique and len(found) == 1):
        scanner = Scanner(str(field))
        scanner.refuse(
            f"{'No text' if not found else 'Only one text'} for the generated tests was found that matches",
            "Write the pattern more simply, or give a text that matches as the default.",
            scanner.text.index(":pattern") + 1,
        )
    return found[0], found[:2][-1]


def _is_text(field: FieldDescription, text: str) -> bool:
    """Whether a text is a value of its field's type, and kept by all rules."""
    try:
        return read_value(spell(text), field.type) == text and field.allows(text)
    except ValueError:
        return False


def _fitted(field: FieldDescription, text: str) -> str:
    """Cut and lengthen a text to what its field allows."""
    limits = [limit for limit in (field.type.width, field.longest) if limit]
    return text[: min(limits, default=None)].rstrip().ljust(field.shortest or 0, ".")


def _lengthened(field: FieldDescription, address: str) -> str:
    """Make an address as long as its field demands; it may begin and end with any letter."""
    missing = "x" * ((field.shortest or 0) - len(address))
    return f"{missing}{address}" if field.type.name == "email" else f"{address}{missing}"


def _in_range(field: FieldDescription, pair: tuple[Any, Any]) -> tuple[Value, Value]:
    """Return the pair if its field allows it, else two values at a bound."""
    lowest, highest = _limits(field)
    if field.type.name == "decimal":
        pair = (round(pair[0], field.type.scale), round(pair[1], field.type.scale))

    if all(_is_in_range(field, each) for each in pair) and pair[0] != pair[1]:
        return pair
    from_below = field.least is not None or field.positive
    first = lowest if from_below else highest
    second = _moved(field, first, 1 if from_below else -1)
    if second is None or not _is_in_range(field, second):
        second = highest if from_below and highest is not None else first
    return first, second


def _is_in_range(field: FieldDescription, value: Any) -> bool:
    lowest, highest = _limits(field)
    return (lowest is None or value >= lowest) and (highest is None or value <= highest)


def _limits(field: FieldDescription) -> tuple[Any, Any]:
    """Return the least and the greatest value that rules and type allow, where there are any."""
    kind = field.type
    lowest: Any = field.least
    highest: Any = field.greatest
    if kind.name == "decimal":
        widest = Decimal(10 ** (kind.precision - kind.scale)) - Decimal(1).scaleb(-kind.scale)
        lowest = -widest if lowest is None else lowest
        highest = widest if highest is None else highest
    if field.positive and (lowest is None or lowest <= 0):
        lowest = _moved(field, type(highest if highest is not None else 0)(0), 1)
        if kind.name == "float":
            lowest = (highest or 2.0) / 2
    return lowest, highest


def _moved(field: FieldDescription, value: Any, direction: int) -> Any:
    """Return the next value up or down; None beyond the last one."""
    try:
        match value:
            case Decimal():
                return value + direction * Decimal(1).scaleb(-field.type.scale)
            case time():
                moment = datetime.combine(date(2026, 11, 23), value)
                moved = moment + direction * timedelta(microseconds=1)
                return moved.time() if moved.date() == moment.date() else None
            case datetime() | timedelta():
                return value + direction * timedelta(microseconds=1)
            case date():
                return value + direction * timedelta(days=1)
    except OverflowError:
        return None
    nearest = value + direction
    if nearest == value:  # a float so large that one more is nothing
        nearest = nextafter(value, direction * inf)
    return None if abs(nearest) == inf else nearest
