"""Which files one request passes, and how often it moves from one to another.

Run in a generated workspace with a migrated DATABASE_URL: `python tracer.py FOLDER ...`, where the
folders hold the code that counts as ours. Prints JSON: by request, its moves as pairs of files.

A move is a call of a function in another file than that of its nearest caller of ours; what
libraries do between the two does not count, and neither does a coroutine that goes on.
"""

import asyncio
import json
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from quart import Quart

# Of the workspace that this runs in, which may be another one than the type checker's.
from user_service.bootstrap import create_app  # type: ignore[import-not-found, unused-ignore]

USER = {"username": "ada", "email": "ada@example.com", "age": 36}
REQUESTS: list[tuple[str, str, dict[str, object] | None]] = [
    ("POST", "/api/v1/users", USER),
    ("GET", "/api/v1/users/1", None),
    ("PUT", "/api/v1/users/1", {"age": 37}),
]
WARM_UP: list[tuple[str, str, dict[str, object] | None]] = [
    ("POST", "/api/v1/users", USER),
    ("GET", "/api/v1/users/0", None),
    ("PUT", "/api/v1/users/0", {"age": 37}),
]
"""What is compiled, prepared or kept once is not a part of every request."""


class Tracer:
    """Notes every move, as a profile function of the interpreter."""

    def __init__(self, folders: list[Path]) -> None:
        self._folders = folders
        self._entered: set[FrameType] = set()
        self._names: dict[str, str | None] = {}
        self.moves: list[tuple[str, str]] = []

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        target = self._name_of(frame)
        if event != "call" or target is None or frame in self._entered:
            return
        if asyncio.current_task() is None:  # a timer of the event loop, which is of no request
            return
        self._entered.add(frame)
        origin = self._caller_of(frame)
        if origin != target:
            self.moves.append((origin, target))

    def _caller_of(self, frame: FrameType) -> str:
        caller = frame.f_back
        while caller is not None:
            name = self._name_of(caller)
            if name is not None:
                return name
            caller = caller.f_back
        return "the server"

    def _name_of(self, frame: FrameType) -> str | None:
        file = frame.f_code.co_filename
        if file not in self._names:
            self._names[file] = self._find_name(Path(file))
        return self._names[file]

    def _find_name(self, file: Path) -> str | None:
        for folder in self._folders:
            if file.is_relative_to(folder):
                return str(file.relative_to(folder.parent))
        return None


async def ask(app: Quart, method: str, path: str, body: dict[str, object] | None) -> int:
    """Send a request as a server does, and return the status."""
    content = b"" if body is None else json.dumps(body).encode()
    headers = [(b"host", b"localhost")]
    if content:
        headers += [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(content)).encode()),
        ]
    scope: Any = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8081),
    }
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return int(sent[0]["status"])


async def trace(folders: list[Path]) -> dict[str, list[tuple[str, str]]]:
    """Return the moves of each request."""
    app = create_app()
    found = {}
    async with app.test_app():
        for request in WARM_UP:
            await ask(app, *request)
        for method, path, body in REQUESTS:
            tracer = Tracer(folders)
            unique = body and {**body, "username": "bob", "email": "bob@example.com"}
            sys.setprofile(tracer)
            try:
                status = await ask(app, method, path, unique if method == "POST" else body)
            finally:
                sys.setprofile(None)
            if status not in (200, 201):
                sys.exit(f"{method} {path} was answered {status}")
            found[method] = tracer.moves
    return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(trace([Path(each) for each in sys.argv[1:]]))))
