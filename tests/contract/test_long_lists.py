"""A list is one answer, however long: the same bytes, in one order, to every kind of client."""

import json

import httpx
import pytest

from quart_fleet.conventions import PREFIX
from quart_fleet.database._engine import Database

from .service import RunningService
from .wire import TIMEOUT, exchange, spell

LENGTHS = (499, 500, 501, 1000, 1001, 2345)
_INSERT_USERS = """
    INSERT INTO users (id, username, email, first_name, is_active, created_at, updated_at)
    SELECT n, 'user ' || n, n || '@example.com', repeat('é', (n % 50)::int), n % 3 <> 0,
           '2026-11-23 09:24:02Z', '2026-11-23 09:24:02Z'
    FROM generate_series($1::bigint, 1, -1) AS n
"""


async def _insert_users(database: Database, length: int) -> list[dict[str, object]]:
    """Fill the empty table, the youngest first, and return all users as the contract has them."""
    async with database.connect() as connection:
        await connection.execute(_INSERT_USERS, length)
    date = "Mon, 23 Nov 2026 09:24:02 GMT"
    return [
        {"age": None, "created_at": date, "email": f"{n}@example.com",
         "first_name": "é" * (n % 50), "id": n, "is_active": n % 3 != 0, "last_name": None,
         "updated_at": date, "username": f"user {n}"}
        for n in range(1, length + 1)
    ]  # fmt: skip


def _list_of(users: list[dict[str, object]]) -> bytes:
    envelope = {"data": users, "message": "Success", "success": True}
    return json.dumps(envelope, separators=(",", ":")).encode() + b"\n"


@pytest.mark.parametrize("length", LENGTHS)
async def test_a_list_of_any_length_is_one_answer(
    length: int, database: Database, sound_service: RunningService
) -> None:
    users = await _insert_users(database, length)
    active = [user for user in users if user["is_active"]]

    async with httpx.AsyncClient(timeout=TIMEOUT) as client:
        base = f"http://127.0.0.1:{sound_service.port}{PREFIX}"
        all_users = await client.get(f"{base}/users", headers={"Origin": "http://a"})
        in_use = await client.get(f"{base}/users/active")

    assert all_users.content == _list_of(users)
    assert in_use.content == _list_of(active)
    assert all_users.headers["Content-Type"] == "application/json"
    assert all_users.headers["Access-Control-Allow-Origin"] == "http://a"


@pytest.mark.parametrize("length", LENGTHS)
async def test_a_list_of_any_length_is_indented_in_debug(
    length: int, database: Database, debug_service: RunningService
) -> None:
    users = await _insert_users(database, length)
    envelope = {"data": users, "message": "Success", "success": True}

    async with httpx.AsyncClient(timeout=TIMEOUT) as client:
        answer = await client.get(f"http://127.0.0.1:{debug_service.port}{PREFIX}/users")

    assert answer.content == json.dumps(envelope, indent=2).encode() + b"\n"


async def test_the_head_of_a_long_list_is_empty(
    database: Database, sound_service: RunningService
) -> None:
    await _insert_users(database, 1001)

    answer = await exchange(sound_service.port, spell("HEAD", f"{PREFIX}/users"))

    assert (answer.status, answer.body) == (200, b"")
    assert answer.find("Content-Type") == "application/json"


async def test_an_old_client_reads_a_long_list(
    database: Database, sound_service: RunningService
) -> None:
    users = await _insert_users(database, 1001)
    request = f"GET {PREFIX}/users HTTP/1.0\r\n\r\n".encode()

    answer = await exchange(sound_service.port, request)

    assert answer.status == 200
    assert answer.body == _list_of(users)


async def test_a_client_that_hangs_up_in_a_long_list_costs_nothing(
    database: Database, sound_service: RunningService
) -> None:
    users = await _insert_users(database, 2345)
    base = f"http://127.0.0.1:{sound_service.port}{PREFIX}"

    for _ in range(20):
        async with (
            httpx.AsyncClient(timeout=TIMEOUT) as client,
            client.stream("GET", f"{base}/users") as response,
        ):
            assert response.status_code == 200

    async with httpx.AsyncClient(timeout=TIMEOUT) as client:
        answer = await client.get(f"{base}/users")
    assert answer.content == _list_of(users)
