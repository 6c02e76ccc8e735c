"""One service, asked over HTTP: each answer is compared with the contract's, byte by byte."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import httpx

from scaffold.demo.answers import Answer, Headers, filled, to_bytes
from scaffold.demo.fleet import PREFIX, Service

_PATIENCE = 30.0
_NO_HEADERS: Headers = {}


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent, as it is written: no path is tidied up on the way."""

    method: str
    path: str
    """Below /api/v1."""
    body: bytes | None = None
    headers: Headers = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """How one row of the contract went."""

    service: str
    request: Request
    status: int
    """As expected."""
    row: str
    milliseconds: float
    faults: tuple[str, ...]
    """What was expected and what came instead; empty when all is well."""

    @property
    def passed(self) -> bool:
        """Whether everything was as the contract has it."""
        return not self.faults


class Examination:
    """Asks one service; `publish` gets every result at once."""

    def __init__(self, service: Service, publish: Callable[[Result], None]) -> None:
        self.service = service
        self._publish = publish
        # Proxies of the environment lead away from this machine.
        self._client = httpx.Client(
            base_url=f"http://127.0.0.1:{service.port}", timeout=_PATIENCE, trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def ask(self, row: str, request: Request, expected: Answer) -> Mapping[str, object]:
        """Ask and compare; return the answer's `data` as far as it was as expected."""
        began = time.perf_counter()
        try:
            response = self._send(request)
        except httpx.HTTPError as error:
            document, faults = filled(expected.document, None), [f"no answer: {error!r}"]
        else:
            document = filled(expected.document, _find_document(response))
            faults = _compare(expected, document, response)
        milliseconds = (time.perf_counter() - began) * 1000
        self._publish(
            Result(self.service.name, request, expected.status, row, milliseconds, tuple(faults))
        )
        return _data(document)

    def _send(self, request: Request) -> httpx.Response:
        return self._client.request(
            request.method,
            "/",
            content=request.body,
            headers=dict(request.headers),
            extensions={"target": f"{PREFIX}{request.path}".encode("ascii")},
        )


def get(path: str, headers: Headers = _NO_HEADERS) -> Request:
    """Make a GET."""
    return plain("GET", path, headers)


def plain(method: str, path: str, headers: Headers = _NO_HEADERS) -> Request:
    """Make a request without a body."""
    return Request(method, path, headers=headers)


def post(path: str, document: object) -> Request:
    """Make a POST of JSON."""
    return raw("POST", path, json.dumps(document))


def put(path: str, document: object) -> Request:
    """Make a PUT of JSON."""
    return raw("PUT", path, json.dumps(document))


def raw(method: str, path: str, body: str, kind: str = "application/json") -> Request:
    """Make a request with a body exactly as it is given."""
    return Request(method, path, body.encode(), {"Content-Type": kind})


def _find_document(response: httpx.Response) -> object:
    try:
        return response.json()
    except ValueError:
        return None


def _compare(expected: Answer, document: object, response: httpx.Response) -> list[str]:
    faults = []
    if response.status_code != expected.status:
        faults.append(f"expected status {expected.status}, got {response.status_code}")
    for name, value in expected.headers.items():
        came = _find_header(response, name)
        if came != value:
            faults.append(f"expected {name}: {value}, got {came or 'none'}")
    body = b"" if expected.document is None else to_bytes(document)
    if response.content != body:
        faults.append(f"expected {_shown(body)}, got {_shown(response.content)}")
    return faults


def _find_header(response: httpx.Response, name: str) -> str | None:
    value: str | None = response.headers.get(name)
    if value is None or name != "Allow":
        return value
    return ", ".join(sorted(method.strip() for method in value.split(",")))


def _shown(body: bytes) -> str:
    return ascii(body.decode("utf-8", errors="backslashreplace")) if body else "no body"


def _data(document: object) -> Mapping[str, object]:
    data = document.get("data") if isinstance(document, Mapping) else None
    return data if isinstance(data, Mapping) else {}
