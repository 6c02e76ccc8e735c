"""Before anything is measured: the same requests, answered in the same bytes."""

import re
from collections.abc import Mapping, Sequence

from benchmarks import wire
from benchmarks.competitors import Competitor
from benchmarks.errors import BenchmarkError
from benchmarks.processes import Server
from benchmarks.scenarios import PAGE, PAGES, ROWS, USERS, new_user

Request = tuple[str, str, bytes | None]

MEASURED: tuple[Request, ...] = (
    ("GET", "/api/v1/health", None),
    ("GET", "/api/v1/", None),
    ("GET", f"{USERS}/7", None),
    ("GET", f"{USERS}/{ROWS}", None),
    ("GET", f"{PAGES}0", None),
    ("GET", f"{PAGES}{ROWS // 2 + 1}", None),
    ("GET", f"{PAGES}{ROWS - PAGE}", None),
    ("POST", USERS, new_user("agreed")),
    ("POST", USERS, b'{"username":"spare","email":"spare@example.com"}'),
)
REFUSED: tuple[Request, ...] = (
    ("GET", f"{USERS}/999999999", None),
    ("GET", f"{USERS}/page?limit=0", None),
    ("GET", f"{USERS}/page?limit=101", None),
    ("GET", f"{USERS}/page?limit=x", None),
    ("GET", "/api/v1/nowhere", None),
    ("POST", USERS, new_user("agreed")),
    ("POST", USERS, new_user("agreed").replace(b'"agreed0"', b'"other"')),
    ("POST", USERS, b'{"email":"x@example.com"}'),
    ("POST", USERS, b'{"username":"x"}'),
    ("POST", USERS, b'{"username"'),
    ("POST", USERS, b'{"username":7,"email":"x@example.com"}'),
    ("POST", USERS, b'{"username":"%s","email":"x@example.com"}' % (b"x" * 81)),
)
_DATES = re.compile(rb"\w{3}, \d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} GMT")


def answers(competitor: Competitor, server: Server) -> list[wire.Answer]:
    """Ask one competitor everything; the table was filled just before."""
    requests = MEASURED if competitor.bare else MEASURED + REFUSED
    return [_comparable(each, wire.ask(server.port, *each)) for each in requests]


def require_agreement(found: Mapping[str, Sequence[wire.Answer]], model: str) -> None:
    """Raise BenchmarkError where a competitor answers otherwise than the model."""
    for name, given in found.items():
        for request, expected, answer in zip(MEASURED + REFUSED, found[model], given, strict=False):
            if answer != expected:
                method, path, body = request
                raise BenchmarkError(
                    f"{name} answers {method} {path} {(body or b'').decode()} with\n"
                    f"{_shown(answer)}\nand not\n{_shown(expected)}"
                )


def _comparable(request: Request, answer: wire.Answer) -> wire.Answer:
    """Leave out the moment of a creation, and the newline by which our bodies end."""
    body = answer.body.strip()
    if request[0] == "POST":
        body = _DATES.sub(b"now", body)
    return wire.Answer(answer.status, body, answer.link)


def _shown(answer: wire.Answer) -> str:
    return f"  {answer.status} {answer.link.decode()} {answer.body.decode()}"
