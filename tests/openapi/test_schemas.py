"""Schemas are compared by the values that they take, whatever way they are written in."""

from typing import Any

import pytest

from scaffold.contracts.schemas import Schemas, takes_text

TREE = {"type": "object", "properties": {"below": {"$ref": "#/components/schemas/Tree"}}}
DEEP = {
    "type": "object",
    "properties": {"below": {"anyOf": [{"$ref": "#/components/schemas/Tree"}, {"type": "null"}]}},
}
LOOP = {"anyOf": [{"$ref": "#/components/schemas/Loop"}, {"type": "string"}]}
TEXT = {"type": "string"}
MAP = {"type": "object", "additionalProperties": TEXT}
NAMED = {"type": "object", "properties": {"name": TEXT}}

NARROWER: dict[str, tuple[Any, Any, str]] = {
    "all values": ({}, TEXT, "x may not be null, a boolean, a number, an array, an object now"),
    "no value": (TEXT, False, "x may not be a string now"),
    "the whole of two": (
        TEXT,
        {"allOf": [{**TEXT, "maxLength": 9}, {**TEXT, "maxLength": 5, "minLength": 1}]},
        "x has minLength 1 now|x has maxLength 5 now",
    ),
    "two that both bound a number": (
        {"allOf": [{"type": "number", "minimum": 1}, {"minimum": 2}]},
        {"allOf": [{"type": "integer", "minimum": 3}, {"type": "number", "minimum": 2}]},
        "x is an integer now, and was a number",
    ),
    "fields of two": (
        {"allOf": [NAMED, {"required": ["name"]}]},
        {"allOf": [{**NAMED, "required": ["name"]}, {"properties": {"name": {"minLength": 1}}}]},
        "x.name has minLength 1 now",
    ),
    "a position": (
        {"type": "array", "prefixItems": [TEXT, TEXT]},
        {"type": "array", "prefixItems": [TEXT, {"type": "integer"}]},
        "x[1] is an integer now, and was a string",
    ),
    "what follows the positions": (
        {"type": "array", "prefixItems": [TEXT], "items": TEXT},
        {"type": "array", "prefixItems": [TEXT], "items": False},
        "x[] may not be a string now",
    ),
    "the values of a map": (
        MAP,
        {**MAP, "additionalProperties": {**TEXT, "maxLength": 5}},
        "x.* has maxLength 5 now",
    ),
    "a field of a map": (
        MAP,
        {**MAP, "properties": {"name": {"type": "integer"}}},
        "x.name is an integer now, and was a string",
    ),
    "the names of a map": (
        MAP,
        {**MAP, "propertyNames": {"enum": ["a"]}},
        'x (propertyNames) may only be "a" now'
        "|x (propertyNames) may not be null, a boolean, a number, an array, an object now",
    ),
    "fields of a pattern": (
        {"type": "object", "patternProperties": {"^a": TEXT}},
        {"type": "object", "patternProperties": {"^a": {**TEXT, "minLength": 1}}},
        "x./^a/ has minLength 1 now",
    ),
    "a whole number above": (
        {"type": "integer", "minimum": 1},
        {"type": "integer", "exclusiveMinimum": 1},
        "x has the least value 2 now, and had 1",
    ),
    "a keyword without a rule": (NAMED, {**NAMED, "not": {"required": ["a"]}}, 'x has not {"req'),
    "a number among words": (
        {"enum": ["a", 1, None]},
        {"enum": ["a", True]},
        "x may not be an integer, null now",
    ),
    "a word that is too long": (
        {"enum": ["ab", "abc"]},
        {**TEXT, "maxLength": 2, "pattern": "^a"},
        'x may not be "abc" now',
    ),
    "a word of another pattern": ({"enum": ["ab", "ba"]}, {**TEXT, "pattern": "^a"}, '"ba" now'),
    "a number that is too great": (
        {"enum": [1, 9]},
        {"type": "number", "maximum": 5},
        "x may not be 9 now",
    ),
    "far below in a circle": (
        {"$ref": "#/components/schemas/Tree"},
        {**TREE, "properties": {"below": {"type": "string"}}},
        "x.below is a string now, and was an object",
    ),
    "keywords without a type": (TEXT, {"maxLength": 3}, "x has maxLength 3 now"),
    "a format of fewer numbers": (
        {"type": "integer", "format": "int64"},
        {"type": "integer", "format": "int32"},
        'x has format "int32" now, and had "int64"',
    ),
}

