"""The page of a fleet and its address: a Quart application that answers this machine's user alone.

A web site that the user visits may ask any port of this machine. What it cannot do is choose the
headers that its browser sends: Host names the site itself where its name was made to lead here, and
Origin and Sec-Fetch-Site say where a request comes from. What changes something wants a token
besides, which only the page can read.
"""

import asyncio
import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from hmac import compare_digest
from importlib.resources import files
from pathlib import Path
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any, cast

import orjson
import uvicorn
from quart import Quart, Response, abort, request
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from werkzeug.exceptions import HTTPException

from scaffold.errors import ScaffoldError
from scaffold.supervisor.page.broadcast import Broadcast
from scaffold.supervisor.page.gateway import Gateway, refuse
from scaffold.supervisor.page.sources import Sources
from scaffold.supervisor.page.view import cut, describe_entry, describe_steps, find_entries

if TYPE_CHECKING:
    from hypercorn.typing import (
        ASGIReceiveCallable,
        ASGISendCallable,
        HTTPScope,
        Scope,
        WebsocketScope,
    )

    from scaffold.supervisor.fleet import Fleet

OWN = "/_fleet"
"""Below which everything of the page itself is."""
TO = f"{OWN}/to/"
"""Below which, by its name, each service answers whatever it is asked."""
_END_TIMEOUT = 2
"""Seconds that requests have at the end of the fleet."""
_TOKEN = "X-Fleet-Token"  # noqa: S105 - the name of a header
_USERS = {0, os.geteuid(), int(os.environ.get("SUDO_UID", "0"))}
"""That may ask: root, the user who has the fleet up, and the one who has become root for it."""
_LOOPBACK = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?", re.IGNORECASE)
_MEDIA = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class _Protocol(HttpToolsProtocol):
    """Has each request know its connection."""

    @cached_property
    def is_allowed(self) -> bool:
        """Whether it is of this user or root: another one of the machine can open its ports too.

        It is looked up once, and not for what services answer, whose ports are as open.
        """
        peer = self.transport.get_extra_info("peername")
        return find_user(peer, self.transport.get_extra_info("sockname")) in _USERS

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["connection"] = self  # type: ignore[typeddict-unknown-key]


def find_user(client: tuple[str, int], server: tuple[str, int]) -> int | None:
    """Return whose the client's end of a connection within this machine is.

    It is this user's where the system does not tell, and of no user where it is closed already.
    """
    ends = [
        f"{int.from_bytes(socket.inet_aton(host), sys.byteorder):08X}:{port:04X}"
        for host, port in (client, server)
    ]
    mapped = f"{int.from_bytes(bytes((0, 0, 255, 255)), sys.byteorder):08X}".rjust(24, "0")
    for name, before in (("tcp", ""), ("tcp6", mapped)):  # an IPv6 socket may ask by IPv4
        try:
            lines = Path("/proc/net", name).read_text(encoding="ascii").splitlines()
        except OSError:
            if not before:
                return os.geteuid()
            continue
        wanted = f" {before}{ends[0]} {before}{ends[1]} "
        for line in lines:
            if wanted in line:
                fields = line.split()
                return int(fields[7]) if fields[9] != "0" else None
    return None


