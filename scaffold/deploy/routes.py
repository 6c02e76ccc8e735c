"""Which paths lead to which service, as its application answers them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from quart_fleet.conventions import PAGES, PREFIX
from scaffold.commands.routes import EVERY_SERVICE, read_routes
from scaffold.errors import ScaffoldError
from scaffold.workspace import Service


@dataclass(frozen=True, slots=True)
class Route:
    """A path of the whole fleet, and the service behind it."""

    path: str
    service: str


def read_rules(service: Service) -> list[str]:
    """Return the rules of a service's routes, but those of every service; raises ScaffoldError."""
    return list(
        dict.fromkeys(
            each.path
            for each in read_routes(service)
            if each.path not in EVERY_SERVICE and not each.endpoint.startswith(f"{PAGES}.")
        )
    )


def lead(rules: Mapping[str, Iterable[str]]) -> tuple[list[Route], list[str]]:
    """Return the paths that lead to each rule, and the rules that no path can lead to.

    A path is a rule's first segment, below `/api/v1` where it is there, as in `/api/v1/users`; where
    several services share it, as many more as tell them apart. Raises ScaffoldError where nothing
    does: a prefix that is longer wins, so one that is inside of another is no conflict.
    """
    segments = {
        (service, rule): _fixed_segments(rule) for service, each in rules.items() for rule in each
    }
    unreachable = sorted(
        f"{rule} of {service}" for (service, rule), found in segments.items() if not found
    )
    paths = [(service, found) for (service, _), found in segments.items() if found]
    leading: dict[str, str] = {}
    depth = 1
    while paths:
        owners: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
        for service, found in paths:
            owners[tuple(found[:depth])].add(service)
        shared = {path for path, services in owners.items() if len(services) > 1}
        for service, found in paths:
            path = tuple(found[:depth])
            if path not in shared or len(found) == depth:
                _claim(leading, "/".join(path), service)
        paths = [
            (service, found)
            for service, found in paths
            if tuple(found[:depth]) in shared and len(found) > depth
        ]
        depth += 1
    return [Route(path, leading[path]) for path in sorted(leading)], unreachable


def _claim(leading: dict[str, str], path: str, service: str) -> None:
    other = leading.setdefault(path, service)
    if other != service:
        raise ScaffoldError(
            f"{path} belongs to {other} and to {service}: one address "
            "cannot lead to both. Rename the routes of one of them."
        )


def _fixed_segments(rule: str) -> list[str]:
    """Return a rule's segments before its first variable; the prefix of the API is no segment."""
    prefix = f"{PREFIX}/" if rule.startswith(f"{PREFIX}/") else "/"
    found = []
    for segment in rule.removeprefix(prefix).split("/"):
        if not segment or "<" in segment:
            break
        found.append(segment)
    return [f"{prefix}{found[0]}", *found[1:]] if found else []
