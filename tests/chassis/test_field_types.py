"""The types of DTO fields: what each reads, what it keeps, and what an answer writes of it."""

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Annotated

import pytest
from pydantic import Field, ValidationError
from quart import Quart

from quart_fleet.dto import (
    BigInteger,
    Date,
    DateTime,
    DateTimeText,
    Digits,
    Duration,
    DurationText,
    Email,
    Float,
    RequestDTO,
    ResponseDTO,
    Time,
    Url,
    utc_now,
)
from quart_fleet.times import read_duration, write_duration
from quart_fleet.web._envelope import ContractJSONProvider


class Sent(RequestDTO):
    number: Float | None = None
    large: BigInteger | None = None
    price: Annotated[Decimal, Digits(5, 2)] | None = None
    exact: Annotated[Decimal, Digits(60, 30)] | None = None
    on: Date | None = None
    hour: Time | None = None
    at: DateTime | None = None
    span: Duration | None = None
    email: Email | None = None
    site: Url | None = None
    json_: str | None = Field(default=None, alias="json")


class Answer(ResponseDTO):
    price: Decimal
    at: DateTimeText | None
    span: DurationText
    json_: str = Field(alias="json")


@pytest.mark.parametrize(
    ("field", "sent", "kept"),
    [
        ("number", "-0.0", -0.0),
        ("large", f"{-(2**63)}", -(2**63)),
        ("price", "1e2", Decimal("100.00")),
        ("price", '"-0"', Decimal("0.00")),
        ("price", '"007.5"', Decimal("7.50")),
        ("exact", f'"{"1" * 30}.{"3" * 30}"', Decimal(f"{'1' * 30}.{'3' * 30}")),
        ("on", '"0001-01-01"', date(1, 1, 1)),
        ("hour", '"09:24:02.5"', time(9, 24, 2, 500_000)),
        ("at", '"2026-11-23 01:00:00z"', datetime(2026, 11, 23, 1, tzinfo=UTC)),
        ("at", '"2026-11-23T01:00:00-02:30"', datetime(2026, 11, 23, 3, 30, tzinfo=UTC)),
        ("span", '"-P1DT0.000001S"', -timedelta(days=1, microseconds=1)),
        ("email", '"a+b@c.example"', "a+b@c.example"),
        ("site", '"HTTP://é.example:8080/?q#f"', "HTTP://é.example:8080/?q#f"),
    ],
)
def test_a_value_is_kept_whole(field: str, sent: str, kept: object) -> None:
    value = getattr(Sent.model_validate_json(f'{{"{field}": {sent}}}'), field)

    assert repr(value) == repr(kept)


@pytest.mark.parametrize(
    ("field", "sent"),
    [
        *(("number", each) for each in ("1e400", "true", '"1"', str(10**400))),
        *(("large", each) for each in (f"{2**63}", "1.0")),
        *(("price", each) for each in ('"1e2"', '"1."', '"+1"', '"1_0"', '"٣"', '"NaN"', "1e400")),
        *(("price", each) for each in ('"1000"', '"1.234"', "0.1234567890123456", "true", "[]")),
        *(("on", each) for each in ('"2026-02-29"', '"20261123"', '"2026-W48-1"', "1", '"٢026-01-01"')),
        *(("hour", each) for each in ('"24:00:00"', '"09:24"', '"09:24:02.1234567"', '"09:24:60"')),
        *(("at", each) for each in ('"2026-11-23T09:24:02"', '"2026-11-23"', "0", '"2026-11-23T24:00:00Z"')),
        *(("at", each) for each in ('"9999-12-31T23:59:59-01:00"', '"2026-06-30T23:59:60Z"')),
        *(("span", each) for each in ('"P"', '"PT"', '"P1DT"', '"P1W"', '"PT1.S"', '"P9999999999D"', "1")),
        *(("email", each) for each in ('"a"', '"a@"', '"a b@c"', '"a@b."', f'"{"a" * 319}@b"')),
        *(("site", each) for each in ('"x"', '"mailto:a@b"', '" http://a"', '"http://a\\tb"', '"http://a\\u0000"')),
    ],
)  # fmt: skip
def test_what_would_be_changed_is_refused(field: str, sent: str) -> None:
    with pytest.raises(ValidationError):
        Sent.model_validate_json(f'{{"{field}": {sent}}}')


def test_values_of_python_are_taken_as_they_are() -> None:
    now = utc_now()

    dto = Sent(at=now, on=now.date(), span=timedelta(1), price=Decimal("1.5"))

    assert (dto.at, dto.on, dto.span, dto.price) == (now, now.date(), timedelta(1), Decimal("1.50"))


async def test_an_answer_is_what_a_request_reads() -> None:
    entity = SimpleNamespace(
        price=Decimal("0E-8"),
        at=datetime(2026, 11, 23, 9, 24, 2, 5, tzinfo=UTC),
        span=timedelta(minutes=90),
        json="{}",
    )

    response = ContractJSONProvider(Quart(__name__)).response(Answer.of(entity))

    assert json.loads(await response.get_data()) == {
        "price": "0.00000000",
        "at": "2026-11-23T09:24:02.000005Z",
        "span": "PT1H30M",
        "json": "{}",
    }


def test_a_time_without_an_offset_is_written_as_of_utc() -> None:
    entity = SimpleNamespace(price=Decimal(1), at=datetime(1, 1, 1), span=timedelta(), json="")  # noqa: DTZ001 - as asyncpg gives the least one

    assert Answer.of(entity).at == "0001-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("PT0S", "PT0S"),
        ("P0DT0H", "PT0S"),
        ("PT36H", "P1DT12H"),
        ("PT3600.50S", "PT1H0.5S"),
        ("-PT1M", "-PT1M"),
        ("P999999999DT23H59M59.999999S", "P999999999DT23H59M59.999999S"),
    ],
)
def test_a_duration_has_one_normal_form(text: str, normal: str) -> None:
    assert write_duration(read_duration(text)) == normal
    assert read_duration(normal) == read_duration(text)
