"""From what a request carries to a validated DTO, or to the contract's exact refusal."""

import json
import re
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from contextlib import suppress
from functools import partial, wraps
from inspect import iscoroutinefunction, signature
from itertools import pairwise
from types import SimpleNamespace
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import orjson
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from quart import request
from quart.utils import run_sync
from werkzeug.exceptions import UnsupportedMediaType

from quart_fleet.dto import PatchDTO, RequestDTO, RoundedFloat, has_decimals
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
_MAYBE_ROUNDED = re.compile(rb"[0-9](?:\.?[0-9]){15}|[eE]-[0-9]{3}")
"""Numbers that a float may not keep, and texts that look so."""

_PARSES = "__quart_fleet_parses__"
"""Marks a decorator that calls its controller through what parses."""

Handler = Callable[..., Any]


def annotations_of(handler: Handler) -> Mapping[str, Any]:
    """Return the types of a function's parameters, and of its answer as `return`.

    One that its module cannot read, as what it imports for the type checker alone, stays a text.
    """
    found: dict[str, Any] = dict(getattr(handler, "__annotations__", {}))
    for name, kind in found.items():
        if isinstance(kind, str):
            alone, known = SimpleNamespace(__annotations__={name: kind}), handler.__globals__
            with suppress(NameError):
                found |= get_type_hints(alone, known, include_extras=True)
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


def parsing(served: Handler) -> Handler:
    """Return what calls a controller with what its parameters ask for, parsed from the request.

    Its types are looked at once, here. A controller without such parameters stays as it is. Where it
    is decorated, the decorators run first, as one that asks who the caller is: parsing takes the
    controller's place in the closure of the decorator that is next to it. One that keeps it
    elsewhere, or that awaits nothing, runs with the parsed values.
    """
    chain = decorators_of(served)
    if any(_PARSES in getattr(each, "__dict__", ()) for each in chain):
        return served
    queries, bodies = readers_of(chain[-1])
    if not queries and not bodies:
        return served

    def parsing_for(handler: Handler) -> Handler:
        answer = handler if iscoroutinefunction(handler) else run_sync(handler)

        @wraps(handler)
        async def parse(*given: object, **values: object) -> object:
            for name, read in queries.items():
                values[name] = read()
            for name, receive in bodies.items():
                values[name] = await receive()
            return await answer(*given, **values)

        return parse

    for outer, inner in reversed(list(pairwise(chain))):
        if iscoroutinefunction(inner) and put_in_place_of(inner, outer, parsing_for(inner)):
            vars(outer)[_PARSES] = True
            return served
    return parsing_for(served)


def put_in_place_of(inner: Handler, outer: Handler, parse: Handler) -> bool:
    """Let a decorator call something else than what it decorates; False where its closure has it not."""
    for cell in getattr(outer, "__closure__", None) or ():
        with suppress(ValueError):  # an empty cell
            if cell.cell_contents is inner:
                cell.cell_contents = parse
                return True
    return False


def readers_of(
    handler: Handler,
) -> tuple[dict[str, Callable[[], object]], dict[str, Callable[[], Awaitable[object]]]]:
    """Return what reads the parameters of a controller: of the query, and of the body."""
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
    return queries, bodies


def decorators_of(served: Handler) -> Sequence[Handler]:
    """Return a function, what it wraps as `functools.wraps` notes it, and so on: the controller is last."""
    chain = [served]
    while (inner := getattr(chain[-1], "__wrapped__", None)) is not None:
        chain.append(inner)
    return chain


def ensure_filled(served: Handler, route: str, filled: Container[str]) -> None:
    """Raise TypeError where nothing fills a parameter of a controller, which would fail each request.

    Args:
        served: the controller, or what decorates it, which may fill parameters of its own.
        route: the path, to be named.
        filled: the variables of the path.
    """
    chain = decorators_of(served)
    kinds, parsed = annotations_of(chain[-1]), parameters_of(chain[-1])
    for name, parameter in signature(chain[-1]).parameters.items():
        is_open = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if is_open or name in filled or name in parsed:
            continue
        kind = kinds.get(name)
        is_unread, has_default = isinstance(kind, str), parameter.default is not parameter.empty
        if holds_model(kind) or (not has_default and (is_unread or len(chain) == 1)):
            raise TypeError(
                f"{chain[-1].__qualname__}, which answers {route}: nothing fills its parameter {name!r}. "
                + (
                    f"Its type {kind!r} cannot be read at run time: import it outside of TYPE_CHECKING"
                    if is_unread
                    else "Name a variable of the path so, or let its type be a DTO, by itself"
                )
            )


def holds_model(kind: Any) -> bool:
    """Whether a type is a model, or made of one, as `CreateProductDTO | None`."""
    is_model = isinstance(kind, type) and issubclass(kind, BaseModel)
    return is_model or any(holds_model(each) for each in get_args(kind))


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
    may_be_rounded = has_decimals(dto) and _MAYBE_ROUNDED.search(body)
    rounded = _rounded_decimals(dto, body) if may_be_rounded else []
    try:
        validated = dto.model_validate_json(body)
    except ValidationError as error:
        details = _details(error)
        if _is_unread(details):
            return _validate_repaired(dto, payload, body)
        raise validation_error_of([*details, *rounded]) from None
    if rounded:
        raise validation_error_of(rounded)
    return validated


def _rounded_decimals(dto: type[DTO], body: bytes) -> list[ErrorDetails]:
    """Return the errors of decimals whose digits are lost when JSON's numbers are read as floats."""
    try:
        dto.model_validate(_load_json(body, parse_float=RoundedFloat.read))
    except ValidationError as error:
        return [each for each in _details(error) if each["type"] == "decimal_too_exact"]
    return []


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
    return _load_json(body)


def _load_json(body: bytes, parse_float: Callable[[str], float] = float) -> object:
    """Read JSON as Python does; raises InvalidRequestError."""
    try:
        return json.loads(
            body,
            parse_float=parse_float,
            parse_int=lambda digits: int(digits[:_MOST_DIGITS]),
            parse_constant=int,  # refuses NaN and Infinity, which JSON has not
        )
    except (ValueError, RecursionError):
        raise InvalidRequestError(_MALFORMED) from None


def _validate_repaired(dto: type[DTO], payload: dict[str, object], body: bytes) -> DTO:
    """Validate JSON that Python reads and pydantic does not.

    It may hold numbers of more than 4300 digits, which were cut while reading, other encodings than
    UTF-8, and half surrogate pairs: these are replaced, after the fields that hold one are known.
    """
    details = _rounded_decimals(dto, body) if has_decimals(dto) else []
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
