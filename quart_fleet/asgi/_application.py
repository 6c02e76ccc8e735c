"""Quart as services use it: their paths and ids, their sessions, and the classes that serve."""

import asyncio
import logging
import os
from collections.abc import Callable, Iterator
from functools import cached_property
from time import perf_counter
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urlsplit

from itsdangerous import BadSignature
from quart import Quart, Response, request
from quart.sessions import NullSession, SecureCookieSessionInterface, SessionMixin
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BaseConverter, RequestRedirect

from quart_fleet.asgi._http import (
    TAKES_CONTEXT,
    AnyHostMap,
    BoundedApplication,
    HTTPConnection,
    LingeringConnection,
    Request,
    WebsocketConnection,
    has_large_body,
    noting,
)
from quart_fleet.asgi._limits import BodyMemory
from quart_fleet.conventions import PREFIX
from quart_fleet.errors import ServiceError
from quart_fleet.logs import CountedWarnings, outside_requests
from quart_fleet.observation import (
    REQUEST,
    ObservedRequest,
    Observers,
    log_trouble,
)

if TYPE_CHECKING:
    from hypercorn.typing import (
        ASGIReceiveCallable,
        ASGISendCallable,
        HTTPResponseBodyEvent,
        HTTPResponseStartEvent,
        HTTPScope,
        Scope,
    )
    from quart.typing import ASGIHTTPProtocol, ResponseReturnValue, ResponseTypes
    from quart.wrappers.base import BaseRequestWebsocket
    from werkzeug.wrappers import Response as WerkzeugResponse


_TOO_MANY_DIGITS = 20
"""No bigint has as many; Python refuses to read more than 4300."""
_HEALTH = f"{PREFIX}/health"
"""Answered however many requests are running: a process that is busy is not to be killed."""
_WITHOUT_BODY = (204, 304)
SOON, MOST_AT_ONCE = 0.010, 32
"""Observers are told together of so many requests that have ended, or of all after so many seconds."""
_END_TIMEOUT = 1.0
"""Seconds that requests which were cut at the end get before what they use ends too."""
_NOWHERE = "/ "
"""A path that no route has, for what is outside of the application's root, or no URL."""


class IdConverter(BaseConverter):
    """The id of a row, as in `/users/<id:record_id>`: ASCII digits, leading zeros allowed.

    There may be any number of digits. An id that is too long for a bigint is read as another
    number that is: no row has either.
    """

    regex = "[0-9]+"
    weight = 50

    def to_python(self, value: str) -> int:
        """Read the digits, of no more than a bigint's many."""
        return int(value.lstrip("0")[:_TOO_MANY_DIGITS] or "0")


