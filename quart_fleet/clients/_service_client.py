"""Calls of another service: in time, no more at once than are good for it, and none twice by chance."""

import asyncio
import logging
import random
import re
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from types import MappingProxyType
from typing import Any, TypeVar, get_args

import aiohttp
import orjson
from pydantic import BaseModel
from quart import Quart
from yarl import URL

from quart_fleet.bounds import BOUND, DEADLINE_HEADER
from quart_fleet.clients._breaker import CircuitBreaker
from quart_fleet.clients._operation import (
    CallFailedError,
    LateError,
    NotSentError,
    OpensAnswers,
    Operation,
    Outcome,
    RetryableStatusError,
    UnexpectedAnswerError,
    UnexpectedRefusalError,
)
from quart_fleet.errors import (
    ConfigurationError,
    NotFoundError,
    ServiceError,
    UnavailableError,
)
from quart_fleet.files import parse_toml, shown
from quart_fleet.listing import spell
from quart_fleet.observation import (
    CLIENTS,
    REQUEST,
    REQUEST_ID,
    ObservedCall,
    Observers,
    find_request,
    log_trouble,
)
from quart_fleet.paging import ListPage
from quart_fleet.settings import ServiceSettings
from quart_fleet.workspace import Workspace

T = TypeVar("T")
R = TypeVar("R")

_log = logging.getLogger("quart_fleet.clients")

RESERVE = 0.02
"""Seconds of a request's time that are left to it after its calls, for its answer."""
FAILURE_TIMEOUT = 1.0
"""Seconds after which a service counts as silent. A caller may leave a call less time, and is not
to decide by that whether other calls are sent."""
CONNECT_TIMEOUT = 2.0
"""Seconds to connect: a packet that is lost is sent again after one."""
FIRST_BACKOFF, LONGEST_BACKOFF = 0.05, 1.0
"""Seconds: before it is sent again a call waits a random part of a time that doubles with each attempt,
which is called full jitter."""
CONNECT_ATTEMPTS = 3
"""How often a connection is tried for a call that was never sent."""

_NONE: Mapping[str, Any] = MappingProxyType({})
_PROPAGATED_HEADERS = {
    b"traceparent": re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}[!-~]{0,200}"),
    b"tracestate": re.compile(rb"[ -~]{1,512}"),
}
"""What a request passes on of where it belongs (W3C's Trace Context, section 3)."""
_RETRYABLE_STATUSES = (408, 425, 429, 502, 503, 504)
"""Statuses by which a service, or a proxy before it, says that it may answer later."""


