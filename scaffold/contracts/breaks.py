"""What the services of a workspace answer now, beside what was committed and what others use of it."""

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import click

from quart_fleet.conventions import PREFIX
from scaffold.applications import ask
from scaffold.contracts.api import Operation, find_breaks, read_operations
from scaffold.errors import MisuseError, ScaffoldError
from scaffold.generation.fleet import Fleet
from scaffold.language.document import Document
from scaffold.language.fleet import ACCEPTED, FILE, FRESH, accept, parse_fleet, read_accepted
from scaffold.language.scanner import hint
from scaffold.names import ServiceName, normalise
from scaffold.workspace import DOCUMENT, SERVICES, Service, Workspace

_BESIDES_ID = re.compile(r": 200 data\.(?!id )")
"""What of a record's answer a reference does not read, in the line of a break."""


@dataclass(frozen=True, slots=True)
class Break:
    """A change that breaks clients."""

    line: str
    """The service, the route, the place and what changed: what accepts it repeats it."""
    breaks: list[str]
    """The services of the workspace that use the operation."""

    def __str__(self) -> str:
        """Return the line, and whom it breaks."""
        return f"{self.line}; " + (
            f"breaks {', '.join(self.breaks)}" if self.breaks else "no service here uses it"
        )


@dataclass(frozen=True, slots=True)
class Breaks:
    """What was found."""

    broken: list[Break] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)
    """What services use and no service answers, and services that do not tell what they answer."""
    accepted: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    """What is accepted, and breaks nothing."""
    compared: list[str] = field(default_factory=list)
    """The services of which there is a former document."""


@dataclass(frozen=True, slots=True)
class Use:
    """An operation that a service uses of another one."""

    consumer: str
    provider: str
    operation: str
    """Its id; of a reference, the method and the path as in `GET /api/v1/users/{}`."""

    def is_of(self, package: str, operation: Operation | None = None) -> bool:
        """Whether it is of a service, and of this operation where one is given."""
        is_meant = operation is None or self.operation in (operation.id, operation.key)
        return is_meant and normalise(self.provider) == normalise(package)

    def is_broken_by(self, line: str) -> bool:
        """Whether a break of its operation concerns it: a reference reads nothing of a record but its id."""
        is_reference = " " in self.operation
        return not (is_reference and _BESIDES_ID.search(line))


def report(workspace: Workspace, reference: str | None, *, as_json: bool) -> int:
    """Print what breaks clients of the services; returns the exit code."""
    found = compare_services(workspace, reference)
    if as_json:
        click.echo(json.dumps(asdict(found), indent=2))
    else:
        held = f"Nothing breaks clients of {', '.join(found.compared)}."
        if not found.compared:
            held = "Nothing is compared: no document of a service was committed before."
        click.echo("\n".join([*map(str, found.broken), *found.lacking]) or held)
        for line in found.stale:
            click.echo(f"warning: {FILE} accepts what breaks nothing: delete {line!r}", err=True)
        if found.broken:
            lines = [accept(one.line) for one in found.broken]
            if not found.accepted and not found.stale:
                lines.insert(0, f"[{ACCEPTED}]")
            click.echo(f"What is meant is accepted in {FILE}, with the reason:\n", err=True)
            click.echo("\n".join(lines), err=True)
    return 1 if found.broken or found.lacking else 0


