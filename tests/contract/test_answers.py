"""The form of every answer: its bytes, its keys and its dates."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from quart_fleet.conventions import PREFIX
from quart_fleet.database._engine import Database
from scaffold.api.row import JSON, Row

from .people import make_records
from .row import CONTRACT
from .service import RunningService
from .wire import Answer, exchange, spell

ROWS = [row for row in CONTRACT.rows if row.document is not None]

WELCOME_IN_DEBUG = b"""{
  "data": {
    "message": "Welcome to user-service"
  },
  "message": "Success",
  "success": true
}
"""


@pytest.mark.parametrize("row", ROWS, ids=str)
async def test_an_answer_is_compact_sorted_ascii_and_ends_in_a_newline(row: Row, port: int) -> None:
    answer = await _ask(row, port)

    value = json.loads(answer.body)
    assert answer.body == _compact(value)
    assert set(value) == _envelope(answer.status, value)
    assert answer.find("Content-Length") == str(len(answer.body))


@pytest.mark.parametrize("row", ROWS, ids=str)
async def test_an_answer_in_debug_is_indented_by_two(
    row: Row, debug_service: RunningService, people: Database
) -> None:
    answer = await _ask(row, debug_service.port)

    assert answer.status == row.status
    assert answer.body == _indented(json.loads(answer.body))
    assert answer.find("Content-Type") == "application/json"


async def test_debug_changes_the_form_and_nothing_else(
    port: int, debug_service: RunningService
) -> None:
    request = spell("GET", f"{PREFIX}/users")

    production, debug = [await exchange(p, request) for p in (port, debug_service.port)]

    assert json.loads(debug.body) == json.loads(production.body)


async def test_debug_bytes_are_these(debug_service: RunningService) -> None:
    answer = await exchange(debug_service.port, spell("GET", f"{PREFIX}/"))

    assert answer.body == WELCOME_IN_DEBUG


@pytest.mark.parametrize("moment", [
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2024, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2026, 3, 29, 1, 30, tzinfo=UTC),
    datetime(1999, 12, 31, 23, 59, 59, 500_000, tzinfo=UTC),
    datetime(9999, 12, 31, 12, tzinfo=UTC),
], ids=str)  # fmt: skip
async def test_a_date_is_an_http_date_in_utc_cut_to_the_second(
    moment: datetime, people: Database, port: int, debug_service: RunningService
) -> None:
    async with people.connect() as connection:
        await connection.execute("UPDATE users SET created_at = $1 WHERE id = 1", moment)
    expected = format_datetime(moment, usegmt=True)

    for each in (port, debug_service.port):
        answer = await exchange(each, spell("GET", f"{PREFIX}/users/1"))
        assert json.loads(answer.body)["data"]["created_at"] == expected


async def test_a_new_user_is_created_and_updated_at_once(port: int) -> None:
    request = spell("POST", f"{PREFIX}/users", JSON, b'{"username":"g","email":"e"}')

    user = json.loads((await exchange(port, request)).body)["data"]

    assert user["created_at"] == user["updated_at"]


async def test_ids_grow_and_the_list_follows_them(port: int) -> None:
    for name in ("z", "y", "x"):
        body = json.dumps({"username": name, "email": name}).encode()
        await exchange(port, spell("POST", f"{PREFIX}/users", JSON, body))
    await exchange(port, spell("PUT", f"{PREFIX}/users/1", JSON, b'{"age":1}'))

    users = json.loads((await exchange(port, spell("GET", f"{PREFIX}/users"))).body)["data"]

    assert [user["username"] for user in users] == ["ada", "bob", "Éva 😀\ufffd", "z", "y", "x"]
    assert [user["id"] for user in users] == sorted(user["id"] for user in users)


async def test_a_list_of_no_users_is_empty(port: int, people: Database) -> None:
    async with people.connect() as connection:
        await connection.execute("DELETE FROM users")

    for path in ("/users", "/users/active"):
        answer = await exchange(port, spell("GET", PREFIX + path))
        assert answer.body == b'{"data":[],"message":"Success","success":true}\n'


async def test_an_answer_is_dated(port: int) -> None:
    answer = await exchange(port, spell("GET", f"{PREFIX}/health"))

    date = datetime.strptime(answer.find("Date") or "", "%a, %d %b %Y %H:%M:%S GMT")  # noqa: DTZ007
    assert abs(datetime.now(UTC) - date.replace(tzinfo=UTC)) < timedelta(minutes=1)


async def _ask(row: Row, port: int) -> Answer:
    return await exchange(
        port, spell(row.method, PREFIX + make_records().path_of(row), row.headers, row.body)
    )


def _compact(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _indented(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, indent=2).encode() + b"\n"


def _envelope(status: int, value: dict[str, object]) -> set[str]:
    if status < 400:
        return {"data", "message", "success"}
    return {"errors", "message", "success"} if "errors" in value else {"message", "success"}
