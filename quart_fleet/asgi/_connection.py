"""One request and its answer, between the ASGI server and Quart."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from quart import Quart, Response
from quart.asgi import ASGIHTTPConnection
from quart.debug import traceback_response
from quart.wrappers.response import DataBody, ResponseBody

from quart_fleet.asgi._request import Request

if TYPE_CHECKING:
    from hypercorn.typing import (
        ASGIReceiveCallable,
        ASGISendCallable,
        HTTPResponseBodyEvent,
        HTTPResponseStartEvent,
        HTTPScope,
    )
    from quart.typing import ResponseTypes

SMALL = 16_384
"""Bytes of an answer that every server takes at once, so that nobody has to be waited for."""


class HTTPConnection:
    """What Quart asks of its `asgi_http_class`, without tasks and timers that serve nobody.

    Quart's own runs two tasks for every request: one reads, one answers. Here whoever wants the
    body reads it, and only an answer in parts, which may have no end, is stopped when its
    reader has gone. Any other request is finished, with what it began in the database.
    An application with a request class of its own, not derived from ours, gets Quart's.
    """

    def __init__(self, app: Quart, scope: "HTTPScope") -> None:
        self._app = app
        self._scope = scope

    async def __call__(self, receive: "ASGIReceiveCallable", send: "ASGISendCallable") -> None:
        request_class = cast("type[Request]", self._app.request_class)
        if not issubclass(request_class, Request):
            await ASGIHTTPConnection(self._app, self._scope)(receive, send)
            return
        request = request_class.received(self._app, self._scope, receive)
        response = await self._answer(request)
        body = _body_of(response)
        if isinstance(body, bytes) and len(body) <= SMALL and request.body.ended:
            await send(_head_of(response))
            await send(_last_part(body))
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timeout_of(response)):
                await send(_head_of(response))
                await _send_body(body, request, receive, send)

    async def _answer(self, request: Request) -> "ResponseTypes":
        try:
            return await self._app.handle_request(request)
        except Exception as error:
            if not (self._app.debug or self._app.testing):
                raise
            return await traceback_response(error)

    def _timeout_of(self, response: "ResponseTypes") -> float | None:
        """Return the seconds that a client gets to take the answer."""
        timeout = getattr(response, "timeout", ...)
        chosen = self._app.config["RESPONSE_TIMEOUT"] if timeout is ... else timeout
        return cast("float | None", chosen)


def _body_of(response: "ResponseTypes") -> bytes | ResponseBody:
    if not isinstance(response, Response):
        return response.get_data()
    body = response.response
    return body.data[body.begin : body.end] if isinstance(body, DataBody) else body


def _head_of(response: "ResponseTypes") -> "HTTPResponseStartEvent":
    headers = [(name.lower().encode(), value.encode()) for name, value in response.headers]
    return {"type": "http.response.start", "status": response.status_code, "headers": headers}


def _part(data: bytes) -> "HTTPResponseBodyEvent":
    return {"type": "http.response.body", "body": data, "more_body": True}


def _last_part(data: bytes = b"") -> "HTTPResponseBodyEvent":
    return {"type": "http.response.body", "body": data, "more_body": False}


async def _send_body(
    body: bytes | ResponseBody,
    request: Request,
    receive: "ASGIReceiveCallable",
    send: "ASGISendCallable",
) -> None:
    """Send all of the body; its end comes when the request has ended too."""
    if isinstance(body, bytes):
        await send(_part(body))
    else:
        leaving = _until_disconnected(receive) if request.body.ended else request.body.watch()
        await _while_connected(leaving, _send_parts(body, send))
    await request.body.drop()
    await send(_last_part())


async def _send_parts(body: ResponseBody, send: "ASGISendCallable") -> None:
    async with body as parts:
        async for part in parts:
            await send(_part(part.encode() if isinstance(part, str) else part))


async def _while_connected(
    leaving: Coroutine[None, None, None], sending: Coroutine[None, None, None]
) -> None:
    tasks = [asyncio.ensure_future(each) for each in (sending, leaving)]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if tasks[0] in ended or not tasks[0].cancelled():
        tasks[0].result()  # one that was not cancelled here is no whole answer either


async def _until_disconnected(receive: "ASGIReceiveCallable") -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
