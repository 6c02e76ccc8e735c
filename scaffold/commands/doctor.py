"""`python -m scaffold doctor`: what is wrong with a workspace, each with its remedy; reads only."""

import ast
import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cached_property
from http.client import HTTPConnection, HTTPException
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath

import click
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from quart_fleet.conventions import PREFIX, is_served
from quart_fleet.errors import ConfigurationError
from quart_fleet.files import UnreadableFileError, parse_python, parse_toml, read_text
from quart_fleet.output import mark
from quart_fleet.workspace import PROJECT_FILE
from scaffold import compose
from scaffold.commands.preview import is_shown
from scaffold.commands.routes import ServedRoute, read_all_routes
from scaffold.distribution.framework import get_framework
from scaffold.engine.baseline import (
    RESTORE,
    describe,
    find_differing,
    parse_described,
    place_of,
    read_baseline,
    read_conflicts,
    read_described,
)
from scaffold.engine.change import ApplyOptions, find_unchanged, plan_change, read_fleet_text
from scaffold.engine.database import find_status, run_manager
from scaffold.engine.merging import find_conflicts
from scaffold.errors import ScaffoldError
from scaffold.generation import secrets
from scaffold.generation.fleet import Fleet, PlannedService
from scaffold.language.fleet import FILE, parse_fleet
from scaffold.workspace import MODELS, SERVICES, Inventory, Service, Workspace, find_shared_ports

APPLY = "python -m scaffold apply"
INSTALL = "make install"

_LOCKED = re.compile(r"^quart-fleet==(\S+)", re.MULTILINE)
_ANSWER_TIMEOUT = 2.0
"""Seconds that a program gets to say which service it is."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be, or that its owner may have forgotten."""

    problem: str
    remedy: str
    """Empty where there is nothing to do."""
    is_wrong: bool = True
    """Whether something will not work; an edited file, for example, is only worth knowing."""


class Patient:
    """A workspace, each part of it read once and when it is needed."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.root = workspace.root

    @cached_property
    def inventory(self) -> Inventory:
        """What is on the disk; raises UnreadableFileError."""
        return self.workspace.read()

    @cached_property
    def services(self) -> list[Service]:
        """Every service on the disk."""
        return self.workspace.services()

    @cached_property
    def text(self) -> str:
        """Of fleet.toml; raises ScaffoldError."""
        return read_fleet_text(self.root)

    @cached_property
    def applied(self) -> Fleet:
        """As fleet.toml was applied last."""
        return Fleet.of(parse_described(read_described(self.root)))

    @cached_property
    def routes(self) -> dict[str, list[ServedRoute] | ScaffoldError]:
        """Of each whole service, by its package, or why it does not tell them."""
        whole = [one for one in self.services if not one.missing]
        return dict(zip((one.package for one in whole), read_all_routes(whole), strict=True))

    @cached_property
    def undecided(self) -> dict[PurePosixPath, list[int]]:
        """The files in which a merge left marks, with their lines."""
        paths = read_conflicts(self.root) | read_baseline(self.root).keys() | {PurePosixPath(FILE)}
        files = {path: self.root / path for path in sorted(paths)}
        found = {
            path: find_conflicts(file.read_bytes().decode("utf-8", "replace"))
            for path, file in files.items()
            if file.is_file()
        }
        return {path: lines for path, lines in found.items() if lines}

    @cached_property
    def unreadable(self) -> dict[PurePosixPath, UnreadableFileError]:
        """The modules of services and of shared/ that cannot be read for another reason."""
        found = {}
        for folder in (SERVICES, "shared"):
            for path in sorted((self.root / folder).rglob("*.py")):
                relative = PurePosixPath(path.relative_to(self.root))
                try:
                    parse_python(path)
                except UnreadableFileError as error:
                    if relative not in self.undecided:
                        found[relative] = error
        return found


def find_python(patient: Patient) -> Iterator[Finding]:
    """Check the interpreter."""
    wanted = str(get_framework().project["requires-python"])
    running = ".".join(map(str, sys.version_info[:3]))
    if running not in SpecifierSet(wanted):
        yield Finding(
            f"This is Python {running}; wanted is {wanted}.",
            "make install PYTHON=python3.13, or another of these versions",
        )
    own = patient.root / ".venv"
    if (own / "bin/python").exists() and Path(sys.prefix).resolve() != own.resolve():
        yield Finding(
            f"{sys.executable} runs this, and not the workspace's own Python.",
            ". .venv/bin/activate",
            is_wrong=False,
        )


def find_packages(patient: Patient) -> Iterator[Finding]:
    """Check what is installed: the framework's version, and what it needs."""
    framework = get_framework()
    lines: list[str] = [*framework.project["dependencies"]]
    extras = framework.project["optional-dependencies"]
    # What `make install` brings; elsewhere, as in Nix, developers have tools of their own.
    is_installed = Path(sys.prefix).is_relative_to(patient.root)
    lines += extras["scaffold"] + (extras["dev"] if is_installed else [])
    for requirement in map(Requirement, lines):
        if requirement.name == framework.name or (
            requirement.marker and not requirement.marker.evaluate()
        ):
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            yield Finding(f"{requirement.name} is not installed.", INSTALL)
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            yield Finding(f"{requirement.name} is {found}; wanted is {requirement}.", INSTALL)
    table = parse_toml(patient.root / PROJECT_FILE)["tool"]["scaffold"]
    made = str(table.get("framework", framework.version))
    if made != framework.version:
        is_older = Version(made) < Version(framework.version)
        yield Finding(
            f"The workspace is of quart-fleet {made}, and {framework.version} runs.",
            "python -m scaffold upgrade" if is_older else INSTALL,
        )
    for lock in sorted(patient.root.glob("requirements*.lock")):
        for locked in _LOCKED.findall(read_text(lock)):
            wheel = f"vendor/quart_fleet-{locked}-py3-none-any.whl"
            if not (patient.root / wheel).is_file():
                yield Finding(
                    f"{lock.name} names {wheel}, which is missing.",
                    "python -m scaffold.distribution.vendor",
                )


