"""Examples of values, made from their schemas."""

import re
from collections.abc import Callable, Iterable, Mapping
from math import inf
from typing import Any

from pydantic_core import SchemaError, SchemaValidator
from pydantic_core.core_schema import str_schema

from quart_fleet.openapi._schemas import REFERENCE, Schema

_FORMATS = {
    "date-time": "2026-11-23T09:24:02Z",
    "http-date": "Mon, 23 Nov 2026 09:24:02 GMT",
    "date": "2026-11-23",
    "time-local": "09:24:02",
    "duration": "PT1H30M",
    "email": "ada@example.com",
    "uri": "https://example.com",
    "uuid": "0b1c3a52-6f1d-4c0e-9d9e-2f6f0c3b7a10",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
}
_NAMES = {"username": "ada", "first_name": "Ada", "last_name": "Lovelace"}
_NUMBERS = ("9.90", "9.9", "9", "0.9", "0")
"""Decimals of fewer and fewer digits."""


class NoExampleError(Exception):
    """A value cannot be made from its schema, as of a pattern of the owner's."""


def example_of(schema: Schema, components: Mapping[str, Schema], name: str = "") -> Any:  # noqa: PLR0911 - one for each kind
    """Return a value that a schema takes; raises NoExampleError.

    Args:
        schema: of the value.
        components: the schemas that it may refer to, by name.
        name: the property's, after which a text is named.
    """
    if "$ref" in schema:
        target = schema["$ref"].removeprefix(REFERENCE)
        return example_of(components[target], components, name)
    known = [schema[key][0] for key in ("examples", "enum") if schema.get(key)]
    known += [schema[key] for key in ("const", "default") if key in schema]
    if known:
        return known[0]
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return first_of(schema[key], components, name)
    kind = schema.get("type", "object")
    match kind[0] if isinstance(kind, list) else kind:
        case "object":
            return object_of(schema, components)
        case "array":
            return array_of(schema, components, name)
        case "string":
            return text_of(schema, name)
        case "integer" | "number":
            return number_of(schema)
    return True if kind == "boolean" else None


def first_of(choices: Iterable[Schema], components: Mapping[str, Schema], name: str) -> Any:
    """Return an example of the first choice that has one; null is the last."""
    reasons = []
    for choice in sorted(choices, key=lambda each: each.get("type") == "null"):
        try:
            return example_of(choice, components, name)
        except NoExampleError as error:
            reasons.append(error)
    raise reasons[0]


def object_of(schema: Schema, components: Mapping[str, Schema]) -> dict[str, Any]:
    found = {}
    for name, each in schema.get("properties", {}).items():
        try:
            found[name] = example_of(each, components, name)
        except NoExampleError:
            if name in schema.get("required", ()):
                raise
    return found


def array_of(schema: Schema, components: Mapping[str, Schema], name: str) -> list[Any]:
    count = min(max(schema.get("minItems", 1), 1), schema.get("maxItems", 1000))
    if schema.get("uniqueItems"):
        return list(range(1, count + 1))
    return [example_of(schema.get("items", {}), components, name)] * count


def text_of(schema: Schema, name: str) -> str:
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    words = name.replace("_", " ").capitalize() or "Text"
    named = _FORMATS["email"] if "email" in name else _NAMES.get(name, words)
    choices = (
        _FORMATS.get(schema.get("format", ""), named),
        *_NUMBERS,
        "A",
        "a",
        "abc",
        "ABC",
        "ada",
    )
    fitted = [text.ljust(least, "a")[:most] for text in choices]
    if "pattern" in schema:
        matches = matcher_of(schema["pattern"])
        fitted = [text for text in fitted if matches(text)]
    if not fitted:
        raise NoExampleError(name)
    return fitted[0]


def matcher_of(pattern: str) -> Callable[[str], object]:
    """Return what tells whether a pattern is found in a text; raises NoExampleError.

    Those of DTOs are Rust's, as pydantic has them; those that the document adds look ahead, as
    ECMAScript's and Python's do.
    """
    try:
        return SchemaValidator(str_schema(pattern=pattern)).isinstance_python
    except SchemaError:
        try:
            return re.compile(pattern).search
        except re.error as error:
            raise NoExampleError(pattern) from error


def number_of(schema: Schema) -> int | float:
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    least = max(schema.get("minimum", -inf), -inf if above is None else above + 1)
    most = min(schema.get("maximum", inf), inf if below is None else below - 1)
    value: int | float = min(max(1, least), most)
    if above is not None and value <= above:  # between them, as of a number above 0 and at most 0.5
        value = (above + (below if below is not None else most)) / 2
    return int(value) if value == int(value) else value
