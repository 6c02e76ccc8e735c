"""Requests and statements as they are when observers are told of them."""

from typing import Any

from quart_fleet.observation import REQUEST_ID, EndedStatement, ObservedRequest


def observed_request(
    request_id: bytes = b"id", /, *, method: str = "GET", path: str = "/", **known: Any
) -> ObservedRequest:
    """Return a request with this id, of which more may be known."""
    scope: Any = {
        "method": method,
        "path": path,
        "scheme": "http",
        "http_version": "1.1",
        "headers": [(REQUEST_ID, request_id)],
        "client": ("192.0.2.1", 5),
    }
    request = ObservedRequest(scope)
    assert known.keys() <= ObservedRequest.__annotations__.keys()
    vars(request).update(known)
    return request


def ended_statement(
    sql: str, error: BaseException | None = None, request: ObservedRequest | None = None
) -> EndedStatement:
    """Return a statement that took a tenth of a second."""
    return sql, 0.0, 0.1, error, request