def find_unreadable(patient: Patient) -> Iterator[Finding]:
    """Check that every module of services and of shared/ can be read."""
    for path, error in patient.unreadable.items():
        yield Finding(error.message, f"correct line {error.line} of {path}")


def find_description(patient: Patient) -> Iterator[Finding]:
    """Check fleet.toml beside what was applied of it, and what was generated then."""
    description = parse_fleet(patient.text)
    described = read_described(patient.root)
    generated = {path.parts[1] for path in read_baseline(patient.root) if path.parts[0] == SERVICES}
    for service in Fleet.of(description).services:
        is_known = patient.applied.find_service(service.name.package)
        if (patient.root / service.folder).is_dir() and not (
            is_known and service.name.package in generated
        ):
            yield Finding(
                f".scaffold/ does not have what was generated of {service.name.typed}.", RESTORE
            )
            return
    if describe(description) != described:
        after = Fleet.of(description)
        names = [
            service.name.typed
            for service in (*after.services, *patient.applied.services)
            if after.find_service(service.name.package)
            != patient.applied.find_service(service.name.package)
        ]
        yield Finding(
            f"{FILE} says what is not applied yet, of {', '.join(dict.fromkeys(names))}.", APPLY
        )
    elif description.services and find_unchanged(patient.root, patient.text) is None:
        change = plan_change(patient.workspace, patient.text, ApplyOptions())
        plan = change.plan
        if count := len([*filter(is_shown, (*plan.writes, *plan.deleted))]):
            files = "1 file is" if count == 1 else f"{count} files are"
            yield Finding(f"{files} generated otherwise now.", APPLY)
        silent = [
            f"{SERVICES}/{package}/app.py "
            for package, routes in patient.routes.items()
            if isinstance(routes, ScaffoldError)  # which is a finding already
        ]
        for each in change.untold:
            if not each.startswith(tuple(silent)):
                problem, remedy, _ = each.split("\n", 2)
                yield Finding(problem, remedy.removeprefix("Mend it until this works: "))


def find_by_hand(patient: Patient) -> Iterator[Finding]:
    """Tell what differs from what was generated, and what no description has."""
    differing = find_differing(patient.root)
    for state, remedy in (
        ("edited", ""),
        ("deleted", "python -m scaffold apply --restore writes them again"),
    ):
        for service in patient.applied.services:
            own = [service.folder, *(each.model for each in service.resources)]
            paths = [
                path
                for path, found in differing.items()
                if found == state
                and path not in patient.undecided
                and any(path.is_relative_to(one) for one in own)
            ]
            if paths:
                names = ", ".join(map(str, paths[:3])) + (" and more" if paths[3:] else "")
                yield Finding(
                    f"{service.name.typed}: {len(paths)} {state} ({names}).", remedy, is_wrong=False
                )
    baseline = read_baseline(patient.root)
    for service, resource in patient.applied.resources():
        path = patient.root / resource.model
        base = baseline.get(resource.model)
        if base is None or not path.is_file() or resource.model in patient.undecided:
            continue
        more = _columns(parse_python(path)) - _columns(ast.parse(base))
        for name in sorted(more):
            yield Finding(
                f"{resource.model} has {name}, which {FILE} has not.",
                f"python -m scaffold field {service.name.typed} {resource.singular} {name}:TYPE",
                is_wrong=False,
            )
    for one in patient.services:
        if patient.applied.find_service(one.package) is None and not one.missing:
            yield Finding(
                f"{SERVICES}/{one.package} is not in {FILE}, so that no command changes it.",
                "nothing to do, if it is written by hand",
                is_wrong=False,
            )


