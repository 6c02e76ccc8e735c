"""Bodies and queries: which values a field takes from JSON, and the words of each refusal."""

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    IPvAnyAddress,
    Json,
    PastDate,
    create_model,
)
from pydantic_core import PydanticCustomError

from quart_fleet.asgi._application import ServiceApplication
from quart_fleet.dto import LEFT_OUT, Digits, Fixed, Integer, PatchDTO, RequestDTO, Text
from quart_fleet.errors import InvalidRequestError, ValidationFailedError
from quart_fleet.web import parse_body, parse_patch, parse_query


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


class LineDTO(RequestDTO):
    sku: Text
    count: Integer


def be_even(number: int) -> int:
    if number % 2:
        raise PydanticCustomError("even", "Must be even")
    return number


def be_odd(number: int) -> int:
    if number % 2 == 0:
        raise ValueError(f"not odd: {number}")
    return number


Price = Annotated[Decimal, Field(max_digits=6, decimal_places=2, ge=Decimal("0.01"))]
EARLY = datetime(2026, 11, 23, 9, 24, 2, tzinfo=UTC)

TAKEN: list[tuple[Any, str, object]] = [
    (Decimal, '"19.99"', Decimal("19.99")),
    (Decimal, "19.99", Decimal("19.99")),
    (Decimal, "20", Decimal(20)),
    (Decimal, '"12345678901234567890.123456789"', Decimal("12345678901234567890.123456789")),
    (Decimal | None, "null", None),
    (date, '"2026-11-23"', EARLY.date()),
    (datetime, '"2026-11-23T09:24:02Z"', EARLY),
    (datetime, '"2026-11-23T10:24:02+01:00"', EARLY),
    (time, '"09:24:02"', time(9, 24, 2)),
    (timedelta, '"PT1H30M"', timedelta(hours=1, minutes=30)),
    (UUID, '"00000000-0000-0000-0000-000000000007"', UUID(int=7)),
    (Colour, '"green"', Colour.GREEN),
    (Size, "2", Size.LARGE),
    (Literal["a", "b"], '"b"', "b"),
    (HttpUrl, '"https://example.com/a"', HttpUrl("https://example.com/a")),
    (float, "1", 1.0),
    (set[int], "[1,2,2]", {1, 2}),
    (tuple[int, str], '[1,"a"]', (1, "a")),
    (list[Colour], '["red"]', [Colour.RED]),
    (dict[str, Decimal], '{"a":"1.5"}', {"a": Decimal("1.5")}),
    (list[LineDTO], '[{"sku":"a","count":1,"x":0}]', [LineDTO(sku="a", count=1)]),
]

