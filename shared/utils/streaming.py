"""The envelope around a list that is too long to be held: written as it is read."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from textwrap import indent
from typing import cast

from quart import Response, current_app, request

from shared.web.json import ContractJSONProvider


def stream_list(first: Sequence[object], rest: AsyncIterator[Sequence[object]]) -> Response:
    """Answer `{"data": [...], "message": "Success", "success": true}` chunk by chunk.

    The bytes are those of the same list answered at once. Should reading fail on the way, the
    connection is cut, since the status has been sent.
    """
    provider = cast("ContractJSONProvider", current_app.json)
    layout = _IndentedLayout(provider) if current_app.debug else _Layout(provider)
    body = _nothing() if request.method == "HEAD" else _write(layout, first, rest)
    response = Response(body, content_type="application/json")
    response.timeout = None  # a long list may take a slow reader longer than any single answer
    return response


class _Layout:
    """The compact form."""

    opening = b'{"data":['
    separator = b","
    closing = b'],"message":"Success","success":true}\n'

    def __init__(self, provider: ContractJSONProvider) -> None:
        self._provider = provider

    def items(self, chunk: Sequence[object]) -> bytes:
        """Return the items with the commas between them."""
        return self._provider.encode(chunk).strip()[1:-1]


class _IndentedLayout(_Layout):
    """The form of DEBUG, indented by 2."""

    opening = b'{\n  "data": [\n'
    separator = b",\n"
    closing = b'\n  ],\n  "message": "Success",\n  "success": true\n}\n'

    def items(self, chunk: Sequence[object]) -> bytes:
        """Return the items, each of their lines further to the right, below `data`."""
        lines = super().items(chunk).decode().strip("\n")
        return indent(lines, "  ").encode()


async def _write(
    layout: _Layout, first: Sequence[object], rest: AsyncIterator[Sequence[object]]
) -> AsyncGenerator[bytes, None]:
    yield layout.opening + layout.items(first)
    async for chunk in rest:
        if chunk:
            yield layout.separator + layout.items(chunk)
    yield layout.closing


async def _nothing() -> AsyncGenerator[bytes, None]:
    yield b""