def find_undecided(patient: Patient) -> Iterator[Finding]:
    """Check for marks that a merge has left."""
    for path, lines in patient.undecided.items():
        where = ", ".join(map(str, lines))
        yield Finding(f"{path} has undecided conflicts (line {where}).", f"decide, then {APPLY}")
    for path in sorted(read_conflicts(patient.root) - patient.undecided.keys()):
        yield Finding(f"{path} is decided, which is not noted yet.", APPLY, is_wrong=False)


def find_wiring(patient: Patient) -> Iterator[Finding]:
    """Check that each service is whole and in the list of compose files."""
    composition = patient.inventory.composition
    for path in sorted(composition.files):
        if not (patient.root / path).is_file():
            yield Finding(f"{path} is missing, which a compose file includes.", "take its line out")
    for planned in patient.applied.services:
        if not (patient.root / planned.folder).is_dir():
            yield Finding(
                f"{planned.folder} is missing, which {FILE} describes.", f"{APPLY} --restore"
            )
    for service in patient.services:
        known = patient.applied.find_service(service.package)
        if service.missing:
            remedy = f"{APPLY} --restore" if known else "restore it from version control"
            missing = ", ".join(service.missing)
            yield Finding(f"{SERVICES}/{service.package} lacks {missing}.", remedy)
        elif composition.list_text and not composition.uses(service.package):
            yield Finding(
                f"{compose.LIST} does not include {service.called}.",
                f"add the line '- {service.package}/{compose.FILE}' to it",
                is_wrong=False,
            )


def find_routes(patient: Patient) -> Iterator[Finding]:
    """Check that each whole service tells its routes, and that they lead to what it keeps."""
    told = [f"({path}:" for path in (*patient.undecided, *patient.unreadable)]
    for package, routes in patient.routes.items():
        known = patient.applied.find_service(package)
        if isinstance(routes, ScaffoldError):
            problem, _, remedy = str(routes).partition("\n")
            if not any(place in problem for place in told):
                yield Finding(problem, remedy.removeprefix("Mend it until this works: "))
        elif known:
            yield from _find_unserved(known, routes)


def find_settings(patient: Patient) -> Iterator[Finding]:
    """Check the .env files, the secrets of containers, and the ports."""
    missing = [
        path
        for path in secrets.make_secrets(one.package for one in patient.services)
        if patient.services and path.name != ".keep" and not (patient.root / path).exists()
    ]
    for service in patient.services:
        settings = PurePosixPath(SERVICES, service.package, secrets.NAME)
        if not (patient.root / settings).is_file():
            if (service.folder / secrets.EXAMPLE).is_file():
                missing.append(settings)
            continue
        known = patient.applied.find_service(service.package)
        if known and service.port != known.port:
            yield Finding(
                f"{service.port_place} has the port {service.port}, {FILE} {known.port}.",
                "let both say the same",
                is_wrong=False,
            )
    for path in missing:
        yield Finding(f"{path} is missing.", "python -m scaffold env")
    for sentence in find_shared_ports(patient.services):
        problem, _, remedy = sentence.rpartition(": ")
        yield Finding(f"{problem}.", remedy.removesuffix("."))
    for service in (each.as_run() for each in patient.services):
        if service.port and is_served(service.port) and not _answers(service):
            yield Finding(
                f"Port {service.port} of {service.called} belongs to another program here.",
                "stop that program, or give the service another port",
                is_wrong=False,
            )


