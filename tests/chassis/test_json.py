"""The JSON of the contract, whichever library writes it."""

import enum
import json
import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import cast
from uuid import UUID

import pytest
from pydantic import HttpUrl, IPvAnyAddress, IPvAnyNetwork
from quart import Quart, Response
from quart.json.provider import DefaultJSONProvider

from quart_fleet.dto import RequestDTO, ResponseDTO
from quart_fleet.web._envelope import ContractJSONProvider


class PersonDTO(ResponseDTO):
    name: str
    born: datetime


@dataclass
class Point:
    x: int


class Colour(enum.IntEnum):
    RED = 1


BORN = datetime(2026, 11, 23, 9, 24, 2, 999999, tzinfo=UTC)
VALUES = [
    None,
    {"b": 1, "a": [True, False, None, {}], "c": {"z": "", "y": []}},
    "\x00\x1f\t\n\r\b\f\"\\/<>&'\x7f",
    "é ☃ 😀 \u2028",
    {"é": 1, "z": 2},
    2**63 - 1,
    2**200,
    -(2**63),
    0.1,
    1.5,
    Decimal("1.10"),
    UUID(int=7),
    BORN,
    [Point(1)],
    Colour.RED,
]


async def body_of(provider: DefaultJSONProvider, value: object) -> bytes:
    response = cast("Response", provider.response(value))
    return await response.get_data(as_text=False)


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("value", VALUES, ids=repr)
async def test_every_value_is_written_as_quart_writes_it(value: object, debug: bool) -> None:
    app = Quart(__name__)
    app.config["DEBUG"] = debug

    written = await body_of(ContractJSONProvider(app), value)

    assert written == await body_of(DefaultJSONProvider(app), value)
    assert written.isascii()


async def test_a_dto_is_written_with_http_dates_and_sorted_keys() -> None:
    body = await body_of(ContractJSONProvider(Quart(__name__)), PersonDTO(name="Ada", born=BORN))

    assert body == b'{"born":"Mon, 23 Nov 2026 09:24:02 GMT","name":"Ada"}\n'


class AccountDTO(ResponseDTO):
    holder: str


class BankDTO(ResponseDTO):
    accounts: dict[str, list[AccountDTO]]


@pytest.mark.parametrize("debug", [False, True])
async def test_a_dto_is_written_wherever_it_is(debug: bool) -> None:
    app = Quart(__name__)
    app.config["DEBUG"] = debug
    account = AccountDTO(holder="Ada")
    bank = BankDTO(accounts={"open": [account]})

    provider, value = ContractJSONProvider(app), {"banks": [bank], "mine": (account,)}

    body = await body_of(provider, value)

    written = {"holder": "Ada"}
    assert json.loads(body) == {"banks": [{"accounts": {"open": [written]}}], "mine": [written]}
    assert json.loads(provider.dumps(value)) == json.loads(body)


class Size(enum.Enum):
    SMALL = "s"


@pytest.mark.parametrize("beside", ["Ada", "José", 2**64], ids=repr)
@pytest.mark.parametrize("debug", [False, True])
async def test_whatever_is_beside_it_an_enumeration_is_written_by_its_value(
    debug: bool, beside: object
) -> None:
    app = Quart(__name__)
    app.config["DEBUG"] = debug

    body = await body_of(ContractJSONProvider(app), {"size": Size.SMALL, "beside": beside})

    assert json.loads(body) == {"size": "s", "beside": beside}


@pytest.mark.parametrize("beside", ["Ada", "José"])
@pytest.mark.parametrize("debug", [False, True])
async def test_what_is_no_number_is_still_json(debug: bool, beside: str) -> None:
    app = Quart(__name__)
    app.config["DEBUG"] = debug

    body = await body_of(ContractJSONProvider(app), {"ratio": math.nan, "beside": beside})

    assert json.loads(body, parse_constant=pytest.fail) == {"ratio": None, "beside": beside}


async def test_what_cannot_be_written_is_refused() -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        await body_of(ContractJSONProvider(Quart(__name__)), object())


class EveryTypeDTO(ResponseDTO):
    day: date
    clock: time
    lasting: timedelta
    page: HttpUrl
    host: IPvAnyAddress
    network: IPvAnyNetwork
    number: Decimal
    key: UUID


class EveryTypeRequestDTO(RequestDTO):
    day: date
    clock: time
    lasting: timedelta
    page: HttpUrl
    host: IPvAnyAddress
    network: IPvAnyNetwork
    number: Decimal
    key: UUID


@pytest.mark.parametrize("debug", [False, True])
async def test_what_a_request_reads_an_answer_writes_in_the_same_text(debug: bool) -> None:
    sent = {
        "day": "2026-11-23",
        "clock": "09:24:02",
        "lasting": "P1DT2H",
        "page": "https://example.com/a?b=%20",
        "host": "2001:db8::1",
        "network": "192.0.2.0/24",
        "number": "1.10",
        "key": "00000000-0000-0000-0000-000000000007",
    }
    app = Quart(__name__)
    app.debug = debug
    read = EveryTypeRequestDTO.model_validate_json(json.dumps(sent))

    answer = await body_of(ContractJSONProvider(app), EveryTypeDTO.of(read))

    assert json.loads(answer) == sent


async def test_what_has_no_form_in_json_is_named() -> None:
    with pytest.raises(TypeError, match="of type object is not JSON serializable"):
        await body_of(ContractJSONProvider(Quart(__name__)), {"it": object()})
