"""One service, asked over HTTP: each answer is compared with the contract's, byte by byte."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx

from scaffold.demo.answers import Answer, filled, to_bytes
from scaffold.demo.fleet import PREFIX, Service
from scaffold.demo.requests import Request

_PATIENCE = 10.0
"""Seconds for one answer."""


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
        came = self._send(request)
        milliseconds = (time.perf_counter() - began) * 1000
        document = filled(expected.document, _find_document(came))
        faults = tuple(_compare(expected, document, came))
        self._publish(
            Result(self.service.name, request, expected.status, row, milliseconds, faults)
        )
        return _data(document)

    def _send(self, request: Request) -> httpx.Response | httpx.HTTPError:
        try:
            return self._client.request(
                request.method,
                "/",
                content=request.body,
                headers=dict(request.headers),
                extensions={"target": f"{PREFIX}{request.path}".encode("ascii")},
            )
        except httpx.HTTPError as error:
            return error


def _find_document(came: httpx.Response | httpx.HTTPError) -> object:
    try:
        return came.json() if isinstance(came, httpx.Response) else None
    except ValueError:
        return None


def _compare(
    expected: Answer, document: object, response: httpx.Response | httpx.HTTPError
) -> list[str]:
    if isinstance(response, httpx.HTTPError):
        return [f"expected status {expected.status}, got no answer: {response!r}"]
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
