"""The envelope of every answer, and the JSON in which it is written.

An answer has `data`, `message` and `success`, or `errors` in place of data. Its JSON has sorted keys,
ASCII, HTTP dates and a newline at the end.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from operator import attrgetter, methodcaller
from typing import Any, Generic, TypeVar, cast
from urllib.parse import quote, unquote_plus

import orjson
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_jsonable_python
from quart import Quart, Response, current_app, jsonify, request
from quart.json.provider import DefaultJSONProvider, JSONProvider
from quart.wrappers.response import DataBody
from werkzeug.datastructures import Headers

from quart_fleet.dto import ResponseDTO, writer_of
from quart_fleet.paging import CHUNK, ListQuery, Numbered, Page
from quart_fleet.web._lists import cursor_of

_ITEMS = "quart_fleet.web: the items of a stream"
"""Stands for the items where the bytes around them are asked for."""


T = TypeVar("T")
NumberedT = TypeVar("NumberedT", bound=Numbered)


class Answer(Response, Generic[T]):
    """A response with data of a type, by which a controller declares what it answers:

        async def get(record_id: int) -> Answer[UserResponseDTO]:

    mypy holds the controller to it, and the OpenAPI document is made from it. At run time it is any
    Response.
    """


class Envelope:
    """Makes the responses of the contract.

    `data` is whatever the JSON provider can write: DTOs, lists and dicts of them, dates, plain
    values. The body is JSON with sorted keys and a newline at its end, compact and in ASCII,
    indented by 2 with DEBUG: `{"data":…,"message":"Success","success":true}`, or
    `{"errors":{…},"message":…,"success":false}`, `errors` only where there are any.

    A workspace changes the form in a subclass, which `build_app` is given, so that errors, the
    health routes and streams have it too. `respond` writes every answer: a key that it adds or
    renames is added or renamed in all of them. `open` undoes that where services call each other.
    """

    @classmethod
    def respond(cls, payload: dict[str, object], status: int) -> Response:
        """Write an answer; the payload is this call's own, and may be changed."""
        response = jsonify(payload)
        if status != response.status_code:
            response.status_code = status
        return response

    @classmethod
    def open(cls, body: bytes) -> bytes:
        """Return the JSON of the payload that `respond` of another service was given, for its body.

        Where `respond` renames `data` to `result`:

            answer = json.loads(body)
            if "result" in answer:
                answer["data"] = answer.pop("result")
            return json.dumps(answer).encode()

        What it raises makes the call fail: the body may be of something else, as a proxy.
        """
        return body

    @classmethod
    def success(
        cls,
        data: T = None,  # type: ignore[assignment]  # then T is None
        message: str = "Success",
        status: int = 200,
    ) -> Answer[T]:
        """Answer a request that did what it was asked for."""
        payload = {"data": data, "message": message, "success": True}
        return cast("Answer[T]", cls.respond(payload, status))

    @classmethod
    def page(cls, found: Sequence[NumberedT], limit: int) -> Answer[list[NumberedT]]:
        """Answer the first `limit` of what was found; one more means that there is a next page.

        The next page's address is in the Link header (RFC 8288), with the request's other query
        parameters in front of `limit` and `after`. Scripts of other origins may read the header.
        """
        data = list(found[:limit])
        response = cls.success(data)
        if len(found) > limit:
            _link_next(response, {"limit": limit, "after": data[-1].id})
        return response

    @classmethod
    def listing(cls, page: Page[T], query: ListQuery) -> Answer[list[T]]:
        """Answer the page that a query has found.

        The next page's address, with the request's other parameters, is in the Link header, and the
        number of all in X-Total-Count where it was asked for.
        """
        response = cls.success(page.items)
        if page.total is not None:
            response.headers["X-Total-Count"] = str(page.total)
            response.headers.add("Access-Control-Expose-Headers", "X-Total-Count")
        if page.after is not None:
            _link_next(response, {"after": cursor_of(query, page.after)})
        return response

    @classmethod
    async def stream(cls, chunks: AsyncIterator[Sequence[T]]) -> Answer[list[T]]:
        """Answer a list of any length, of which little more than a chunk is held at a time.

        The bytes are those of `success` with the whole list. A list that ends within the first
        `CHUNK` items is answered at once, with a length; so is any list with DEBUG, or to an
        HTTP/1.0 client, which cannot read a body of unknown length, and where a subclass says more
        of the list than its items, as their number. Should reading fail on the way, the connection
        is cut, since the status has been sent.
        """
        items: list[T] = []
        async for chunk in chunks:
            items += chunk
            if len(items) >= CHUNK:
                break
        else:
            return cls.success(items)
        template = cls.success([_ITEMS])
        around = await _split(template)
        if (
            current_app.debug
            or request.http_version == "1.0"
            or await _split(cls.success([_ITEMS, _ITEMS])) != [around[0], b",", around[-1]]
        ):
            rest = [each async for chunk in chunks for each in chunk]
            return cls.success(items + rest)
        is_head = request.method == "HEAD"
        body = b"" if is_head else _write(current_app.json, around, items, chunks)
        response = Response(body, template.status_code, template.headers)
        del response.headers["Content-Length"]
        response.timeout = None  # a slow client may take longer for a long list than for any other
        return cast("Answer[list[T]]", response)

    @classmethod
    def error(
        cls, message: str, status: int = 400, errors: Mapping[str, str] | None = None
    ) -> Answer[Any]:
        """Answer a request that was refused or failed; `errors` are details by field."""
        payload: dict[str, object] = {"message": message, "success": False}
        if errors:
            payload["errors"] = errors
        return cast("Answer[Any]", cls.respond(payload, status))

    @classmethod
    def not_found(cls, message: str = "Resource not found") -> Answer[Any]:
        """Answer 404."""
        return cls.error(message, 404)

    @classmethod
    def unauthorized(cls, message: str = "Unauthorized") -> Answer[Any]:
        """Answer 401: the request carries no valid credentials."""
        return cls.error(message, 401)

    @classmethod
    def forbidden(cls, message: str = "Forbidden") -> Answer[Any]:
        """Answer 403: the caller is known, and not allowed to do this."""
        return cls.error(message, 403)

    @classmethod
    def validation_error(
        cls, errors: Mapping[str, str], message: str = "Validation failed"
    ) -> Answer[Any]:
        """Answer 422 with the reason for each refused field."""
        return cls.error(message, 422, errors)


