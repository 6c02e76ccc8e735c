"""Values in a description: defaults and bounds, read by the type of their field."""

import json
import re
import tomllib
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from uuid import UUID

from quart_fleet.times import read_duration
from scaffold.language.description import TEXTS, Generated, Type, Value

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+", re.ASCII)
_URL = re.compile(r"https?://[^\s/]+\S*", re.ASCII)
_BITS = {"int": 31, "bigint": 63, "ref": 63}
_TIME = r"\d\d:\d\d:\d\d(\.\d{1,6})?"


def read_value(text: str, of: Type) -> Value:
    """Return the value; raises ValueError, which says what is allowed."""
    if of.name in TEXTS:
        return _read_text(text, of)
    if of.name == "enum":
        if text not in of.words:
            raise ValueError(f"One of its words: {', '.join(of.words)}")
        return text
    form, example, read = _READERS[of.name]
    try:
        if re.fullmatch(form, text, re.ASCII):
            value = read(text)
            if _fits(value, of):
                return value
    except (ValueError, OverflowError):  # the 30th of February
        pass
    raise ValueError(example.format(of=of))


def read_default(text: str, of: Type) -> Value:
    """Return what `=text` means; raises ValueError."""
    if (of.name, text) in (("datetime", "now"), ("uuid", "random")):
        return Generated(text)
    return read_value(text, of)


def _read_text(text: str, of: Type) -> str:
    if text.startswith('"'):
        try:
            value = str(tomllib.loads(f"x = {text}")["x"]) if _QUOTED.fullmatch(text) else None
        except tomllib.TOMLDecodeError:
            value = None
        if value is None:
            raise ValueError(
                'A text in quotes ends with one and has TOML\'s escapes, as in "a\\"b"'
            )
    else:
        value = text
        if text != text.strip() or text in ("", "now", "null", "random"):
            raise ValueError('Such a text is written in quotes, as in ="now"')
    if re.search("[\x00\ud800-\udfff]", value):
        raise ValueError("Unicode text without the NUL character")
    if of.name == "str" and len(value) > of.width:
        raise ValueError(f"At most {of.width} characters")
    if of.name == "email" and not _EMAIL.fullmatch(value):
        raise ValueError("An email address, like ada@example.com")
    if of.name == "url" and not _URL.fullmatch(value):
        raise ValueError("A URL, like https://example.com")
    return value


def _fits(value: Value, of: Type) -> bool:
    """Whether the column holds a number."""
    match value:
        case bool():
            return True
        case int():
            limit: int = 2 ** _BITS[of.name]
            return -limit <= value < limit
        case Decimal():
            places = -int(value.as_tuple().exponent)
            return places <= of.scale and abs(value) < Decimal(f"1e{of.precision - of.scale}")
        case float():
            return abs(value) != float("inf")
    return True


def _read_json(text: str) -> str:
    """Return JSON as PostgreSQL reads it."""
    value = json.loads(text)
    if value is None or "\\u0000" in text:
        raise ValueError
    return json.dumps(value, ensure_ascii=False)


_READERS: dict[str, tuple[str, str, Callable[[str], Value]]] = {
    "int": (r"-?\d+", "A whole number of 32 bits, like 0", int),
    "bigint": (r"-?\d+", "A whole number of 64 bits, like 0", int),
    "ref": (r"-?\d+", "An id, like 1", int),
    "float": (r"-?\d+(\.\d+)?([eE][+-]?\d+)?", "A number, like 0.5", float),
    "decimal": (
        r"-?\d+(\.\d+)?",
        "A number of at most {of.precision} digits, {of.scale} of them decimal places",
        Decimal,
    ),
    "bool": (r"true|false", "true or false", lambda text: text == "true"),
    "date": (r"\d{4}-\d\d-\d\d", "A date, like 2026-11-23", date.fromisoformat),
    "time": (_TIME, "A time, like 09:24:02", time.fromisoformat),
    "datetime": (
        rf"\d{{4}}-\d\d-\d\d[Tt ]{_TIME}([Zz]|[+-]\d\d:\d\d)",
        "A date and time with its offset, like 2026-11-23T09:24:02Z, or now",
        lambda text: datetime.fromisoformat(text.upper()).astimezone(UTC),
    ),
    "duration": (
        r"-?P.*",
        "A duration of days, hours, minutes and seconds, like P1DT1H30M",
        read_duration,
    ),
    "json": (r".+", "JSON, but for null, like []", _read_json),
    "uuid": (
        r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
        "A UUID, or random",
        lambda text: str(UUID(text)),
    ),
}
"""By type: the form of a value, what a message says of it, and how it is read."""