REFUSED: list[tuple[Any, str, str]] = [
    (int, '"36"', "Must be an integer"),
    (int, "true", "Must be an integer"),
    (int, "36.0", "Must be an integer"),
    (bool, "1", "Must be true or false"),
    (bool, '"true"', "Must be true or false"),
    (str, "7", "Must be a string"),
    (float, '"1.5"', "Must be a number"),
    (float, "true", "Must be a number"),
    (Decimal, '"much"', "Must be a decimal number"),
    (Decimal, "true", "Must be a decimal number"),
    (Decimal, '"NaN"', "Must be a finite number"),
    (Price, '"1.234"', "Must have at most 2 decimal places"),
    (Price, '"12345678"', "Must have at most 6 digits"),
    (Price, '"12345"', "Must have at most 4 digits before the decimal point"),
    (Price, "0", "Must be at least 0.01"),
    (Annotated[Decimal, Field(decimal_places=1)], '"0.12"', "Must have at most 1 decimal place"),
    (Annotated[Decimal, Field(gt=0, lt=5)], "0", "Must be greater than 0"),
    (Annotated[Decimal, Field(gt=0, lt=5)], "5", "Must be less than 5"),
    (Annotated[int, Field(multiple_of=5)], "7", "Must be a multiple of 5"),
    (date, "20260101", "Must be a date, like 2026-11-23"),
    (date, '"23.11.2026"', "Must be a date, like 2026-11-23"),
    (date, '"2026-02-30"', "Must be a date, like 2026-11-23"),
    (PastDate, '"9999-01-01"', "Must be in the past"),
    (datetime, "1700000000", "Must be a date and time, like 2026-11-23T09:24:02Z"),
    (datetime, '"yesterday"', "Must be a date and time, like 2026-11-23T09:24:02Z"),
    (AwareDatetime, '"2026-11-23T09:24:02"', "Must have a time zone"),
    (Annotated[date, Field(ge=EARLY.date())], '"2026-11-22"', "Must be at least 2026-11-23"),
    (time, '"25:00"', "Must be a time, like 09:24:02"),
    (timedelta, '"long"', "Must be a duration, like PT1H30M"),
    (UUID, '"7"', "Must be a UUID"),
    (Colour, '"blue"', "Must be 'red' or 'green'"),
    (Size, '"1"', "Must be 1 or 2"),
    (Literal["a", "b", "c"], '"d"', "Must be 'a', 'b' or 'c'"),
    (HttpUrl, '"example"', "Must be a URL"),
    (HttpUrl, '"ftp://example.com"', "Must be a URL that begins with 'http' or 'https'"),
    (IPvAnyAddress, '"localhost"', "Must be an IP address"),
    (Json[int], '"{"', "Must be valid JSON"),
    (Annotated[str, Field(min_length=1)], '""', "Must be at least 1 character"),
    (Annotated[str, Field(min_length=2)], '"a"', "Must be at least 2 characters"),
    (Annotated[str, Field(max_length=1)], '"ab"', "Must be at most 1 character"),
    (Annotated[Text, Field(min_length=1)], '""', "Must be at least 1 character"),
    (Annotated[Text, Field(max_length=2)], '"abc"', "Must be at most 2 characters"),
    (Annotated[str, Field(pattern="^[a-z]+$")], '"A"', "Must have the expected form"),
    (Annotated[list[int], Field(min_length=1)], "[]", "Must have at least 1 item"),
    (Annotated[list[int], Field(max_length=2)], "[1,2,3]", "Must have at most 2 items"),
    (Annotated[dict[str, int], Field(min_length=2)], "{}", "Must have at least 2 items"),
    (list[int], "{}", "Must be an array"),
    (dict[str, int], "[]", "Must be an object"),
    (LineDTO, "[]", "Must be an object"),
    (Annotated[int, AfterValidator(be_even)], "1", "Must be even"),
    (Annotated[int, AfterValidator(be_odd)], "2", "Is not valid"),
]


def repr_of(value: object) -> str | None:
    """Return what names a test; an address in it would differ between the processes of a run."""
    text = str(value)
    return None if " at 0x" in text else text


async def parse(app: ServiceApplication, dto: type[BaseModel], body: bytes) -> Any:
    headers = {"Content-Type": "application/json"}
    async with app.test_request_context("/", method="POST", data=body, headers=headers):
        return await parse_body(dto)


async def refusal(app: ServiceApplication, dto: type[BaseModel], body: bytes) -> Mapping[str, str]:
    with pytest.raises(ValidationFailedError) as error:
        await parse(app, dto, body)
    return error.value.errors


def dto_of(kind: Any) -> type[BaseModel]:
    return create_model("ThingDTO", __base__=RequestDTO, field=(kind, ...))


@pytest.mark.parametrize(("kind", "sent", "value"), TAKEN, ids=repr_of)
async def test_a_field_takes_its_type_from_json(
    app: ServiceApplication, kind: Any, sent: str, value: object
) -> None:
    parsed = await parse(app, dto_of(kind), f'{{"field":{sent}}}'.encode())

    assert parsed.field == value
    assert type(parsed.field) is type(value)


@pytest.mark.parametrize(("kind", "sent", "words"), REFUSED, ids=repr_of)
async def test_a_field_is_refused_in_the_contracts_words(
    app: ServiceApplication, kind: Any, sent: str, words: str
) -> None:
    assert await refusal(app, dto_of(kind), f'{{"field":{sent}}}'.encode()) == {"field": words}


