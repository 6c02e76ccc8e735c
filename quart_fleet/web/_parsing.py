"""From what a request carries to a validated DTO, or to the contract's exact refusal."""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial, wraps
from inspect import iscoroutinefunction
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import orjson
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from quart import request
from quart.utils import run_sync
from werkzeug.exceptions import UnsupportedMediaType

from quart_fleet.dto import PatchDTO, RequestDTO
from quart_fleet.errors import InvalidRequestError
from quart_fleet.listing import Listing
from quart_fleet.web._lists import find_list_query
from quart_fleet.web._validation_messages import validation_error_of

DTO = TypeVar("DTO", bound=BaseModel)
PatchT = TypeVar("PatchT", bound=PatchDTO)

_REQUIRED = "Request body is required"
_MALFORMED = "Request body is not valid JSON"

_LONG_NUMBER = re.compile(rb"(?:^|[-\[:,\s])[0-9]{19}")
_MOST_DIGITS = 100
"""What is longer is out of every field's range, whatever its last digits are."""


Handler = Callable[..., Any]


def annotations_of(handler: Handler) -> Mapping[str, Any]:
    """Return the types of a function's parameters, and of its answer as `return`.

    Where one is a text that its module cannot read, as Quart's own views have them, there are none.
    """
    found: Mapping[str, Any] = getattr(handler, "__annotations__", {})
    if any(isinstance(kind, str) for kind in found.values()):
        try:
            return get_type_hints(handler, include_extras=True)
        except NameError:
            return {}
    return found


def parameters_of(handler: Handler) -> Mapping[str, type[BaseModel] | Listing]:
    """Return what a controller's parameters are parsed by: those that no path holds.

    A RequestDTO is the body and a PatchDTO a merge patch; another model of pydantic's is the query,
    and so is `Annotated[ListQuery | None, PRODUCT_LIST]`, as a Listing takes it.
    """
    found = dict[str, type[BaseModel] | Listing]()
    for name, kind in annotations_of(handler).items():
        if name == "return":
            continue
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found[name] = kind
        elif get_origin(kind) is Annotated:
            for one in get_args(kind):
                if isinstance(one, Listing):
                    found[name] = one
    return found


def parsing(handler: Handler) -> Handler:
    """Return what calls a controller with what its parameters ask for, parsed from the request.

    Its types are looked at once, here. A controller without such parameters stays as it is.
    """
    queries: dict[str, Callable[[], object]] = {}
    bodies: dict[str, Callable[[], Awaitable[object]]] = {}
    for name, kind in parameters_of(handler).items():
        if isinstance(kind, Listing):
            queries[name] = partial(find_list_query, kind)
        elif issubclass(kind, PatchDTO):
            bodies[name] = partial(parse_patch, kind)
        elif issubclass(kind, RequestDTO):
            bodies[name] = partial(parse_body, kind)
        else:
            queries[name] = partial(parse_query, kind)
    if not queries and not bodies:
        return handler
    answer = handler if iscoroutinefunction(handler) else run_sync(handler)

    @wraps(handler)
    async def parse(**values: object) -> object:
        for name, read in queries.items():
            values[name] = read()
        for name, receive in bodies.items():
            values[name] = await receive()
        return await answer(**values)

    return parse


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
