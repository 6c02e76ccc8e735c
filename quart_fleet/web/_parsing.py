"""From what a request carries to a validated DTO, or to the contract's exact refusal."""

import json
import re
from contextlib import suppress
from typing import Any, NoReturn, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from quart import request
from werkzeug.exceptions import UnsupportedMediaType

from quart_fleet.errors import InvalidRequestError, ValidationFailedError

BodyT = TypeVar("BodyT", bound=BaseModel)

_REASONS = {
    "string_type": "Must be a string",
    "string_unicode": "Must be valid Unicode text",
    "string_too_long": "Must be at most {max_length} characters",
    "too_long": "Must be at most {max_length} characters",
    "string_too_short": "Must be at least {min_length} characters",
    "too_short": "Must be at least {min_length} characters",
    "int_type": "Must be an integer",
    "int_parsing": "Must be an integer",
    "int_parsing_size": "Must be an integer",
    "int_from_float": "Must be an integer",
    "bool_type": "Must be true or false",
    "greater_than_equal": "Must be at least {ge}",
    "less_than_equal": "Must be at most {le}",
    "nul_character": "Must not contain NUL characters",
}
"""Our words for pydantic's error types, so that an upgrade of it changes no answer."""

_LONG_NUMBER = re.compile(rb"(?:^|[-\[:,\s])[0-9]{19}")
_MOST_DIGITS = 100
"""What is longer is out of every field's range, whatever its last digits are."""


async def parse_body(dto: type[BodyT]) -> BodyT:
    """Return the request's JSON as a `dto`.

    Refuses in the contract's order: a body (400), an object (400), the required fields in the
    order in which the DTO declares them (400), then all values at once (422).
    """
    payload = await _read_json()
    if not payload:
        raise InvalidRequestError("Request body is required")
    if not isinstance(payload, dict):
        raise InvalidRequestError("Request body must be a JSON object")
    try:
        return dto.model_validate(payload)
    except ValidationError as error:
        _refuse(error.errors(include_url=False, include_input=False))


def parse_query(dto: type[BodyT]) -> BodyT:
    """Return the request's query parameters as a `dto`; raises ValidationFailedError."""
    try:
        return dto.model_validate_strings(request.args.to_dict())
    except ValidationError as error:
        _refuse(error.errors(include_url=False, include_input=False))


async def _read_json() -> object:
    body = await request.body
    if not body:
        return None
    if not request.is_json:
        raise UnsupportedMediaType
    try:
        return _parse(body)
    except (ValueError, RecursionError):
        raise InvalidRequestError("Request body is not valid JSON") from None


def _parse(body: bytes) -> object:
    """Read JSON with orjson where it reads as Python does, which is nearly always.

    What it refuses may be text that Python takes, as lone surrogates are, and numbers beyond
    64 bits it rounds.
    """
    if not _LONG_NUMBER.search(body):
        with suppress(orjson.JSONDecodeError):
            return orjson.loads(body)
    return json.loads(body, parse_int=_read_integer, parse_constant=_refuse_constant)


def _read_integer(digits: str) -> int:
    """Read what any field may hold; Python refuses more than 4300 digits, so the rest is cut."""
    return int(digits[:_MOST_DIGITS])


def _refuse_constant(name: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python reads and RFC 8259 does not know."""
    raise ValueError(name)


def _refuse(details: list[ErrorDetails]) -> NoReturn:
    for detail in details:
        if detail["type"] == "missing":
            raise InvalidRequestError(f"Field '{_field(detail)}' is required")
    raise ValidationFailedError({_field(detail): _reason(detail) for detail in details})


def _field(detail: ErrorDetails) -> str:
    return ".".join(str(part) for part in detail["loc"])


def _reason(detail: ErrorDetails) -> str:
    context: dict[str, Any] = detail.get("ctx", {})
    return _REASONS.get(detail["type"], "Is not valid").format(**context)