def compare_services(workspace: Workspace, reference: str | None = None) -> Breaks:
    """Compare what every service answers with its committed document.

    Args:
        workspace: of the services.
        reference: what git calls the commit of the documents; without one, its HEAD, or the copies
            on the disk where nothing is committed.
    """
    found = Breaks()
    services = workspace.services()
    former = find_committed(workspace.root, reference)
    if former is None:
        copies = {one.package: one.folder / DOCUMENT for one in services}
        former = {name: path.read_text("utf-8") for name, path in copies.items() if path.is_file()}
    path = workspace.root / FILE
    text = path.read_text("utf-8") if path.is_file() else FRESH
    uses = read_uses(text)
    broken = list[Break]()
    for package in former.keys() - {one.package for one in services}:
        name = json.loads(former[package])["info"]["title"]
        users = {use.consumer for use in uses if use.is_of(package)}
        broken.append(Break(f"{name} is gone", sorted(users)))
    for service, told in zip(services, ask(services, "--openapi"), strict=True):
        if isinstance(told, ScaffoldError):
            found.lacking.append(str(told))
            continue
        document = json.loads(told)
        found.lacking.extend(find_lacking(service, document, uses))
        if service.package in former:
            found.compared.append(service.called)
            old = json.loads(former[service.package])
            for line, operation in find_breaks(old, document).items():
                users = {
                    use.consumer
                    for use in uses
                    if use.is_of(service.package, operation) and use.is_broken_by(line)
                }
                broken.append(Break(f"{service.called}: {line}", sorted(users)))
    known = {normalise(one.package) for one in services}
    for use in uses:
        if normalise(use.provider) not in known:
            line = f"{use.consumer} uses {use.operation} of {use.provider}, which is not here."
            found.lacking.append(line)
    accepted = read_accepted(Document(text, FILE))
    found.broken.extend(one for one in broken if one.line not in accepted)
    lines = {one.line for one in broken}
    found.accepted.extend(line for line in accepted if line in lines)
    found.stale.extend(line for line in accepted if line not in lines)
    return found


def find_lacking(
    service: Service, document: Mapping[str, Any], uses: Sequence[Use]
) -> Iterator[str]:
    """Yield what others use of a service and its document does not have."""
    operations = read_operations(document).values()
    for use in uses:
        if use.is_of(service.package) and not any(
            use.is_of(service.package, one) for one in operations
        ):
            near = hint(use.operation, [one.id or one.route for one in operations])
            yield (
                f"{use.consumer} uses {use.operation} of {service.called}, which has no such "
                f"operation{near}: keep it, or have {use.consumer} use another."
            )


def read_uses(text: str) -> list[Use]:
    """Return what services use of each other, by the text of fleet.toml: references, then clients."""
    description = parse_fleet(text)
    fleet, uses = Fleet.of(description), dict[Use, None]()
    for service, resource in fleet.resources():
        described = resource.description
        for one in (one for part in (described, *described.parts) for one in part.fields):
            target = ServiceName.parse(one.type.service) if one.type.service else None
            if target and not one.type.has_foreign_key:
                referred = fleet.find_resource(target.package, one.type.target)
                if referred:
                    route = f"GET {PREFIX}/{referred.path}/{{}}"
                    uses[Use(service.name.typed, target.typed, route)] = None
    for consumer in description.services:
        for client in consumer.clients:
            uses |= dict.fromkeys(
                Use(consumer.name, client.provider, one) for one in client.operations
            )
    return [*uses]


def find_committed(root: Path, reference: str | None) -> dict[str, str] | None:
    """Return the committed documents by the folders of their services; None where nothing is.

    Raises ScaffoldError, and MisuseError for a commit that is not there.
    """

    def git(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - of the workspace's owner
            ["git", *arguments],  # noqa: S607
            cwd=root,
            env=os.environ | {"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )

    try:
        head = git("rev-parse", "--verify", f"{reference or 'HEAD'}^{{commit}}")
    except FileNotFoundError:
        if reference:
            raise MisuseError("--against needs git, which is not installed.") from None
        return None
    if head.returncode:
        if reference:
            raise MisuseError(
                f"git knows no commit {reference!r} here.\n"
                "A shallow clone has one branch: git fetch --depth 1 origin BRANCH, and "
                "--against FETCH_HEAD"
            )
        if "dubious ownership" in head.stderr:
            raise ScaffoldError(
                f"git reads nothing here, since another user owns {root}.\n"
                f"Allow it: git config --global --add safe.directory {root}"
            )
        return None
    commit = head.stdout.strip()
    names = git("ls-tree", "-r", "--name-only", "-z", commit, "--", FILE, SERVICES).stdout
    paths = [PurePosixPath(name) for name in names.split("\0") if name]
    if not paths and not reference:
        return None  # a folder in a repository of something else
    return {
        path.parts[1]: git("show", f"{commit}:./{path}").stdout
        for path in paths
        if path.match(f"{SERVICES}/*/{DOCUMENT}")
    }
