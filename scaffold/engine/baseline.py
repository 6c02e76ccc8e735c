"""What was generated last: text below .scaffold/, committed with the workspace.

    .scaffold/generated/<path>.txt   a generated file as it was written
    .scaffold/described/<name>.toml  what fleet.toml said of a service
    .scaffold/templates/<path>.txt   the framework's template that one of the workspace's began as
    .scaffold/revisions/<id>         the resource that a generated revision is about
    .scaffold/generated/fingerprint  of all that generated files are made of
    .scaffold/undo.json              what the last command changed, on this machine only

A file for each, so that two branches that generate different things merge. The ending keeps
linters, type checkers and test runners from taking them for code.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from quart_fleet.files import UnreadableFileError, decode, read_text
from quart_fleet.workspace import PROJECT_FILE
from scaffold.engine.plan import Plan, digest, find_content
from scaffold.generation.render import OWN
from scaffold.language.description import FleetDescription
from scaffold.language.document import Document
from scaffold.language.fleet import (
    CLIENTS,
    join_sides,
    parse_services,
    write_clients,
    write_resource,
)
from scaffold.workspace import DOCUMENT, SERVICES

FOLDER = PurePosixPath(".scaffold")
GENERATED = FOLDER / "generated"
FINGERPRINT = GENERATED / "fingerprint"
DESCRIBED = FOLDER / "described"
_TEMPLATES = FOLDER / "templates"
CONFLICTS = FOLDER / "conflicts"
"""Files in which a command left marks, a line each."""
_OWNERS = FOLDER / "revisions"
IGNORE = FOLDER / ".gitignore"
RECORD = FOLDER / "undo.json"
IGNORED = f"{RECORD.name}\n"
"""What git is told not to keep: it holds secrets."""

RESTORE = f"git checkout -- {FOLDER}, or else: python -m scaffold upgrade"
"""What brings a baseline back that was lost."""

_SUFFIX = ".txt"


def place_of(path: PurePosixPath) -> PurePosixPath:
    """Return where the baseline of a generated file is."""
    return GENERATED / f"{path}{_SUFFIX}"


def place_of_template(template: PurePosixPath) -> PurePosixPath:
    """Return where it is kept what a template of the workspace's began as."""
    return _TEMPLATES / f"{template}{_SUFFIX}"


def read_copied_templates(root: Path) -> dict[PurePosixPath, str]:
    """Return what templates of the workspace's began as, by their path below templates/."""
    folder = root / _TEMPLATES
    return {
        PurePosixPath(path.relative_to(folder)).with_suffix(""): read_text(path)
        for path in sorted(folder.rglob(f"*{_SUFFIX}"))
    }


def read_baseline(root: Path) -> dict[PurePosixPath, str]:
    """Return what was generated last, by path; raises UnreadableFileError."""
    folder = root / GENERATED
    files = sorted(path for path in folder.rglob(f"*{_SUFFIX}") if path.is_file())
    return {
        PurePosixPath(path.relative_to(folder)).with_suffix(""): decode(path, path.read_bytes())
        for path in files
    }


def find_differing(root: Path) -> dict[PurePosixPath, str]:
    """Return the generated files that are not as generated: `edited` or `deleted`, by path."""
    differing = {}
    for path, base in read_baseline(root).items():
        file = root / path
        if not file.is_file():
            differing[path] = "deleted"
        elif file.read_bytes().decode("utf-8", "replace").replace("\r\n", "\n") != base:
            differing[path] = "edited"
    return differing


def read_described(root: Path) -> dict[PurePosixPath, str]:
    """Return what fleet.toml said when it was applied last, by file; raises UnreadableFileError."""
    files = sorted((root / DESCRIBED).glob("*.toml"))
    described = {}
    for path in files:
        place = PurePosixPath(path.relative_to(root))
        try:
            text = read_text(path)
        except UnreadableFileError:  # the marks of a merge: what both sides have applied
            sides = path.read_bytes().decode("utf-8", "replace").replace("\r\n", "\n")
            text = join_sides(sides, file=str(place))
        described[place] = text
    return described


def place_of_owner(revision: str) -> PurePosixPath:
    """Return where it is written which resource a revision is about."""
    return _OWNERS / revision


def read_owners(root: Path) -> dict[str, str]:
    """Return the resource that each generated revision is about, by its id."""
    return {path.name: read_text(path).strip() for path in sorted((root / _OWNERS).glob("*"))}


def parse_described(described: Mapping[PurePosixPath, str]) -> FleetDescription:
    """Return what was applied last; what holds across services is not checked, as after a merge."""
    documents = [Document(text, path.name) for path, text in described.items()]
    return FleetDescription(tuple(one for each in documents for one in parse_services(each)))


def read_conflicts(root: Path) -> frozenset[PurePosixPath]:
    """Return the files in which a command left marks."""
    path = root / CONFLICTS
    return frozenset(map(PurePosixPath, read_text(path).splitlines() if path.is_file() else ()))


def describe(description: FleetDescription) -> dict[PurePosixPath, str]:
    """Return what is kept of a description: a text for each service."""
    files = {}
    for service in description.services:
        blocks = [f"[{service.name}]\nport = {service.port}\n"]
        for resource in service.resources:
            path = (service.name, resource.name)
            blocks.append(write_resource(path, resource.without_former_names()))
        if service.clients:
            blocks.append(write_clients(service))
        files[DESCRIBED / f"{service.name}.toml"] = "\n".join(blocks)
    return files


def read_fingerprint(root: Path) -> str:
    """Return the fingerprint of what was applied last; empty where there is none."""
    path = root / FINGERPRINT
    return path.read_text("utf-8", "replace") if path.is_file() else ""


def take_fingerprint(root: Path, text: str, project: str, base: str) -> str:
    """Return what tells all that generated files are made of from any other: a digest.

    That is the text of fleet.toml, the workspace's name, base image and style of code, the OpenAPI
    documents that clients are made of, and the generator with its templates, and with those of the
    workspace.
    """
    generator = Path(__file__).parents[1]
    files = [*generator.rglob("*.py"), *generator.rglob("*.jinja"), *generator.rglob("*.toml")]
    files += (root / OWN).rglob("*.jinja")
    if CLIENTS in text:
        files += root.glob(f"{SERVICES}/*/{DOCUMENT}")
    whole = hashlib.sha256(repr((text, project, base)).encode())
    for path in (*sorted(files), root / PROJECT_FILE):
        whole.update(path.read_bytes())
    return whole.hexdigest()


def remember(plan: Plan) -> Plan:
    """Return the plan that also records how it is taken back; one that does nothing as it is."""
    if plan.is_empty:
        return plan
    files = {}
    for path in (*plan.writes, *plan.deleted):
        before = find_content(plan.root, path)
        after = plan.writes.get(path)
        files[str(path)] = {
            "before": None if before is None else base64.b64encode(before).decode(),
            "after": None if after is None else digest(after),
        }
    content = json.dumps({"files": files}).encode()
    record = Plan.decide(plan.root, {RECORD: content})
    return replace(
        plan, created=plan.created | record.created, changed=plan.changed | record.changed
    )
