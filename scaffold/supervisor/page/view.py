"""What the page shows of a fleet, in the form in which it is sent: bounded, and without a secret."""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from scaffold.supervisor.fleet import Fleet
from scaffold.supervisor.journal import Entry, Journal
from scaffold.supervisor.page.following import MOST_SECONDS, Activity, Told
from scaffold.supervisor.service import SupervisedService

if TYPE_CHECKING:
    from scaffold.supervisor.page.sources import Sources

MOST_LINES, MOST_REQUESTS = 400, 200
"""That a page gets when it is opened, of the last ones."""
MOST_MATCHES = 300
_LEVELS = ("debug", "info", "warning", "error", "critical")
_LONGEST_MESSAGE, _LONGEST_FIELD, _MOST_FIELDS = 4000, 16_000, 40
"""Characters; a field may be the traceback of an exception."""
_MOST_STATEMENTS = 12
_PASSWORD = re.compile(r"(://[^\s/:@]*:)[^\s/@]+(?=@)")
_NAMES_SECRET = re.compile(
    r"pass(word|wd)|secret|token|authorization|cookie|api_?key", re.IGNORECASE
)

Health = Mapping[str, tuple[bool, str]]
"""By service: whether it is ready, and what it says of itself."""


def describe_fleet(fleet: Fleet, sources: "Sources", seconds: int = MOST_SECONDS) -> dict[str, Any]:
    """Return the state of everything; of each service the last seconds."""
    following = sources.following
    told = fleet.describe()
    del told["root"]  # which may be no text
    told["database"]["reason"] = cut(hide(told["database"]["reason"] or ""), _LONGEST_MESSAGE)
    told["database"]["activity"] = sources.activity
    told["database"]["statements"] = [
        {
            "service": each.service,
            "sql": each.sql,
            "count": each.count,
            "seconds": round(each.seconds, 6),
            "slowest": round(each.slowest, 6),
            "errors": each.errors,
        }
        for each in following.find_slowest(_MOST_STATEMENTS)
    ]
    told["templates"] = sources.templates
    told["lost"] = following.lost
    told["services"] = [
        describe_service(each, following.services.get(each.name), sources.health, seconds)
        for each in fleet.services.values()
    ]
    return told


def describe_service(
    service: SupervisedService, activity: Activity | None, health: Health, seconds: int
) -> dict[str, Any]:
    """Return what is known of a service."""
    processes = activity.processes if activity else {}
    is_ready, says = health.get(service.name, (None, ""))
    pools = [each.pool for each in processes.values() if each.pool]
    return {
        "name": service.name,
        "port": service.port,
        "state": service.state,
        "since": service.since,
        "pid": service.pid,
        "restarts": service.restarts,
        "reason": cut(hide(service.reason), _LONGEST_MESSAGE),
        "ready": is_ready,
        "health": says,
        "framework": max((each.framework for each in processes.values()), default=None),
        "processes": len(processes),
        "memory": sum(each.memory or 0 for each in processes.values()) or None,
        "running": sum(each.running for each in processes.values()),
        "lag": max((each.lag for each in processes.values()), default=None),
        "pool": {name: sum(pool[name] for pool in pools) for name in pools[0]} if pools else None,
        "seconds": [
            [each.time, each.requests, each.errors, each.p50, each.p99]
            for each in (list(activity.seconds)[-seconds:] if activity else ())
        ],
    }


def describe_request(told: Told) -> dict[str, Any]:
    """Return a request as a list of them has it: without its steps."""
    event = told.event
    return {
        "number": told.number,
        "service": told.service,
        "pid": told.pid,
        **{
            name: event[name]
            for name in ("time", "id", "trace_id", "method", "path", "rule", "status", "seconds")
        },
        "statements": None if event["statements"] is None else len(event["statements"]),
        "calls": [step["service"] for step in event["calls"] or ()],
    }


def describe_steps(found: Iterable[Told]) -> list[dict[str, Any]]:
    """Return a request with all that each service has done for it."""
    return [
        {"number": told.number, "service": told.service, "pid": told.pid, **told.event}
        for told in found
    ]


def describe_entry(entry: Entry) -> dict[str, Any]:
    """Return a line of the log; what is huge of it is cut."""
    fields = {
        cut(str(name), 100): (
            "***" if _NAMES_SECRET.search(str(name)) else cut(hide(_written(value)), _LONGEST_FIELD)
        )
        for name, value in list(entry.fields.items())[:_MOST_FIELDS]
    }
    return {
        "number": entry.number,
        "time": entry.time,
        "service": entry.service,
        "source": entry.source,
        "level": entry.level,
        "message": cut(hide(entry.message), _LONGEST_MESSAGE),
        "fields": fields,
    }


def find_entries(journal: Journal, asked: Mapping[str, str]) -> list[Entry]:
    """Return the last lines that are as asked for, the oldest first.

    `q` are words, each of which is somewhere in the line; `services` are names; `level` is the
    lowest one; `request` an X-Request-ID; `before` the number of an entry that is too new.
    """
    services = [each for each in asked.get("services", "").split(",") if each]
    words, about = asked.get("q", "").lower().split(), asked.get("request", "")
    level, before = asked.get("level", ""), asked.get("before", "")
    lowest = _LEVELS.index(level) if level in _LEVELS else 0
    most = int(before) if before.isdecimal() and len(before) < 20 else journal.last + 1
    found = list[Entry]()
    for entry in reversed(journal.after(0, services)):
        if entry.number >= most or (about and entry.fields.get("request_id") != about):
            continue
        if (_LEVELS.index(entry.level) if entry.level in _LEVELS else 1) < lowest:
            continue
        fields = (f"{name}={value}" for name, value in entry.fields.items()) if words else ()
        text = f"{entry.message} {' '.join(fields)}".lower()
        if all(word in text for word in words):
            found.append(entry)
            if len(found) == MOST_MATCHES:
                break
    return found[::-1]


def hide(text: str) -> str:
    """Return a text without the passwords of URLs in it."""
    return _PASSWORD.sub(r"\1***", text) if "://" in text else text


def cut(text: str, most: int) -> str:
    """Return the beginning of a text, and how much more there is; halves of characters replaced."""
    text = text if text.isascii() else text.encode("utf-8", "replace").decode()
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most} more characters)"


def _written(value: object) -> str:
    return value if isinstance(value, str) else str(value)
