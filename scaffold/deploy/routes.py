"""Which paths lead to which service, as its application answers them."""

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from quart_fleet.conventions import PREFIX
from scaffold.errors import ScaffoldError
from scaffold.workspace import SERVICES, Service

_EVERY_SERVICE = (f"{PREFIX}/", f"{PREFIX}/health", f"{PREFIX}/health/ready")
"""What each service answers for itself; the cluster asks each pod for it, and leads no path there."""
_UNSERVED = {"TESTING": "True", "PYTHONDONTWRITEBYTECODE": "1"}
"""Settings with which an application is made and never started."""


@dataclass(frozen=True, slots=True)
class Route:
    """A path of the whole fleet, and the service behind it."""

    path: str
    service: str


def read_rules(service: Service) -> list[str]:
    """Return the rules of a service's routes, but those of every service; raises ScaffoldError.

    The service's own app.py is run and tells them; it opens no database and no port.
    """
    root = service.folder.parents[1]
    script = f"{SERVICES}/{service.package}/app.py"
    path = [str(root), str(root / SERVICES), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(  # noqa: S603 - the workspace's own command
        [sys.executable, script, "--routes"],
        cwd=root,
        env=os.environ | _UNSERVED | {"PYTHONPATH": os.pathsep.join(filter(None, path))},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        rules = [str(each["rule"]) for each in json.loads(done.stdout)]
    except (ValueError, TypeError, KeyError):
        said = done.stderr.strip() or f"it printed {done.stdout.strip()[:80] or 'nothing'}"
        reason = said.splitlines()[-1] if "Traceback (most recent" in said else said
        raise ScaffoldError(
            f"{script} does not tell its routes: {reason}\n"
            f"Mend it until this works: DEBUG=True python {script} --routes"
        ) from None
    return [rule for rule in rules if rule not in _EVERY_SERVICE]


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