def _link_next(response: Response, parameters: Mapping[str, object]) -> None:
    """Name the next page's address: the request's, with these parameters in place of its own."""
    kept = [
        quote(parameter, safe="!$'()*+,/:;=?@%", encoding="latin-1")
        for parameter in request.query_string.decode("latin-1").split("&")
        if parameter and unquote_plus(parameter.partition("=")[0]) not in parameters
    ]
    query = "&".join([*kept, *(f"{name}={value}" for name, value in parameters.items())])
    path = quote(f"{request.script_root}{request.path}", safe="!$&'()*+,/:;=@")  # RFC 3986
    response.headers["Link"] = f'<{path}?{query}>; rel="next"'
    response.headers.add("Access-Control-Expose-Headers", "Link")


async def _split(template: Response) -> list[bytes]:
    """Return the bytes around each place where items are to be."""
    return (await template.get_data(as_text=False)).split(f'"{_ITEMS}"'.encode())


async def _write(
    provider: JSONProvider,
    around: Sequence[bytes],
    first: list[T],
    rest: AsyncIterator[Sequence[T]],
) -> AsyncGenerator[bytes, None]:
    """Yield the body in parts: the items, between the bytes that are around them.

    A client may take its time: no items are held meanwhile, which are larger than their bytes.
    """
    opening, closing = around
    part = opening + await _items(provider, first)
    first.clear()
    yield part
    async for chunk in rest:
        if chunk:
            part = b"," + await _items(provider, chunk)
            del chunk
            yield part
    yield closing


