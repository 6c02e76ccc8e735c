"""Many requests at once, and one after another: conflicts, lost updates, exhausted resources."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator

import httpx

from quart_fleet.conventions import PREFIX
from scaffold.api.row import JSON, error, to_bytes
from scaffold.api.table import GRACE, USER_NOT_FOUND

from .people import ALL_USERS
from .wire import TIMEOUT, exchange, spell

CLIENTS = 20


async def test_of_many_equal_usernames_one_registers(port: int) -> None:
    bodies = [{"username": "grace", "email": f"{n}@example.com"} for n in range(CLIENTS)]

    answers = await _create_at_once(bodies, port)

    refusal = to_bytes(error("Username already exists"))
    assert answers == {201: 1, (400, refusal): CLIENTS - 1}
    assert len(await _usernames(port)) == 4


async def test_of_many_equal_emails_one_registers(port: int) -> None:
    bodies = [{"username": f"grace{n}", "email": "grace@example.com"} for n in range(CLIENTS)]

    answers = await _create_at_once(bodies, port)

    refusal = to_bytes(error("Email already exists"))
    assert answers == {201: 1, (400, refusal): CLIENTS - 1}
    assert len(await _usernames(port)) == 4


async def test_of_many_equal_users_one_registers_and_the_username_is_named(port: int) -> None:
    answers = await _create_at_once([json.loads(GRACE)] * CLIENTS, port)

    refusal = to_bytes(error("Username already exists"))
    assert answers == {201: 1, (400, refusal): CLIENTS - 1}


async def test_different_users_register_at_once(port: int) -> None:
    bodies = [{"username": f"g{n}", "email": f"{n}@example.com"} for n in range(CLIENTS)]

    answers = await _create_at_once(bodies, port)

    assert answers == {201: CLIENTS}
    assert len(set(await _usernames(port))) == 3 + CLIENTS


async def test_one_of_many_deletions_deletes(port: int) -> None:
    request = spell("DELETE", f"{PREFIX}/users/1")

    answers = await asyncio.gather(*(exchange(port, request) for _ in range(CLIENTS)))

    refusals = [answer.body for answer in answers if answer.status == 404]
    assert refusals == [to_bytes(USER_NOT_FOUND)] * (CLIENTS - 1)


async def test_updates_of_different_fields_lose_nothing(port: int) -> None:
    changes = [{"first_name": "F"}, {"last_name": "L"}, {"age": 7}, {"is_active": False}]
    requests = [
        spell("PUT", f"{PREFIX}/users/1", JSON, json.dumps(change).encode())
        for change in changes * (CLIENTS // len(changes))
    ]

    answers = await asyncio.gather(*(exchange(port, request) for request in requests))

    assert {answer.status for answer in answers} == {200}
    ada = json.loads((await exchange(port, spell("GET", f"{PREFIX}/users/1"))).body)["data"]
    wanted = {"first_name": "F", "last_name": "L", "age": 7, "is_active": False}
    assert ada == ada | wanted


async def test_the_name_of_a_deleted_user_is_free_again(port: int) -> None:
    body = b'{"username":"ada","email":"ada@example.com"}'

    taken = await exchange(port, spell("POST", f"{PREFIX}/users", JSON, body))
    await exchange(port, spell("DELETE", f"{PREFIX}/users/1"))
    free = await exchange(port, spell("POST", f"{PREFIX}/users", JSON, body))

    assert (taken.status, free.status) == (400, 201)


async def test_a_deactivated_user_still_holds_the_name(port: int) -> None:
    body = b'{"username":"bob","email":"new@example.com"}'

    answer = await exchange(port, spell("POST", f"{PREFIX}/users", JSON, body))

    assert (answer.status, answer.body) == (400, to_bytes(error("Username already exists")))


async def test_requests_of_every_kind_use_nothing_up(port: int) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}{PREFIX}", timeout=TIMEOUT) as c:
        for _ in range(50):
            statuses = [
                (await c.get("/users")).status_code,
                (await c.get("/users/4")).status_code,
                (await c.post("/users", json={"username": "ada", "email": "x"})).status_code,
                (await c.put("/users/4", json={"age": 1})).status_code,
                (await c.post("/users", json={"username": "x", "email": 1})).status_code,
                (await c.delete("/users/4")).status_code,
            ]
            assert statuses == [200, 404, 400, 404, 422, 404]
        assert (await c.get("/users")).content == ALL_USERS


async def test_a_client_goes_on_after_a_body_too_large(port: int) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}{PREFIX}", timeout=TIMEOUT) as c:
        for content in (_large_body(), b"x" * (3 << 20)):
            refusal = await c.post("/users", content=content, headers=JSON)
            after = await c.get("/users")

            assert refusal.status_code == 413
            assert refusal.content == to_bytes(error("Request body too large"))
            assert after.content == ALL_USERS


async def test_a_connection_serves_one_request_after_another(port: int) -> None:
    requests = [
        spell("POST", f"{PREFIX}/users", JSON | {"Connection": "keep-alive"}, b"{"),
        spell("POST", f"{PREFIX}/nowhere", {"Connection": "keep-alive"}, b"x" * 10_000),
        spell("POST", f"{PREFIX}/users/2/deactivate", {"Connection": "keep-alive"}, b"{"),
        spell("GET", f"{PREFIX}/users/4"),
    ]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    writer.write(b"".join(requests))
    async with asyncio.timeout(TIMEOUT):
        received = await reader.read()
    writer.close()

    statuses = [line.split()[1] for line in received.splitlines() if line.startswith(b"HTTP/1.1")]
    assert statuses == [b"400", b"404", b"200", b"404"]


async def _create_at_once(
    bodies: list[dict[str, str]], port: int
) -> Counter[int | tuple[int, bytes]]:
    """Count the creations, and the refusals by status and body."""
    requests = [
        spell("POST", f"{PREFIX}/users", JSON, json.dumps(body).encode()) for body in bodies
    ]
    answers = await asyncio.gather(*(exchange(port, request) for request in requests))
    return Counter(201 if each.status == 201 else (each.status, each.body) for each in answers)


async def _usernames(port: int) -> list[str]:
    answer = await exchange(port, spell("GET", f"{PREFIX}/users"))
    return [user["username"] for user in json.loads(answer.body)["data"]]


async def _large_body() -> AsyncIterator[bytes]:
    for _ in range(48):
        yield b"x" * 2**16