class Clients:
    """The services that a service calls, through one pool that is open while the application serves.

    In `bootstrap.py`:

        pool = Clients(app, config, APIResponse)
        users = pool.of("user-service", config.user_service_url)

    Args:
        app: serves while the pool is open.
        config: the calling service's settings.
        envelope: the form of the fleet's answers; None is that of `quart_fleet.web`.
    """

    def __init__(
        self, app: Quart, config: ServiceSettings, envelope: type[OpensAnswers] | None = None
    ) -> None:
        self.envelope = envelope
        self.services: list[ServiceClient] = []
        """What calls each of them, with the state of its circuits and the outcomes of its calls."""
        self.observers: Observers = getattr(app, "observers", None) or Observers()
        app.extensions.setdefault(CLIENTS, []).append(self)
        self._config = config
        self._folder = Path(app.root_path)
        self._made: dict[tuple[str, str | None], ServiceClient] = {}
        self._unresolved: list[ServiceClient] = []
        self._session: aiohttp.ClientSession | None = None
        app.while_serving(self._open)

    @property
    def session(self) -> aiohttp.ClientSession:
        """The pool; raises RuntimeError while the application does not serve."""
        if self._session is None:
            raise RuntimeError("Other services can be called only while the application serves")
        return self._session

    def of(self, service: str, url: str | None) -> "ServiceClient":
        """Return what calls a service, the same one each time; it has a limit and breakers of its own.

        Args:
            service: its name in fleet.toml, as `user-service`.
            url: its address, which the setting of its name says: USER_SERVICE_URL. None means the
                instances that the registry of SERVICE_REGISTRY_URL tells, and, where there is none
                or none is known, with DEBUG or TESTING its port of fleet.toml on this machine.
                Without all of these the application does not start.
        """
        if (service, url) in self._made:
            return self._made[service, url]
        client = self._made[service, url] = ServiceClient(self, self._config, service)
        self.services.append(client)
        if url is None:
            self._unresolved.append(client)
        else:
            client.fallback = [url.rstrip("/")]
            client.locate(())
        return client

    async def _open(self) -> AsyncGenerator[None, None]:
        for client in self._unresolved:
            client.fallback = self._find_fallback(client.service)
            if self._config.service_registry_url is None:
                client.locate(())
        session = aiohttp.ClientSession(
            # Shorter than any server waits for the next request of a connection.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=15),
            headers={
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": self._config.service_name,
            },
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_TIMEOUT),
            auto_decompress=False,
            trust_env=False,
        )
        session._retry_connection = False  # which sends PUT and DELETE again
        async with session:
            self._session = session
            watches = self._watch(self._config.service_registry_url, session)
            try:
                yield
            finally:
                self._session = None
                for watch in watches:
                    watch.cancel()
                await asyncio.gather(*watches, return_exceptions=True)

    def _watch(self, url: str | None, session: aiohttp.ClientSession) -> list[asyncio.Task[None]]:
        """Begin to ask the registry where services are that have no address of their own."""
        if url is None or not self._unresolved:
            return []
        from quart_fleet.clients._registry import Registry  # noqa: PLC0415 - where there is one

        registry = Registry(url, self._config, session)
        return [
            asyncio.create_task(registry.watch(each.service, each.locate))
            for each in self._unresolved
        ]

    def _find_fallback(self, service: str) -> list[str]:
        """Return where a service of the workspace is on this machine, in development.

        Raises ConfigurationError where that is nowhere, and no registry is to know it.
        """
        variable = f"{service.replace('-', '_').upper()}_URL"
        has_registry = self._config.service_registry_url is not None
        if not (self._config.debug or self._config.testing):
            if has_registry:
                return []
            raise ConfigurationError(
                f"{variable}: set it to the address of the {service}, as http://{service}:8081"
            )
        fleet = Workspace.find(self._folder).root / "fleet.toml"
        port = parse_toml(fleet).get(service, {}).get("port") if fleet.is_file() else None
        if port is None and not has_registry:
            raise ConfigurationError(
                f"{variable}: set it to the address of the {service}, since {shown(fleet)} has no port"
            )
        return [f"http://127.0.0.1:{port}"] if port else []


@dataclass(frozen=True, slots=True)
class _Call:
    """What is sent at each attempt, and the time that there is for all of them."""

    path: str
    query: Sequence[tuple[str, str]]
    headers: dict[str, str]
    body: bytes | None
    begun: float
    end: float
    observed: ObservedCall


@dataclass(eq=False, slots=True)
class Instance:
    """One address of a service: as a rule one process, which may fail while others work."""

    url: str
    breaker: CircuitBreaker
    running: int = 0
    """How many calls are in progress."""


class _Trial:
    """The instance that a call is sent to, whose breaker hears once what came of it there."""

    __slots__ = ("_instance", "_permit", "failed", "is_working")

    def __init__(self) -> None:
        self._instance: Instance | None = None
        self._permit: int | None = None
        self.is_working: bool | None = None
        self.failed: list[Instance] = []

    def turn_to(self, instance: Instance) -> None:
        """Send it there; raises UnavailableError where the circuit is open."""
        if instance is not self._instance:
            self.end()
            self._instance, self._permit, self.is_working = instance, None, None
        self._permit = instance.breaker.acquire(self._permit)

    def note(self, failed: CallFailedError) -> None:
        """Remember what an attempt has brought."""
        self.is_working = failed.is_working
        if self._instance is not None:
            self.failed.append(self._instance)

    def end(self) -> None:
        """Tell the breaker."""
        if self._instance is not None and self._permit is not None:
            self._instance.breaker.record(self._permit, self.is_working)