class DeferredSession(SessionMixin):
    """A session whose cookie is read and verified at the first access."""

    def __init__(
        self, interface: "SecureCookieSessions", app: Quart, request: "BaseRequestWebsocket"
    ) -> None:
        self._interface = interface
        self._app = app
        self._request = request

    @cached_property
    def opened(self) -> SessionMixin:
        """What Quart's own interface opens at the start of every request."""
        return self._interface.read_cookie(self._app, self._request)

    def find_opened(self) -> SessionMixin | None:
        """Return the session, None where it was neither read nor written."""
        found: SessionMixin | None = vars(self).get("opened")
        return found

    @property
    def modified(self) -> bool:  # a class variable there
        """Whether the cookie has to be sent; set it after a change inside of a value."""
        return self.opened.modified

    @modified.setter
    def modified(self, value: bool) -> None:
        self.opened.modified = value

    def __getitem__(self, key: str) -> Any:
        return self.opened[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.opened[key] = value

    def __delitem__(self, key: str) -> None:
        del self.opened[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.opened)

    def __len__(self) -> int:
        return len(self.opened)


class SecureCookieSessions(SecureCookieSessionInterface):
    """Quart's signed cookies, at no cost for a request that does not touch its session.

    The cookie of a permanent session is therefore renewed by the requests that touch it alone.
    """

    async def open_session(self, app: Quart, request: "BaseRequestWebsocket") -> DeferredSession:  # type: ignore[override]  # a session, but not of that class
        """Return the session unopened."""
        return DeferredSession(self, app, request)

    def read_cookie(self, app: Quart, request: "BaseRequestWebsocket") -> SessionMixin:
        """Return what the cookie holds; empty without one or with one that was not signed here.

        Without a SECRET_KEY, the session can be read and refuses to be written.
        """
        signer = self.get_signing_serializer(app)
        if signer is None:
            return NullSession()
        cookie = request.cookies.get(self.get_cookie_name(app), "")
        age = int(app.permanent_session_lifetime.total_seconds())
        try:
            return self.session_class(signer.loads(cookie, max_age=age))
        except BadSignature:
            return self.session_class()

    def is_null_session(self, obj: object) -> bool:
        """Whether there is nothing to save."""
        opened = obj.find_opened() if isinstance(obj, DeferredSession) else obj
        return opened is None or super().is_null_session(opened)

    async def save_session(
        self, app: Quart, session: SessionMixin, response: "ResponseTypes | WerkzeugResponse | None"
    ) -> None:
        """Send the cookie where the session was changed, and vary by it where it was read."""
        if isinstance(session, DeferredSession):
            session = session.opened
            session.accessed = True
        await super().save_session(app, session, response)


REFUSALS = (400, 408, 426, 431, 500, 501, 503)
"""What is answered where no handler is asked, in the form of all other answers."""
Refusal = tuple["HTTPResponseStartEvent", "HTTPResponseBodyEvent"]


class ServiceApplication(BoundedApplication):
    """A Quart application that keeps the contract with Quart's own HTTP classes."""

    asgi_http_class: "type[ASGIHTTPProtocol]" = LingeringConnection
    asgi_websocket_class = WebsocketConnection
    session_interface: SecureCookieSessionInterface = SecureCookieSessions()
    start_error: str | None = None
    """Why the application could not start, where the reason is a message for users."""
    draining = False
    """Whether this process is about to end."""
    leave: Callable[[], None] | None = None
    """Called once, where others are to hear that this process drains."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.url_map.converters["id"] = IdConverter
        self.observers = Observers()
        """Those that hear of requests, and of what is done for them."""
        self.bodies = BodyMemory()
        self.refusals: dict[int, Refusal] = {}
        self.refusal_headers: dict[str, str] = {}
        self._ended: list[ObservedRequest] = []
        """Requests that observers have not been told of yet."""
        self._apart = outside_requests()
        self.running = 0
        """How many requests are being answered."""
        self._most_running: int = self.config.setdefault("MAX_RUNNING_REQUESTS", 1000)
        self._warnings = CountedWarnings(logging.getLogger(__name__))

    async def asgi_app(
        self, scope: "Scope", receive: "ASGIReceiveCallable", send: "ASGISendCallable"
    ) -> None:
        """Answer a request at its normalised path, whichever class then reads the scope."""
        if scope["type"] != "http":
            await super().asgi_app(scope, receive, send)
            return
        if not self.observers.all:
            await self._answer(scope, receive, send)
            return
        observed = self._begin(scope)
        try:
            await self._answer(scope, receive, send)
        except Exception as error:
            observed.error = error
            raise
        finally:
            self._note_end(observed)

    def _begin(self, scope: "HTTPScope") -> ObservedRequest:
        """Tell of a request, which is the current one from now on."""
        observed = ObservedRequest(scope)
        REQUEST.set(observed)
        for observer in self.observers.of_begins:
            try:
                observer.begin_request(observed)
            except Exception:
                log_trouble(observer)
        return observed

    def _note_end(self, observed: ObservedRequest) -> None:
        """Tell of a request soon, or of all that have ended when they are many.

        One after another they cost the observers half of what each of them alone does.
        """
        observed.seconds = perf_counter() - observed.started
        if observed.body is not None:
            observed.received, observed.body = observed.body.come, None
        if observed.status in _WITHOUT_BODY or observed.scope["method"] == "HEAD":
            observed.sent = 0  # of what the application answers, no server sends it
        if not self._ended:
            loop = asyncio.get_running_loop()
            self._telling = loop.call_later(SOON, self.tell_ended, context=self._apart)
        self._ended.append(observed)
        if len(self._ended) >= MOST_AT_ONCE:
            self._telling.cancel()
            self._apart.run(self.tell_ended)

    def tell_ended(self) -> None:
        """Tell now of the requests that have ended."""
        ended, self._ended = self._ended, []
        for observer in self.observers.all:
            try:
                observer.end_requests(ended)
            except Exception:
                log_trouble(observer)

    async def _answer(
        self, scope: "HTTPScope", receive: "ASGIReceiveCallable", send: "ASGISendCallable"
    ) -> None:
        if self.running >= self._most_running and scope["path"] != _HEALTH:
            line = f"{self._most_running} requests are running, the limit: others get 503"
            self._warnings.warn("running", line)
            await self.refuse(503, send)
            return
        if self.bodies.held > self.bodies.most and has_large_body(scope):
            await self.refuse(503, send)
            return
        self.running += 1
        try:
            await self.asgi_http_class(self, normalise(scope))(receive, send)
        finally:
            self.running -= 1

    async def refuse(self, status: int, send: "ASGISendCallable") -> None:
        """Answer without asking a handler: a request that is too much, or that was cut."""
        if (observed := REQUEST.get()) is not None:
            send = noting(observed, send)
        if status not in self.refusals:  # a server that does not know of the application's start
            self.refusals[status] = await self._write_refusal(status)
        for message in self.refusals[status]:
            await send(message)

    async def startup(self) -> None:
        """Start, or keep the reason why not, for the caller of the server to print."""
        self._ended.clear()  # of another event loop
        self._most_running = self.config["MAX_RUNNING_REQUESTS"]
        self.bodies.most = self.config.get("MAX_BODY_MEMORY", self.bodies.most)
        try:
            await super().startup()
        except ServiceError as error:
            self.start_error = error.message
            raise
        for status in REFUSALS:
            self.refusals[status] = await self._write_refusal(status)

    async def shutdown(self) -> None:
        """End once all that was cut has ended too, with nothing untold."""
        deadline = perf_counter() + _END_TIMEOUT
        while self.running and perf_counter() < deadline:  # noqa: ASYNC110 - there is hardly one
            await asyncio.sleep(SOON)
        self.tell_ended()
        await super().shutdown()

    async def handle_http_exception(self, *given: Any) -> "HTTPException | ResponseReturnValue":
        """Answer a redirect as other errors are, to a path of the host that was asked.

        Werkzeug names the host that the client has sent (RFC 9110, section 10.2.2, needs none), in
        a page of HTML.
        """
        error = given[-1]  # behind the context, where Quart gives it
        if isinstance(error, RequestRedirect) and not self.url_map.host_matching:
            _, _, path, query, _ = urlsplit(error.new_url)
            error.new_url = f"/{path.lstrip('/')}" + (f"?{query}" if query else "")
            error.description = None  # the address that was named
            if handler := self._find_error_handler(error, request.blueprints):
                return await self.ensure_async(handler)(error)  # type: ignore[return-value]
        return await super().handle_http_exception(*given)

    async def _write_refusal(self, status: int) -> "Refusal":
        error = HTTPException()
        error.code = status
        async with self.app_context() as context:
            given = (context, error) if TAKES_CONTEXT else (error,)
            response = await self.make_response(await self.handle_http_exception(*given))
            if isinstance(response, Response):
                body = await response.get_data(as_text=False)
            else:
                body = response.get_data()
        response.headers.extend(self.refusal_headers)
        if status == 503:
            response.headers["Retry-After"] = "1"
        headers = [(name.lower().encode(), value.encode()) for name, value in response.headers]
        return (
            {"type": "http.response.start", "status": status, "headers": headers},
            {"type": "http.response.body", "body": body, "more_body": False},
        )

    def drain(self) -> None:
        """Close each connection behind its next answer, from now on, and be ready no more."""
        if self.leave is not None and not self.draining:
            self.leave()
        self.draining = True
        functions = self.after_request_funcs[None]
        if _close_connection not in functions:
            functions.append(_close_connection)


class LeanApplication(ServiceApplication):
    """The same with lean classes, put in by the extension points that Quart has for them."""

    asgi_http_class = HTTPConnection
    request_class = Request
    url_map_class = AnyHostMap


def application_class() -> type[ServiceApplication]:
    """Return the lean class, or the plain one where tests set `QUART_FLEET_PLAIN=1`.

    Nothing that the contract promises may depend on the lean classes: its tests run on both.
    """
    return ServiceApplication if os.environ.get("QUART_FLEET_PLAIN") == "1" else LeanApplication


def normalise(scope: "HTTPScope") -> "HTTPScope":
    """Return the scope with a path that begins with a slash and lies below the application's root.

    A whole URL stands for its path (RFC 9112, section 3.2.2). Servers decode bytes that are not
    UTF-8 to U+FFFD, which a username may hold, so that they would match real text. A NUL stands
    for them instead: no stored text has one.
    """
    path, root = scope["path"], scope.get("root_path", "")
    if path.startswith("/") and not root and "\ufffd" not in path:
        return scope
    if "\ufffd" in path:
        sent = unquote_to_bytes(scope["raw_path"].partition(b"?")[0])
        try:
            path = sent.decode()
        except UnicodeDecodeError:
            path = sent.decode(errors="replace").replace("\ufffd", "\x00")
    if not path.startswith("/"):
        try:
            path = urlsplit(path).path or "/"
        except ValueError:  # of an address in brackets that is none
            path = _NOWHERE
    if not path.startswith(f"{root}/"):
        path = _NOWHERE
    return {**scope, "path": path}


async def _close_connection(response: "ResponseTypes") -> "ResponseTypes":
    if request.http_version.startswith("1."):  # HTTP/2 has no such header
        response.headers["Connection"] = "close"
    return response
