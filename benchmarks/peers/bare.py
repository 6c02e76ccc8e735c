"""The limit: no framework, no layers, no validation; a server, asyncpg and orjson."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

import asyncpg
import orjson

from benchmarks.peers import sql
from benchmarks.peers.contract import WELCOME, http_date, link_to_next

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Answer = tuple[int, dict[str, object], str | None]
"""Status, payload, and the value of the header `Link`."""

_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE | orjson.OPT_PASSTHROUGH_DATETIME
_USERS = "/api/v1/users"
_HEALTH = orjson.dumps(
    {"data": {"status": "healthy"}, "message": "Success", "success": True}, option=_OPTIONS
)
pool: asyncpg.Pool


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """Answer what is measured, and hardly anything else."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    path = scope["path"]
    if path == "/api/v1/health":
        await _send(send, 200, _HEALTH)
        return
    status, payload, link = await _answer(scope, path, receive)
    await _send(send, status, orjson.dumps(payload, default=_write, option=_OPTIONS), link)


async def _live(receive: Receive, send: Send) -> None:
    global pool  # noqa: PLW0603 - the whole application is this module
    await receive()
    pool = sql.make_pool()
    async with pool:
        await send({"type": "lifespan.startup.complete"})
        await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def _answer(scope: Message, path: str, receive: Receive) -> Answer:
    if path == _USERS:
        return await _create(receive)
    if path == f"{_USERS}/page":
        return await _page(dict(parse_qsl(scope["query_string"].decode())))
    if path.startswith(f"{_USERS}/"):
        row = await pool.fetchrow(sql.FIND, int(path[len(_USERS) + 1 :]))
        return _refusal(404, "User not found") if row is None else _success(dict(row))
    if path == "/api/v1/":
        return _success({"message": WELCOME})
    return _refusal(404, "Endpoint not found")


async def _page(query: dict[str, str]) -> Answer:
    limit = int(query["limit"])
    found = await pool.fetch(sql.PAGE, int(query["after"]), limit + 1)
    link = link_to_next(limit, found[limit - 1]["id"]) if len(found) > limit else None
    return _success([dict(row) for row in found[:limit]], link)


async def _create(receive: Receive) -> Answer:
    body = orjson.loads((await receive())["body"])
    row = await pool.fetchrow(
        sql.ADD,
        body["username"],
        body["email"],
        body.get("first_name"),
        body.get("last_name"),
        body.get("age"),
    )
    if row is None:
        named = await pool.fetchval(sql.NAMED, body["username"])
        return _refusal(400, f"{'Email' if named is None else 'Username'} already exists")
    created = {"data": dict(row), "message": "User created successfully", "success": True}
    return 201, created, None


def _success(data: object, link: str | None = None) -> Answer:
    return 200, {"data": data, "message": "Success", "success": True}, link


def _refusal(status: int, message: str) -> Answer:
    return status, {"message": message, "success": False}, None


def _write(value: object) -> object:
    if isinstance(value, datetime):
        return http_date(value)
    raise TypeError


async def _send(send: Send, status: int, body: bytes, link: str | None = None) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"access-control-allow-origin", b"*"),
    ]
    if link:
        headers.append((b"link", link.encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
