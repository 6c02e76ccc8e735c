"""One service, asked over HTTP: every row of its contract, compared byte by byte."""

import json
import re
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass, replace
from email.message import Message
from http.client import HTTPConnection, HTTPException
from urllib.request import urlopen

from quart_fleet.conventions import PREFIX
from scaffold.api.row import Records, Row
from scaffold.api.table import Contract, contract_of
from scaffold.demo.fleet import Service

_ANSWER_TIMEOUT = 10.0
"""Seconds."""
_MAX_TIMEOUTS = 3
"""Requests that a service may leave unanswered; later ones are not sent: hundreds would take hours."""
_NO_HEADERS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Result:
    """How one row of the contract went."""

    service: str
    row: Row
    path: str
    """As sent, below the prefix."""
    milliseconds: float
    faults: tuple[str, ...]
    """What was expected and what came instead; empty when all is well."""

    @property
    def passed(self) -> bool:
        """Whether everything was as the contract has it."""
        return not self.faults


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer, read whole."""

    status: int
    headers: Message
    body: bytes

    def find(self, name: str) -> str | None:
        """Return a header's value, None where it is absent."""
        values = self.headers.get_all(name)
        return None if values is None else ", ".join(values)


def check(
    service: Service,
    publish: Callable[[Result], None],
    records: Records,
    silenced: Callable[[str], AbstractContextManager[None]],
) -> None:
    """Ask all rows of the service's contract; `publish` gets each result at once.

    The service must hold no records; afterwards it holds those of the contract's arrival.

    Args:
        records: those that services hold which were checked before; gets this one's too.
        silenced: has another service, by its name, answer nothing while a block runs.
    """
    connection = HTTPConnection("127.0.0.1", service.port, timeout=_ANSWER_TIMEOUT)
    with closing(connection):
        contract = contract_of(service.name)
        _Check(service.name, contract, connection, publish, records, silenced).run()


def check_metrics(service: Service) -> Result:
    """Ask once what the service has counted: the requests of its rows are among it."""
    row = Row("The requests before are counted", "GET", "/metrics", 200)
    began = time.perf_counter()
    faults = []
    try:
        with urlopen(
            f"http://127.0.0.1:{service.metrics}/metrics", timeout=_ANSWER_TIMEOUT
        ) as answer:
            text = answer.read().decode()
    except (OSError, HTTPException) as error:
        faults.append(f"expected status 200, got no answer: {error!r}")
    else:
        path = f'route="{PREFIX}{contract_of(service.name).path}"'
        if not re.search(
            rf"^http_requests_total\{{.*{re.escape(path)}.*\}} [1-9]", text, re.MULTILINE
        ):
            faults.append(f"expected http_requests_total of {path}, there was none")
    milliseconds = (time.perf_counter() - began) * 1000
    return Result(service.name, row, row.path, milliseconds, tuple(faults))


@dataclass(slots=True)
class _Check:
    """The rows of one service, asked over one connection."""

    service: str
    contract: Contract
    connection: HTTPConnection
    publish: Callable[[Result], None]
    records: Records
    silenced: Callable[[str], AbstractContextManager[None]]
    timeouts: int = 0

    def run(self) -> None:
        """Ask the rows that follow each other, then those that need the same stored records."""
        for row in (*self.contract.life, *self.contract.arrival):
            time.sleep(row.delay)
            self.publish(self.ask(row))
        for service, rows in self.contract.silent.items():
            with self.silenced(service):
                for row in rows:
                    self.publish(self.ask(row))
        stored = self.find_stored()
        for row in self.contract.rows:
            result = self.ask(row)
            has_changed = self.find_stored() != stored
            if has_changed and not row.is_write:
                change = "expected what is stored to stay, it changed"
                result = replace(result, faults=(*result.faults, change))
            self.publish(result)
            if has_changed:
                self.restore()
                stored = self.find_stored()

    def ask(self, row: Row) -> Result:
        """Ask one row and compare its answer."""
        path = self.records.path_of(row)
        began = time.perf_counter()
        try:
            answer = self.send(row.method, path, row.headers, self.records.body_of(row))
        except (OSError, HTTPException) as error:
            faults = [f"expected status {row.status}, got no answer: {error!r}"]
        else:
            faults = self.records.find_faults(row, answer)
        milliseconds = (time.perf_counter() - began) * 1000
        if row.within is not None and milliseconds > row.within * 1000:
            faults.append(
                f"expected an answer within {row.within:g} s, it took {milliseconds:.0f} ms"
            )
        return Result(self.service, row, path, milliseconds, tuple(faults))

    def restore(self) -> None:
        """Have the records of the arrival again, and no others."""
        with suppress(OSError, HTTPException, ValueError, TypeError, KeyError):
            for record in json.loads(self.find_stored())["data"]:
                self.send("DELETE", f"{self.contract.path}/{record['id']}")
        for row in self.contract.arrival:
            self.ask(row)

    def find_stored(self) -> bytes:
        """Return the list of all records as the service answers it, empty where it does not."""
        with suppress(OSError, HTTPException):
            return self.send("GET", self.contract.path).body
        return b""

    def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] = _NO_HEADERS,
        body: bytes | None = None,
    ) -> HttpAnswer:
        """Send a request as it is written; raises OSError or HTTPException without an answer."""
        if self.timeouts == _MAX_TIMEOUTS:
            raise TimeoutError(f"{_MAX_TIMEOUTS} requests before were not answered in time")
        fields = {"Host": "localhost"} | dict(headers)
        if body is not None:
            fields["Content-Length"] = str(len(body))
        try:
            self.connection.putrequest(
                method, PREFIX + path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in fields.items():
                self.connection.putheader(name, value)
            # A body that is refused for its size is not read to its end.
            with suppress(BrokenPipeError, ConnectionResetError):
                self.connection.endheaders(body)
            response = self.connection.getresponse()
            return HttpAnswer(response.status, response.headers, response.read())
        except (OSError, HTTPException) as error:
            self.timeouts += isinstance(error, TimeoutError)
            self.connection.close()  # the next request opens it again
            raise