async def test_values_within_others_are_named_by_their_place(app: ServiceApplication) -> None:
    body = b'{"field":[{"sku":"a","count":1},{"sku":7,"count":"2"}]}'

    assert await refusal(app, dto_of(list[LineDTO]), body) == {
        "field.1.sku": "Must be a string",
        "field.1.count": "Must be an integer",
    }


async def test_a_missing_value_within_others_is_required(app: ServiceApplication) -> None:
    with pytest.raises(InvalidRequestError) as error:
        await parse(app, dto_of(list[LineDTO]), b'{"field":[{"sku":"a"}]}')

    assert error.value.message == "Field 'field.0.count' is required"


class OrderDTO(RequestDTO):
    name: Text
    due: date
    number: int = 0


UNREADABLE = {
    "half a surrogate pair": '"\\ud83d"',
    "a number of 5000 digits": "9" * 5000,
    "an infinite number": "1e999",
}
"""Values that one of the libraries refuses to read, though they are JSON."""


@pytest.mark.parametrize("ignored", UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_a_key_to_ignore_does_not_change_how_others_are_read(
    app: ServiceApplication, ignored: str
) -> None:
    body = f'{{"x":{ignored},"name":"é","due":"2026-11-23","y":[{ignored}]}}'.encode()

    assert await parse(app, OrderDTO, body) == OrderDTO(name="é", due=EARLY.date())


async def test_all_wrong_values_are_named_beside_half_a_surrogate_pair(
    app: ServiceApplication,
) -> None:
    body = b'{"name":"\\ud83d","due":"2026-11-23","number":"1"}'

    assert await refusal(app, OrderDTO, body) == {
        "name": "Must be valid Unicode text",
        "number": "Must be an integer",
    }


class PricesDTO(RequestDTO):
    price: Annotated[Decimal, Digits(30, 2)]
    rate: float
    others: tuple["PricesDTO", ...] = Field(default=(), strict=False)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    "sent",
    [
        "1.0000000000000001",
        "19.990000000000000001",
        "10000000000000000001.0",
        "-12345678901234567.8e1",
        "1e-400",
        f"0.{'0' * 400}1",
    ],
)
async def test_a_decimal_that_a_float_would_change_is_refused(
    app: ServiceApplication, sent: str, encoding: str
) -> None:
    other = f'{{"price":{sent},"rate":{sent}}}'
    body = f'{{"price":{sent},"rate":{sent},"others":[{other}]}}'.encode(encoding)

    assert await refusal(app, PricesDTO, body) == {
        "price": "Send it as a string",
        "others.0.price": "Send it as a string",
    }


async def test_a_decimal_that_a_float_would_change_is_named_beside_others(
    app: ServiceApplication,
) -> None:
    body = b'{"price":1.0000000000000001,"rate":"1"}'

    assert await refusal(app, PricesDTO, body) == {
        "price": "Send it as a string",
        "rate": "Must be a number",
    }


async def test_a_decimal_is_what_was_sent_whatever_is_beside_it(app: ServiceApplication) -> None:
    body = b'{"price":1.5000000000000000000,"rate":1.5000000000000000001,"others":[]}'

    assert await parse(app, PricesDTO, body) == PricesDTO(price=Decimal("1.50"), rate=1.5)


async def test_a_number_of_any_length_is_a_number(app: ServiceApplication) -> None:
    body = b'{"field":%s}' % (b"9" * 5000)

    assert await refusal(app, dto_of(Integer), body) == {"field": "Must be at most 2147483647"}


@pytest.mark.parametrize("depth", [500, 100_000])
async def test_what_is_nested_too_deeply_is_refused(app: ServiceApplication, depth: int) -> None:
    body = b'{"name":"a","due":"2026-11-23","x":%s}' % (b"[" * depth + b"]" * depth)

    with pytest.raises(InvalidRequestError, match="not valid JSON"):
        await parse(app, OrderDTO, body)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
async def test_what_json_does_not_know_is_no_number(app: ServiceApplication, number: str) -> None:
    for body in (f'{{"field":{number}}}', f'{{"field":1,"x":{number}}}'):
        with pytest.raises(InvalidRequestError, match="not valid JSON"):
            await parse(app, dto_of(float), body.encode())