async def _items(provider: JSONProvider, chunk: Sequence[object]) -> bytes:
    """Return the items as JSON, with the commas between them."""
    written = cast("Response", provider.response(chunk))
    return (await written.get_data(as_text=False)).strip()[1:-1]


_OPTIONS = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_APPEND_NEWLINE
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_DATACLASS
)
_Writer = Callable[[Any], object]
_DELETE = b"\x7f"
"""The one ASCII character that the standard library escapes and orjson does not."""


class ContractJSONProvider(DefaultJSONProvider):
    """Quart's provider, which has the contract's form, able to write DTOs and their fields too.

    A datetime is an HTTP date; dates and times are RFC 3339's. What Quart cannot write is written as
    pydantic does: durations, URLs and addresses as the text that a DTO reads.

    orjson writes text, whole numbers and times in the same bytes, about ten times as quickly. What
    it writes of text beyond ASCII and for indented answers, the standard library spells anew, and
    it alone writes numbers beyond 64 bits. Fractions are equal, but may be spelt otherwise (1e-7
    for 1e-07).
    """

    def __init__(self, app: Quart) -> None:
        super().__init__(app)
        self._quarts_default = self.default
        self._writers = _Writers(self._write_otherwise)
        self.default = self._write
        self._indented = app.debug

    def response(self, *args: Any, **kwargs: Any) -> Response:
        """Make a response of the value that is given."""
        value = self._prepare_response_obj(args, kwargs)
        try:
            body = orjson.dumps(value, default=self.default, option=_OPTIONS)
        except orjson.JSONEncodeError:
            body = self._spell(value)
        else:
            if self._indented or _DELETE in body or not body.isascii():
                body = self._spell(orjson.loads(body))
        headers = Headers()
        headers.add("Content-Type", self.mimetype)
        headers.add("Content-Length", str(len(body)))
        return Response(DataBody(body), headers=headers)

    def _spell(self, value: object) -> bytes:
        """Write with the escapes and the indentation of the standard library."""
        indent, separators = (2, None) if self._indented else (None, (",", ":"))
        return f"{self.dumps(value, indent=indent, separators=separators)}\n".encode()

    def _write(self, value: object) -> object:
        return self._writers[type(value)](value)

    def _write_otherwise(self, value: object) -> object:
        try:
            return self._quarts_default(value)
        except TypeError:
            with suppress(PydanticSerializationError):
                return to_jsonable_python(value)
            raise


class _Writers(dict[type, _Writer]):
    """What makes a value of a type one that JSON has, found once for each type."""

    def __init__(self, otherwise: _Writer) -> None:
        super().__init__()
        self._otherwise = otherwise

    def __missing__(self, kind: type) -> _Writer:
        writer = self._otherwise
        if issubclass(kind, datetime):
            writer = http_date
        elif issubclass(kind, date | time):
            writer = methodcaller("isoformat")  # RFC 3339's full-date and partial-time
        elif issubclass(kind, Decimal):
            writer = "{:f}".format  # never 0E-8
        elif kind.__module__ == "ipaddress":
            writer = str  # which pydantic 2.11 does not know by itself
        elif issubclass(kind, Enum):
            writer = attrgetter("value")
        elif issubclass(kind, ResponseDTO):
            writer = writer_of(kind)  # as it is kept, which is the promise of its class
        elif issubclass(kind, BaseModel):
            writer = methodcaller("model_dump", by_alias=True)
        self[kind] = writer
        return writer


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = (
    *("", "Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)
_TWO_DIGITS = tuple(f"{number:02}" for number in range(60))


def http_date(moment: datetime) -> str:
    """Write a time as HTTP does (RFC 9110, section 5.6.7); one without an offset is in UTC.

    Werkzeug's function of this name returns the same text, in six times as long.
    """
    if moment.tzinfo is not UTC and moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    return (
        f"{_DAYS[moment.weekday()]}, {_TWO_DIGITS[moment.day]} {_MONTHS[moment.month]}"
        f" {moment.year:04} {_TWO_DIGITS[moment.hour]}:{_TWO_DIGITS[moment.minute]}"
        f":{_TWO_DIGITS[moment.second]} GMT"
    )
