"""What the page shows of a fleet, in the form in which it is sent: bounded, and without a secret."""

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from quart_fleet.logs import HIDDEN, hide, is_secret
from scaffold.supervisor.fleet import Fleet
from scaffold.supervisor.journal import Entry, Journal
from scaffold.supervisor.page.following import MOST_SECONDS, Activity, Told
from scaffold.supervisor.service import SupervisedService

if TYPE_CHECKING:
    from scaffold.supervisor.page.sources import Sources

MOST_LINES, MOST_REQUESTS = 400, 200
"""That a page gets when it is opened, of the last ones."""
MOST_MATCHES = 600
"""As many as a page shows at a time."""
_LEVELS = ("debug", "info", "warning", "error", "critical")
_LONGEST_NAME, _LONGEST_MESSAGE, _LONGEST_FIELD, _MOST_FIELDS = 100, 4000, 16_000, 40
"""Characters; a field may be the traceback of an exception."""
_DEPTH = 20
"""Of what is in a field."""
_MOST_STATEMENTS = 12

Health = Mapping[str, tuple[bool, str]]
"""By service: whether it is ready, and what it says of itself."""


def describe_fleet(fleet: Fleet, sources: "Sources", seconds: int = MOST_SECONDS) -> dict[str, Any]:
    """Return the state of everything; of each service the last seconds."""
    following = sources.following
    told = fleet.describe()
    del told["root"]  # which may be no text
    told["database"]["reason"] = cut(told["database"]["reason"] or "")
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
    members = Counter(pid for each in following.services.values() for pid in each.processes)
    told["services"] = [
        describe_service(each, following.services.get(each.name), sources.health, members, seconds)
        | {"document": sources.readings[each.name]}
        for each in fleet.services.values()
    ]
    return told


def describe_service(
    service: SupervisedService,
    activity: Activity | None,
    health: Health,
    members: Mapping[int, int],
    seconds: int,
) -> dict[str, Any]:
    """Return what is known of a service.

    Args:
        members: how many services are in a process, by its id.
        seconds: how many of the last ones.
    """
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
        "reason": cut(service.reason),
        "ready": is_ready,
        "health": cut(says),
        "framework": max((each.framework for each in processes.values()), default=None),
        "processes": len(processes),
        "memory": sum(each.memory or 0 for pid, each in processes.items() if members[pid] == 1)
        or None,
        "shared_memory": sum(
            each.memory or 0 for pid, each in processes.items() if members[pid] > 1
        )
        or None,
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
    fields = _without_secrets(dict(islice(entry.fields.items(), _MOST_FIELDS)))
    return {
        "number": entry.number,
        "time": entry.time,
        "service": entry.service,
        "source": entry.source,
        "level": None if entry.level is None else cut(entry.level, _LONGEST_NAME),
        "message": cut(entry.message),
        "fields": {
            cut(name, _LONGEST_NAME): cut(str(value), _LONGEST_FIELD)
            for name, value in fields.items()
        },
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


def cut(text: str, most: int = _LONGEST_MESSAGE) -> str:
    """Return the beginning of a text, and how much more there is.

    Secrets are hidden as in the lines of services, and halves of characters replaced.
    """
    text = text if text.isascii() else text.encode("utf-8", "replace").decode()
    more = len(text) - most
    if more <= 0:
        return hide(text)
    shown = hide(f"{text[:most]}@")  # which may be in the midst of a URL's password
    return f"{shown.removesuffix('@')[:most]}… ({more} more characters)"


def _without_secrets(value: Any, depth: int = 0) -> Any:
    """Return a value of a line, without those in it that are named secrets."""
    if not isinstance(value, dict | list):
        return value
    if depth == _DEPTH:
        return "…"
    if isinstance(value, list):
        return [_without_secrets(each, depth + 1) for each in value]
    return {
        name: (
            HIDDEN
            if len(name) > _LONGEST_NAME or is_secret(name)
            else _without_secrets(each, depth + 1)
        )
        for name, each in value.items()
    }