class _Server(uvicorn.Server):
    """A server that leaves signals to the supervisor."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(fleet: "Fleet", listener: socket.socket) -> None:
    """Answer at a socket that listens, until it is cancelled."""
    sources = Sources(fleet)
    async with sources.running(), Gateway() as gateway:
        app = PageApplication(fleet, sources, gateway)
        config = uvicorn.Config(
            app, http=_Protocol, ws="wsproto", lifespan="off", proxy_headers=False,
            server_header=False, date_header=False, access_log=False, log_config=None,
            log_level="critical", timeout_graceful_shutdown=_END_TIMEOUT,
        )  # fmt: skip
        server = _Server(config)
        serving = asyncio.create_task(server.serve([listener]))
        telling = asyncio.create_task(app.broadcast.run())
        try:
            await asyncio.wait({serving, telling}, return_when=asyncio.FIRST_COMPLETED)
            await (telling if telling.done() else serving)  # which have failed
        finally:
            telling.cancel()
            app.broadcast.end()
            server.should_exit = True
            await asyncio.gather(serving, telling, return_exceptions=True)


class PageApplication(Quart):
    """The page, and before it the gateway."""

    def __init__(self, fleet: "Fleet", sources: Sources, gateway: Gateway) -> None:
        super().__init__(__name__, static_folder=None)
        self.token = token_urlsafe(32)
        self.fleet, self.sources = fleet, sources
        self.gateway = gateway
        self.broadcast = Broadcast(fleet, sources)
        self._assets = {
            each.name: (each.read_bytes(), _MEDIA[each.name[each.name.rindex(".") :]])
            for each in (files("scaffold.supervisor.page") / "assets").iterdir()
        }
        self._page_asgi = self.asgi_app
        self.asgi_app = self.answer  # type: ignore[method-assign]  # as Quart documents it
        self.before_request(self.check)
        self.after_request(protect)
        self.register_error_handler(HTTPException, explain)
        for method, rule, view in (
            ("GET", "/", self.show_page),
            ("GET", f"{OWN}/assets/<name>", self.show_asset),
            ("GET", f"{OWN}/events", self.tell),
            ("GET", f"{OWN}/logs", self.search_logs),
            ("GET", f"{OWN}/requests", self.show_request),
            ("GET", f"{OWN}/services/<name>/document", self.show_document),
            ("POST", f"{OWN}/services/<name>/restart", self.restart),
            ("GET", f"{OWN}/migrations", self.show_migrations),
            ("POST", f"{OWN}/migrate", self.migrate),
        ):
            self.add_url_rule(rule, rule, view, methods=[method])

    async def answer(
        self, scope: "Scope", receive: "ASGIReceiveCallable", send: "ASGISendCallable"
    ) -> None:
        if scope["type"] == "http":
            await self.lead(scope, receive, send)
        elif scope["type"] == "websocket":
            await self.join(scope, receive, send)
        else:
            await self._page_asgi(scope, receive, send)

    async def lead(
        self, scope: "HTTPScope", receive: "ASGIReceiveCallable", send: "ASGISendCallable"
    ) -> None:
        """Have a request answered by the page, or by the service to which its path leads."""
        headers = dict(scope["headers"])
        path = scope["path"]
        is_own, refusal = path == "/" or path.startswith(f"{OWN}/"), ""
        if not _LOOPBACK.fullmatch(headers.get(b"host", b"").decode("latin-1")):
            # The name of a site may lead to this machine: DNS rebinding.
            refusal = "Ask by the name localhost"
        elif is_own and not cast("Any", scope)["connection"].is_allowed:
            refusal = "Another user of this machine has the fleet up"
        if refusal:
            await refuse(send, 403, refusal)
            return
        target = _target_of(scope)
        if path.startswith(TO):
            name, _, _ = path.removeprefix(TO).partition("/")
            if not self.is_ours(headers):
                await refuse(send, 403, "Only the page may ask")
                return
            upstream = self.sources.find_service(name)
            if upstream is None:
                await refuse(send, 404, "No such service")
                return
            target = b"/" + target.removeprefix(TO.encode()).partition(b"/")[2]
            scope["headers"] = [
                each for each in scope["headers"] if each[0] != _TOKEN.lower().encode()
            ]
        elif is_own:
            await self._page_asgi(scope, receive, send)
            return
        else:
            upstream = self.sources.find_upstream(path)
            if upstream is None:
                await refuse(send, 404, "Endpoint not found")
                return
        await self.gateway.answer(upstream, target, scope, receive, send)

    async def join(
        self, scope: "WebsocketScope", receive: "ASGIReceiveCallable", send: "ASGISendCallable"
    ) -> None:
        """Join a WebSocket with that of the service to which its path leads; the page has none."""
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        upstream = self.sources.find_upstream(scope["path"])
        if upstream is None or not _LOOPBACK.fullmatch(host):
            await send({"type": "websocket.close", "code": 1000, "reason": None})  # which is a 403
            return
        await self.gateway.join(upstream, _target_of(scope), scope, receive, send)

    def is_ours(self, headers: dict[bytes, bytes]) -> bool:
        given = headers.get(_TOKEN.lower().encode(), b"")
        return compare_digest(given, self.token.encode()) and _is_from_here(
            headers.get(b"origin", b"").decode("latin-1"),
            headers.get(b"host", b"").decode("latin-1"),
            headers.get(b"sec-fetch-site", b"").decode("latin-1"),
        )

    async def check(self) -> None:
        given, host = request.headers, request.headers.get("Host", "")
        origin, site = given.get("Origin", ""), given.get("Sec-Fetch-Site", "")
        if request.path != "/" and not _is_from_here(origin, host, site):
            abort(403, "Only the page may ask")
        if request.method not in ("GET", "HEAD") and not compare_digest(
            given.get(_TOKEN, "").encode(), self.token.encode()
        ):
            abort(403, "Only the page may ask")

    async def show_page(self) -> Response:
        """Answer the page itself, which holds the token."""
        text = self._assets["page.html"][0].decode().replace("{token}", self.token)
        return Response(text, content_type="text/html; charset=utf-8")

    async def show_asset(self, name: str) -> Response:
        """Answer what the page is made of."""
        if name not in self._assets or name == "page.html":
            abort(404, "No such file")
        body, media = self._assets[name]
        return Response(body, content_type=f"{media}; charset=utf-8")

    async def tell(self) -> Response:
        """Tell what happens, as server-sent events."""
        if self.broadcast.is_full:
            abort(503, "Too many pages are open")
        response = Response(
            self.broadcast.follow(), content_type="text/event-stream; charset=utf-8"
        )
        response.timeout = None
        return response

    async def search_logs(self) -> Response:
        """Answer the last lines that are as asked for, the oldest first."""
        found = find_entries(self.fleet.journal, request.args)
        return _json([describe_entry(each) for each in found])

    async def show_request(self) -> Response:
        """Answer what each service has done for a request; no path has each `id` as a part."""
        found = self.sources.following.find(request.args.get("id", ""))
        return _json(describe_steps(found))

    async def show_document(self, name: str) -> Response:
        """Answer the OpenAPI document of a service."""
        if (found := self.sources.documents.get(name)) is None:
            abort(404, "The service has not told its routes yet")
        return _json(found)

    async def restart(self, name: str) -> Response:
        """Have another process of a service take over."""
        if name not in self.fleet.services:
            abort(404, "No such service")
        reason = cut(await self.fleet.restart(name))
        return _json({"reason": reason}, 409 if reason else 200)

    async def show_migrations(self) -> Response:
        """Answer the SQL of the pending migrations, after another look for them."""
        await self.fleet.look_at_revisions()
        try:
            return _json({"sql": await self.sources.read_pending_sql()})
        except ScaffoldError as error:
            abort(409, cut(str(error)))

    async def migrate(self) -> Response:
        """Apply the pending migrations."""
        reason = cut(await self.fleet.migrate())
        return _json({"reason": reason}, 409 if reason else 200)


def _target_of(scope: "HTTPScope | WebsocketScope") -> bytes:
    query = scope["query_string"]
    return scope["raw_path"] + (b"?" + query if query else b"")


def _is_from_here(origin: str, host: str, site: str) -> bool:
    return origin in ("", f"http://{host}") and site in ("", "same-origin", "none")


def _json(value: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, content_type="application/json")


async def protect(response: Response) -> Response:
    """Have browsers keep others from what the page answers, and the page to itself."""
    response.headers.update(_HEADERS)
    return response


async def explain(error: HTTPException) -> Response:
    """Answer an error in the envelope of the contract."""
    return _json({"message": error.description or error.name, "success": False}, error.code or 500)
