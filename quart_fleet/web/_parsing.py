"""From what a request carries to a validated DTO, or to the contract's exact refusal."""

import json
import re
from contextlib import suppress
from typing import TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from quart import request
from werkzeug.exceptions import UnsupportedMediaType

from quart_fleet.dto import PatchDTO
from quart_fleet.errors import InvalidRequestError
from quart_fleet.web._validation_messages import validation_error_of

DTO = TypeVar("DTO", bound=BaseModel)
PatchT = TypeVar("PatchT", bound=PatchDTO)

_REQUIRED = "Request body is required"
_MALFORMED = "Request body is not valid JSON"

_LONG_NUMBER = re.compile(rb"(?:^|[-\[:,\s])[0-9]{19}")
_MOST_DIGITS = 100
"""What is longer is out of every field's range, whatever its last digits are."""


async def parse_body(dto: type[DTO]) -> DTO:
    """Return the request's JSON as a `dto`, each value in the type that its field has.

    A RequestDTO takes the types of JSON as they are ("36" is no integer) and what JSON has no type
    for from its usual text: a decimal from a string or a number, dates, times and durations from
    ISO 8601, UUIDs, URLs and enumerations from strings (pydantic's conversion table, JSON, strict).

    Raises InvalidRequestError and ValidationFailedError in the contract's order: a body (400), an
    object (400), the required fields in the order in which the DTO declares them (400), then all
    values at once (422); werkzeug's UnsupportedMediaType (415) and RequestEntityTooLarge (413).
    """
    body = await request.body
    payload = _read_json(body)
    if not payload:
        raise InvalidRequestError(_REQUIRED)
    return _validate(dto, payload, body)


async def parse_patch(dto: type[PatchT]) -> PatchT:
    """Return the request's merge patch (RFC 7396) as a `dto`; `{}` is one, and changes nothing.

    Raises what `parse_body` raises; no field of a patch is required.
    """
    body = await request.body
    payload = _read_json(body)
    if not body:
        raise InvalidRequestError(_REQUIRED)
    return _validate(dto, payload, body)


def _validate(dto: type[DTO], payload: object, body: bytes) -> DTO:
    if not isinstance(payload, dict):
        raise InvalidRequestError("Request body must be a JSON object")
    try:
        return dto.model_validate_json(body)
    except ValidationError as error:
        details = _details(error)
    if _is_unread(details):
        return _validate_repaired(dto, payload)
    raise validation_error_of(details)


def parse_query(dto: type[DTO]) -> DTO:
    """Return the request's query parameters as a `dto`; of a repeated one, the first counts.

    Raises InvalidRequestError (400) where a required one is missing, ValidationFailedError (422)
    where values are refused.
    """
    try:
        return dto.model_validate_strings(request.args.to_dict())
    except ValidationError as error:
        raise validation_error_of(_details(error)) from None


def _read_json(body: bytes) -> object:
    """Read JSON with orjson where it reads as Python does, which is nearly always.

    What it refuses may be text that Python takes, as lone surrogates are, and numbers beyond
    64 bits it rounds. Python refuses integers of more than 4300 digits, which are cut before.
    """
    if not body:
        return None
    if not request.is_json:
        raise UnsupportedMediaType
    if not _LONG_NUMBER.search(body):
        with suppress(orjson.JSONDecodeError):
            return orjson.loads(body)
    try:
        return json.loads(
            body,
            parse_int=lambda digits: int(digits[:_MOST_DIGITS]),
            parse_constant=int,  # refuses NaN and Infinity, which JSON has not
        )
    except (ValueError, RecursionError):
        raise InvalidRequestError(_MALFORMED) from None


def _validate_repaired(dto: type[DTO], payload: dict[str, object]) -> DTO:
    """Validate JSON that Python reads and pydantic does not.

    It may hold numbers of more than 4300 digits, which were cut while reading, other encodings than
    UTF-8, and half surrogate pairs: these are replaced, after the fields that hold one are known.
    """
    details: list[ErrorDetails] = []
    try:
        dto.model_validate(payload)
    except ValidationError as error:
        details += [each for each in _details(error) if each["type"] == "string_unicode"]
    repaired = json.dumps(payload, ensure_ascii=False).encode(errors="replace")
    try:
        validated = dto.model_validate_json(repaired)
    except ValidationError as error:
        details += _details(error)
        if _is_unread(details):  # arrays or objects in one another, hundreds deep
            raise InvalidRequestError(_MALFORMED) from None
    if details:
        raise validation_error_of(details)
    return validated


def _is_unread(details: list[ErrorDetails]) -> bool:
    """Whether the body as a whole was not read; an error of a field has its place in `loc`."""
    return (details[-1]["type"], details[-1]["loc"]) == ("json_invalid", ())


def _details(error: ValidationError) -> list[ErrorDetails]:
    return error.errors(include_url=False)