class PatchThingDTO(PatchDTO):
    code: Fixed = LEFT_OUT
    name: Text = LEFT_OUT
    json_: Integer | None = Field(default=LEFT_OUT, alias="json")


@dataclass
class Thing:
    code: str
    name: str
    json: int | None


async def patch_of(app: ServiceApplication, body: bytes) -> PatchThingDTO:
    headers = {"Content-Type": "application/merge-patch+json"}
    async with app.test_request_context("/", method="PATCH", data=body, headers=headers):
        return await parse_patch(PatchThingDTO)


@pytest.mark.parametrize(
    ("body", "values"),
    [
        (b"{}", ("lamp", 7)),
        (b'{"colour": "red"}', ("lamp", 7)),
        (b'{"json": null}', ("lamp", None)),
        (b'{"name": "desk", "json": 0}', ("desk", 0)),
        (b'{"name": "\\u00e9"}', ("\u00e9", 7)),
    ],
)
async def test_a_patch_leaves_what_it_does_not_name(
    app: ServiceApplication, body: bytes, values: tuple[object, ...]
) -> None:
    patch = await patch_of(app, body)
    whole = patch.over(Thing("a", "lamp", 7))

    assert (whole.name, whole.json_) == values
    assert patch.is_empty is (b"name" not in body and b"json" not in body)


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        (b'{"name": null}', {"name": "Must be a string"}),
        (
            b'{"code": "a", "json": "7"}',
            {"code": "Cannot be changed", "json": "Must be an integer"},
        ),
        (b'{"code": null}', {"code": "Cannot be changed"}),
    ],
)
async def test_a_patch_names_all_that_it_may_not_set(
    app: ServiceApplication, body: bytes, errors: dict[str, str]
) -> None:
    with pytest.raises(ValidationFailedError) as refused:
        await patch_of(app, body)
    assert refused.value.errors == errors


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "Request body is required"),
        *((each, "Request body must be a JSON object") for each in (b"null", b"[]", b"0", b'""')),
        (b"{", "Request body is not valid JSON"),
    ],
)
async def test_a_patch_is_an_object(app: ServiceApplication, body: bytes, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        await patch_of(app, body)


class SearchDTO(BaseModel):
    model_config = ConfigDict(frozen=True)

    since: date
    most: Annotated[int, Field(ge=1)] = 20
    colour: Colour | None = None


async def test_a_query_is_read_from_text(app: ServiceApplication) -> None:
    async with app.test_request_context("/?since=2026-11-23&most=5&colour=red&most=6"):
        assert parse_query(SearchDTO) == SearchDTO(since=EARLY.date(), most=5, colour=Colour.RED)


async def test_a_query_is_refused_in_the_contracts_words(app: ServiceApplication) -> None:
    async with app.test_request_context("/?since=x&most=0&colour=blue"):
        with pytest.raises(ValidationFailedError) as error:
            parse_query(SearchDTO)

    assert error.value.errors == {
        "since": "Must be a date, like 2026-11-23",
        "most": "Must be at least 1",
        "colour": "Must be 'red' or 'green'",
    }


async def test_a_missing_parameter_is_required(app: ServiceApplication) -> None:
    async with app.test_request_context("/?most=1"):
        with pytest.raises(InvalidRequestError, match="Field 'since' is required"):
            parse_query(SearchDTO)


SENT = "what-the-client-sent"


@pytest.mark.parametrize("kind", [kind for kind, *_ in [*TAKEN, *REFUSED]], ids=repr_of)
@pytest.mark.parametrize("sent", [SENT, [SENT], {SENT: SENT}, f"http://{SENT}:x", f"2026-{SENT}"])
async def test_no_refusal_repeats_what_was_sent(
    app: ServiceApplication, kind: Any, sent: object
) -> None:
    said = ""
    try:
        await parse(app, dto_of(kind), json.dumps({"field": sent}).encode())
    except ValidationFailedError as error:
        said = " ".join(error.errors.values())
    except InvalidRequestError as error:
        said = error.message

    assert SENT not in said
