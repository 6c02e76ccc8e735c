"""How the contract reads a path: what an id is, and what cannot be text."""

from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from werkzeug.routing import IntegerConverter

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope

_TOO_MANY_DIGITS = 20
"""No bigint has as many; Python refuses to read more than 4300."""


class IdConverter(IntegerConverter):
    """ASCII digits, leading zeros allowed, however many: an id past bigint is nobody's."""

    regex = "[0-9]+"

    def to_python(self, value: str) -> int:
        """Read the digits; all numbers that are too long stand for the same unused id."""
        digits = value.lstrip("0")
        return int((digits or "0")[:_TOO_MANY_DIGITS])


class UndecodablePaths:
    """ASGI middleware that keeps bytes which are no UTF-8 from matching real text.

    Servers decode such bytes to U+FFFD, which a username may hold. A NUL stands for them
    instead: no stored text has one.
    """

    def __init__(self, app: "ASGIFramework") -> None:
        self._app = app

    async def __call__(
        self, scope: "Scope", receive: "ASGIReceiveCallable", send: "ASGISendCallable"
    ) -> None:
        if scope["type"] == "http" and "\ufffd" in scope["path"]:
            scope["path"] = _decode(scope["raw_path"])
        await self._app(scope, receive, send)


def _decode(raw_path: bytes) -> str:
    path = unquote_to_bytes(raw_path.partition(b"?")[0])
    try:
        return path.decode()
    except UnicodeDecodeError:
        return path.decode(errors="replace").replace("\ufffd", "\x00")
