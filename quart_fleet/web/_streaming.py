"""The envelope around a list that is too long to be held: written as it is read."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from textwrap import indent
from typing import cast

from quart import Response, current_app, request
from quart.json.provider import JSONProvider


def stream_list(first: Sequence[object], rest: AsyncIterator[Sequence[object]]) -> Response:
    """Answer `{"data": [...], "message": "Success", "success": true}` chunk by chunk.

    The bytes are those of the same list answered at once. Should reading fail on the way, the
    connection is cut, since the status has been sent.
    """
    layout = (_IndentedLayout if current_app.debug else _Layout)(current_app.json)
    body = _nothing() if request.method == "HEAD" else _write(layout, first, rest)
    response = Response(body, content_type="application/json")
    response.timeout = None  # a long list may take a slow reader longer than any single answer
    return response


class _Layout:
    """The compact form."""

    opening = b'{"data":['
    separator = b","
    closing = b'],"message":"Success","success":true}\n'

    def __init__(self, provider: JSONProvider) -> None:
        self._provider = provider

    async def items(self, chunk: Sequence[object]) -> bytes:
        """Return the items with the commas between them."""
        written = cast("Response", self._provider.response(chunk))
        return (await written.get_data(as_text=False)).strip()[1:-1]


class _IndentedLayout(_Layout):
    """The form of DEBUG, indented by 2."""

    opening = b'{\n  "data": [\n'
    separator = b",\n"
    closing = b'\n  ],\n  "message": "Success",\n  "success": true\n}\n'

    async def items(self, chunk: Sequence[object]) -> bytes:
        """Return the items, each of their lines further to the right, below `data`."""
        lines = (await super().items(chunk)).decode().strip("\n")
        return indent(lines, "  ").encode()


async def _write(
    layout: _Layout, first: Sequence[object], rest: AsyncIterator[Sequence[object]]
) -> AsyncGenerator[bytes, None]:
    yield layout.opening + await layout.items(first)
    async for chunk in rest:
        if chunk:
            yield layout.separator + await layout.items(chunk)
    yield layout.closing


async def _nothing() -> AsyncGenerator[bytes, None]:
    yield b""