def find_revisions(patient: Patient) -> Iterator[Finding]:
    """Check the revisions, the models and the database beside each other."""
    history, is_open = patient.inventory.history, len(patient.inventory.history.heads) > 1
    for fault in history.faults:
        yield Finding(fault, "correct that file, or restore it from version control")
    if is_open:
        heads = ", ".join(history.heads)
        yield Finding(f"There are several newest revisions: {heads}.", "python -m db_manager merge")
    status = find_status(patient.root)
    if status is None:
        done = run_manager(patient.root, "postgres", "status", "--json")
        if done.returncode:
            problem = done.stderr.strip().removeprefix("Error: ").replace("\n", " ")
            yield Finding(problem, INSTALL)
        # Without a database, only what no revision creates at all can be seen.
        for table in sorted(patient.inventory.models.keys() - history.tables):
            yield Finding(
                f"{MODELS}/{patient.inventory.models[table]}.py has the table {table}, which no "
                "revision creates.",
                f'python -m db_manager revision -m "create {table}"',
            )
    elif status["problem"] and not is_open and not history.faults:
        problem, _, remedy = str(status["problem"]).replace("\n", " ").partition(" Run: ")
        yield Finding(problem, remedy or "python -m db_manager status")
    for difference in (status or {}).get("drift") or ():
        yield Finding(
            f"Models and database differ: {difference}.", 'python -m db_manager revision -m "…"'
        )


CHECKS: tuple[Callable[[Patient], Iterator[Finding]], ...] = (
    *(find_python, find_packages, find_unreadable, find_undecided, find_description, find_by_hand),
    *(find_wiring, find_routes, find_settings, find_revisions),
)


def examine(workspace: Workspace) -> list[Finding]:
    """Return all findings, what is wrong before what is only worth knowing."""
    patient, found = Patient(workspace), dict[str, Finding]()
    for check in CHECKS:
        try:
            for finding in check(patient):
                found.setdefault(finding.problem, finding)
        except (ScaffoldError, ConfigurationError) as error:
            first, *others = str(error).split("\n")
            remedy = others[-1] if others else "correct that"
            if (
                isinstance(error, UnreadableFileError)
                and error.path.is_relative_to(patient.root)
                and PurePosixPath(error.path.relative_to(patient.root)) in patient.undecided
            ):
                continue  # its marks are told
            if not any(first.startswith(known.rstrip(".")) for known in found):
                found.setdefault(first, Finding(first, remedy))
        except OSError as error:
            problem = f"{error.filename} cannot be read: {error.strerror}."
            found.setdefault(problem, Finding(problem, "mend or move it"))
    return sorted(found.values(), key=lambda finding: not finding.is_wrong)


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print the result for a program.")
def command(as_json: bool) -> None:
    """Say what is wrong here, and what to do about it; exit 1 where something is.

    Looked at are Python and its packages, fleet.toml beside the code, edited and deleted files,
    undecided merges, how services are wired, .env files and secrets, ports, and models, revisions
    and database. Nothing is changed.
    """
    findings = examine(Workspace.find(Path.cwd()))
    wrong = [each for each in findings if each.is_wrong]
    if as_json:
        click.echo(json.dumps({"findings": [asdict(each) for each in findings]}, indent=2))
    else:
        for each in findings:
            sign = (
                click.style(mark("✗", "Wrong:"), fg="red") if each.is_wrong else mark("·", "Note:")
            )
            todo = f" To do: {each.remedy}" if each.remedy else ""
            stop = "" if each.problem.endswith((".", ":")) else "."
            click.echo(f"{sign} {each.problem}{stop}{todo}")
        if not wrong:
            click.echo(f"{click.style(mark('✓', 'Done:'), fg='green')} Nothing is wrong.")
    sys.exit(1 if wrong else 0)


def _columns(module: ast.Module) -> set[str]:
    """Return the attributes that the classes of a model's module declare as mapped."""
    return {
        node.target.id
        for node in ast.walk(module)
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and isinstance(node.annotation, ast.Subscript)
        and isinstance(node.annotation.value, ast.Name)
        and node.annotation.value.id == "Mapped"
    }


def _find_unserved(service: PlannedService, routes: list[ServedRoute]) -> Iterator[Finding]:
    """Yield the resources that a service keeps and that no route of it leads to."""
    bootstrap = service.folder / "bootstrap.py"
    for resource in service.resources:
        base = f"{PREFIX}/{resource.path}"
        if not any(f"{each.path}/".startswith(f"{base}/") for each in routes):
            yield Finding(
                f"No route of {service.name.typed} leads to {resource.path}.",
                f"diff {bootstrap} {place_of(bootstrap)}",
            )


def _answers(service: Service) -> bool:
    """Whether the program at a service's port is that service."""
    try:
        with closing(HTTPConnection("127.0.0.1", service.port, timeout=_ANSWER_TIMEOUT)) as client:
            client.request("GET", f"{PREFIX}/")
            said = client.getresponse().read(1000).decode("utf-8", "replace")
    except (OSError, HTTPException):
        return False
    return any(name in said for name in service.names)