AS_WIDE: dict[str, tuple[Any, Any]] = {
    "everything": (TEXT, {}),
    "everything, by another word": (NAMED, True),
    "a circle": ({"$ref": "#/components/schemas/Tree"}, TREE),
    "a circle that may end": (TREE, DEEP),
    "a schema that is itself": (TEXT, {"$ref": "#/components/schemas/Loop"}),
    "a reference with more": ({"$ref": "#/components/schemas/Loop", "minLength": 1}, TEXT),
    "one word of a schema of words": (
        {"$ref": "#/components/schemas/Loop", "enum": ["a"]},
        {"enum": ["b", "a"]},
    ),
    "words in several schemas": ({"enum": ["a", "b"]}, {"oneOf": [{"const": "a"}, {"const": "b"}]}),
    "both words": (
        {"allOf": [{"enum": ["a", "b"]}, {"enum": ["b", "c"]}]},
        {"type": "string", "const": "b"},
    ),
    "types in a list": (
        {"type": ["null", "integer"]},
        {"anyOf": [{"type": "number"}, {"type": "null"}]},
    ),
    "no type of two": ({"allOf": [{"type": "string"}, {"type": "integer"}]}, {"type": "boolean"}),
    "both truths": ({"type": "boolean"}, {"enum": [True, False]}),
    "one of a whole number": ({"const": 1.0}, {"type": "integer"}),
    "positions": (
        {"type": "array", "prefixItems": [TEXT], "items": False},
        {"type": "array", "items": TEXT},
    ),
    "keywords of another type": (TEXT, {"minimum": 3, "minItems": 1, "required": ["a"]}),
    "a map of more": (MAP, {**MAP, "additionalProperties": {}}),
    "a name that is an annotation": (
        {"type": "object", "properties": {"title": TEXT}},
        {"type": "object", "properties": {"title": {**TEXT, "title": "Title"}}},
    ),
    "a whole number from": (
        {"type": "integer", "exclusiveMinimum": 0},
        {"type": "integer", "minimum": 1},
    ),
    "steps": ({"type": "number", "multipleOf": 0.5}, {"type": "number", "multipleOf": 0.25}),
    "a format of more numbers": (
        {"type": "integer", "format": "int32"},
        {"type": "integer", "format": "int64"},
    ),
    "what may be there twice": (
        {"type": "array", "uniqueItems": True},
        {"type": "array", "uniqueItems": False},
    ),
}


def compare(given: Any, taken: Any, *, is_request: bool = True) -> list[str]:
    """Return what is found, in documents that have the same schemas to refer to."""
    document = {"components": {"schemas": {"Tree": TREE, "Loop": LOOP}}}
    return [*Schemas(document, document, is_request).compare(given, taken, "x")]


@pytest.mark.parametrize("name", NARROWER)
def test_what_takes_fewer_values_is_found(name: str) -> None:
    given, taken, said = NARROWER[name]

    found = compare(given, taken)

    assert said in "|".join(found)
    assert len(found) == len(said.split("|"))


@pytest.mark.parametrize("name", AS_WIDE)
def test_what_takes_as_many_values_is_not_found(name: str) -> None:
    given, taken = AS_WIDE[name]

    assert compare(given, taken) == []
    assert compare(taken, taken) == compare(given, given) == []


def test_an_answer_has_more_fields_where_others_were_allowed() -> None:
    more = {**NAMED, "properties": {"name": TEXT, "age": {"type": "integer"}}}

    assert compare(more, NAMED, is_request=False) == []
    assert compare(more, MAP, is_request=False) == [
        "x.age is an integer now, and was a string",
        "x.* may be null, a boolean, a number, an array, an object now",
    ]
    assert compare(more, {**NAMED, "additionalProperties": False}, is_request=False) == []


@pytest.mark.parametrize(
    ("given", "taken", "is_taken"),
    [
        (r"^\d{1,8}(\.\d{1,2})?$", r"^-?\d{1,10}(\.\d{1,2})?$", True),
        (r"^\d{1,8}$", r"^\d{1,8}(\.\d{1,2})?$", True),
        (r"^0(\.\d{1,2})?$", r"^\d+(\.\d+)?$", True),
        (r"^-?\d{1,8}$", r"^\d{1,8}$", False),
        (r"^\d{1,8}(\.\d{1,3})?$", r"^\d{1,8}(\.\d{1,2})?$", False),
        (r"^\d{1,8}$", r"^\d{2,8}$", False),
        (r"^\d{3,}$", r"^\d{2,}$", True),
        (r"^\d*$", r"^\d+$", False),
        (r"^a|b$", r"^a|b$", True),
        (r"^a$", r"^a|b$", False),
        (r"^(?!a{1,2})$", r"^(?!a)$", False),
        (r"^[a-c]{3}$", r"^[a-c]{2,3}$", True),
        (r"^[a-c]$", r"^[a-d]$", False),
        (r"^[a-z]+$", r"^[a-z0-9_]+$", True),
        (r"^[a-z0-9]$", r"^[a-z]$", False),
        (r"^[\-a]$", r"^[\--a]$", False),
        (r"^[\--a]$", r"^[\-a-]$", False),
        (r"^[a]$", r"^[^ab]$", False),
        (r"^[^ab]$", r"^[ab^]$", False),
        (r"^a$", r"^a", True),
        (r"^a\d*$", r"^a", True),
        (r"^a", r"^a$", False),
        (r"^(ab)$", r"^(a)$", False),
        (r"^ab$", r"^a\$", False),
    ],
)
def test_a_pattern_takes_what_another_does_part_by_part(
    given: str, taken: str, *, is_taken: bool
) -> None:
    assert takes_text(taken, given) is is_taken
    assert takes_text(taken, taken)