class ServiceClient:
    """Calls the operations of one service.

    Of several instances the one is called that has the fewest calls in progress, and each has a
    circuit breaker: one that fails is left alone, and the others are not.
    """

    def __init__(self, clients: Clients, config: ServiceSettings, service: str) -> None:
        self.service = service
        self.instances: Sequence[Instance] = ()
        """Where it is, as far as that is known."""
        self.outcomes: dict[str, int] = dict.fromkeys(get_args(Outcome), 0)
        """How many calls have ended how, since the process began."""
        self.fallback: Sequence[str] = ()
        """Addresses that are called where no instance is known."""
        self._is_located = asyncio.Event()
        self._clients = clients
        self._timeout = config.call_timeout
        self._failure_timeout = min(FAILURE_TIMEOUT, config.call_timeout)
        self._most_bytes = config.max_answer_size
        self._concurrency_limit = asyncio.Semaphore(config.max_running_calls)

    def locate(self, urls: Sequence[str] | None) -> None:
        """Call these addresses from now on, `fallback` where there are none.

        Those that were called before keep their circuits. None leaves them, where there are any.
        """
        self._is_located.set()
        if urls is None and self.instances:
            return
        known = {each.url: each for each in self.instances}
        self.instances = [
            known.get(url)
            or Instance(url, CircuitBreaker(self.service, _time, place=url if urls else ""))
            for url in urls or self.fallback
        ]

    async def call(
        self,
        operation: Operation[T],
        values: Mapping[str, object] = _NONE,
        *,
        query: Mapping[str, object] = _NONE,
        body: BaseModel | Mapping[str, object] | None = None,
    ) -> T:
        """Call an operation, and return the data that it answers.

        Raises InvalidRequestError for a value that cannot be a part of a path.
        Raises what the service has refused, as it was raised there, where the operation names it
        (by itself NotFoundError and ConflictError). Raises UnavailableError, and logs an error,
        where it has refused anything else. Raises UnavailableError where no answer comes that can
        be read: within CALL_TIMEOUT, and within the time that the current request still has.

        Args:
            operation: what is called.
            values: of the names in its path.
            query: the query parameters; one that is None is left out, and of several values each
                is sent under its name.
            body: sent without the fields that are not set.
        """
        return await self._call(operation, values, query, body, lambda data, _: data)

    async def page(
        self,
        operation: Operation[list[T]],
        values: Mapping[str, object] = _NONE,
        *,
        query: Mapping[str, object] = _NONE,
    ) -> ListPage[T]:
        """Call an operation that answers a page of a list; it raises as `call` does."""

        def read(items: list[T], headers: Mapping[str, str]) -> ListPage[T]:
            target, _, rest = headers.get("Link", "").partition(">")  # RFC 8288
            total = headers.get("X-Total-Count", "")
            try:
                after = URL(target.lstrip(" <")).query.get("after") if "next" in rest else None
                return ListPage(items, after, int(total) if total.isdecimal() else None)
            except ValueError as error:
                raise UnexpectedAnswerError(f"{operation} was answered a page: {error}") from None

        return await self._call(operation, values, query, None, read)

    async def _call(
        self,
        operation: Operation[T],
        values: Mapping[str, object],
        query: Mapping[str, object],
        body: BaseModel | Mapping[str, object] | None,
        read: Callable[[T, Mapping[str, str]], R],
    ) -> R:
        """Return what is read of the answer's data and headers."""
        path, wait = operation.path(values), object()
        begun, bound = asyncio.get_running_loop().time(), BOUND.get()
        end = begun + self._timeout
        if bound is not None and bound.task is None:
            bound = None  # answered: what is sent of it now takes the time that it takes
        if bound is not None:
            end = min(end, bound.ends - RESERVE)
            bound.has_written = bound.has_written or operation.method != "GET"
        headers, written = _propagated_context(), None
        if body is not None:
            headers["Content-Type"] = "application/json"
            written = (
                body.model_dump_json(by_alias=True, exclude_unset=True).encode()
                if isinstance(body, BaseModel)
                else orjson.dumps(body, default=spell, option=orjson.OPT_PASSTHROUGH_DATETIME)
            )
        pairs = [
            (name, "null" if (text := spell(one)) is None else text)
            for name, each in query.items()
            if each is not None
            for one in (each if isinstance(each, list | tuple) else [each])
        ]
        if bound is not None and operation.method == "GET":
            bound.waits.add(wait)
        try:
            with self._observing(operation, path, headers) as observed:
                call = _Call(path, pairs, headers, written, begun, end, observed)
                try:
                    async with asyncio.timeout_at(end):
                        if not self._is_located.is_set():  # the registry has not been asked yet
                            await self._is_located.wait()
                        answered = await self._attempt_until(operation, call, read)
                        observed.outcome = "answered"
                        return answered
                except TimeoutError:
                    failed = LateError(f"{operation} got no answer in time")
                    observed.outcome = failed.outcome
                    raise self._unavailable(failed) from failed
                except UnavailableError as error:
                    cause = error.__cause__
                    observed.outcome = (
                        cause.outcome if isinstance(cause, CallFailedError) else "rejected"
                    )
                    raise
                except Exception as error:
                    observed.outcome = "refused" if isinstance(error, ServiceError) else "failed"
                    raise
        finally:
            if bound is not None:
                bound.waits.discard(wait)

    @contextmanager
    def _observing(
        self, operation: Operation[Any], path: str, headers: dict[str, str]
    ) -> Iterator[ObservedCall]:
        """Tell those that observe calls of one, to whose headers they may add; count what comes of it."""
        observed = ObservedCall(
            self.service, operation.method, operation.template, REQUEST.get(), target=path
        )
        for observer in self._clients.observers.all:
            try:
                observer.begin_call(observed, headers)
            except Exception:
                log_trouble(observer)
        try:
            yield observed
        finally:
            observed.seconds = perf_counter() - observed.started
            self.outcomes[observed.outcome] += 1
            for observer in self._clients.observers.all:
                try:
                    observer.end_call(observed)
                except Exception:
                    log_trouble(observer)

    async def missing(self, operation: Operation[Any], ids: Set[int]) -> Set[int]:
        """Return those of the ids that the service keeps nothing of; all are asked for at once.

        Raises UnavailableError where one of them is not answered for.

        Args:
            operation: gets the record of one `record_id`.
            ids: what is asked for.
        """
        missing = {each for each in ids if each < 1}  # which no row has, and no route takes

        async def ask(record_id: int) -> None:
            try:
                await self.call(operation, {"record_id": record_id})
            except NotFoundError:
                missing.add(record_id)

        try:
            async with asyncio.TaskGroup() as group:
                for record_id in ids - missing:
                    group.create_task(ask(record_id))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from failed.exceptions[0].__cause__
        return missing

    async def _attempt_until(
        self, operation: Operation[T], call: _Call, read: Callable[[T, Mapping[str, str]], R]
    ) -> R:
        """Return what the first attempt brings that does not fail, where it may be repeated at all.

        The breaker is told once what came of the call: of its last attempt that ended.
        """
        loop = asyncio.get_running_loop()
        trial, attempt = _Trial(), 0
        try:
            while loop.time() < call.end:
                attempt += 1
                try:
                    async with self._concurrency_limit:
                        instance = self._choose(operation, trial.failed)
                        trial.turn_to(instance)
                        status, body, headers = await self._exchange(operation, call, instance)
                    trial.is_working = True
                    return read(operation.open(status, body, self._clients.envelope), headers)
                except CallFailedError as failed:
                    trial.note(failed)
                    is_sent = not isinstance(failed, NotSentError)
                    most = operation.attempts
                    if not is_sent:
                        most = max(CONNECT_ATTEMPTS, len(self.instances))
                    longest = min(FIRST_BACKOFF * 2 ** (attempt - 1), LONGEST_BACKOFF)
                    backoff = random.uniform(0, longest)  # noqa: S311 - no secret
                    if not self._left(trial.failed):  # else another one is asked first
                        backoff += failed.retry_after
                    is_final = isinstance(failed, UnexpectedAnswerError) or attempt >= most
                    if is_final or loop.time() + backoff >= call.end:
                        raise self._unavailable(failed) from failed
                await asyncio.sleep(backoff)
            raise TimeoutError
        except asyncio.CancelledError:
            if loop.time() >= call.end >= call.begun + self._failure_timeout:
                trial.is_working = False
            raise
        finally:
            trial.end()

    def _choose(self, operation: Operation[Any], failed: Sequence[Instance]) -> Instance:
        """Return the instance with the fewest calls, of those where this one has not failed.

        Raises NotSentError where none is known.
        """
        if len(self.instances) == 1:
            return self.instances[0]
        left = self._left(failed) or self._left(()) or self.instances
        if not left:
            raise NotSentError(f"{operation} was not sent: no instance is known")
        return min(left, key=lambda each: (each.running, random.random()))  # noqa: S311 - no secret

    def _left(self, failed: Sequence[Instance]) -> list[Instance]:
        """Return the instances that take calls, without those where this call has failed."""
        return [each for each in self.instances if each.breaker.admits() and each not in failed]

    async def _exchange(
        self, operation: Operation[T], call: _Call, instance: Instance
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """Return the status, the body and the headers of the answer; raises CallFailedError."""
        url = URL(f"{instance.url}{call.path}", encoded=True)
        if call.query:
            url = url.with_query(call.query)
        left = call.end - asyncio.get_running_loop().time()
        headers = {**call.headers, DEADLINE_HEADER: str(max(1, int(left * 1000)))}
        instance.running += 1
        call.observed.attempts += 1
        call.observed.url, call.observed.status = instance.url, None
        try:
            async with self._clients.session.request(
                operation.method, url, headers=headers, data=call.body, allow_redirects=False
            ) as response:
                call.observed.status = response.status
                if response.status in _RETRYABLE_STATUSES:
                    seconds = response.headers.get("Retry-After", "")
                    raise RetryableStatusError(
                        f"{operation} was answered {response.status}",
                        response.status,
                        int(seconds) if seconds.isdecimal() and len(seconds) < 5 else 0,
                    )
                body = await read_at_most(self._most_bytes, response)
                return response.status, body, response.headers
        except aiohttp.ClientConnectorError as error:
            raise NotSentError(f"{operation} was not sent: {error}") from error
        except aiohttp.ConnectionTimeoutError:
            raise NotSentError(f"{operation} was not sent: no connection in time") from None
        except aiohttp.ClientError as error:
            raise CallFailedError(f"{operation}: {error!r}") from error
        except ValueError as error:  # of read_at_most
            raise UnexpectedAnswerError(f"{operation} was answered {error}") from None
        finally:
            instance.running -= 1

    def _unavailable(self, failed: CallFailedError) -> UnavailableError:
        if isinstance(failed, UnexpectedRefusalError):
            _log.error("%s: %s", self.service, failed)
        error = UnavailableError(f"The {self.service} is unavailable")
        error.retry_after = max(1, failed.retry_after)
        return error


async def read_at_most(most: int, response: aiohttp.ClientResponse) -> bytes:
    """Return the body; raises ValueError where it has more bytes than these."""
    body = bytearray()
    while part := await response.content.readany():
        body += part
        if len(body) > most:
            raise ValueError(f"more than {most} bytes")
    return bytes(body)


def _time() -> float:
    return asyncio.get_running_loop().time()


def _propagated_context() -> dict[str, str]:
    """Return what of the current request holds for its calls too; of headers sent twice the last."""
    request = find_request()
    if request is None:
        return {}
    found = {REQUEST_ID.decode(): request.id.decode()}
    for name, value in request.scope["headers"]:
        if name in _PROPAGATED_HEADERS and _PROPAGATED_HEADERS[name].fullmatch(value):
            found[name.decode()] = value.decode()
    return found
