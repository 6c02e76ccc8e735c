"""What is sent to a service."""

import json
from dataclasses import dataclass, field

from scaffold.demo.answers import Headers

_NO_HEADERS: Headers = {}


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent, as it is written: no path is tidied up on the way."""

    method: str
    path: str
    """Below /api/v1."""
    body: bytes | None = None
    headers: Headers = field(default_factory=dict)


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
