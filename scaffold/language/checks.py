"""What holds across a fleet: names, ports and tables are there once, and references find theirs."""

from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from math import inf

from scaffold.errors import ScaffoldError
from scaffold.language.description import FieldDescription, FleetDescription, ResourceDescription
from scaffold.language.document import Document, Path
from scaffold.language.identifiers import (
    check_identifiers,
    classes_of,
    names_of,
    table_of,
    tables_of,
)
from scaffold.language.scanner import Scanner, hint, listed
from scaffold.names import PORTS, normalise
from scaffold.workspace import SERVICES


@dataclass(frozen=True, slots=True)
class FleetNames:
    """What a fleet has, by name."""

    services: dict[str, str] = field(default_factory=dict)
    """Names as they are written, by package."""
    resources: dict[str, tuple[str, ResourceDescription]] = field(default_factory=dict)
    """Packages and resources: these have one name in the whole workspace."""
    taken: dict[str, str] = field(default_factory=dict)
    """What is there once, with what has it."""

    def take(self, name: str, owner: str, problem: str, advice: str) -> None:
        """Raise ScaffoldError where a name has another owner, which is `{}` in the problem."""
        if name in self.taken:
            raise ScaffoldError(f"{problem.format(self.taken[name])}. {advice}")
        self.taken[name] = owner

    def check_target(self, of: FieldDescription, package: str) -> None:
        """Raise DescriptionError where a ref or a many of a service names what is not there."""
        kind, scanner = of.type, Scanner(str(of))
        at = scanner.text.find("(") + 1
        if kind.service:
            named = normalise(kind.service)
            if named not in self.services:
                known = self.services.values()
                scanner.refuse_word(kind.service, "service of this fleet", known, at)
            if named == package:
                allowed = f"Allowed here: ref({kind.target})"
                scanner.refuse(f"{kind.service} is the service itself", allowed, at)
            package, at = named, at + len(kind.service) + 1
        owner, _ = self.resources.get(kind.target, ("", None))
        if owner != package:
            kept = [name for name, (one, _) in self.resources.items() if one == package]
            there = self.services.get(owner)
            problem = (
                f"{kind.target!r} is kept by {there}"
                if there
                else f"{kind.target!r} is no resource of {self.services[package]}"
                f"{hint(kind.target, kept)}"
            )
            allowed = (
                f"ref({there}.{kind.target})" if there and kind.name == "ref" else listed(kept)
            )
            scanner.refuse(problem, f"Allowed here: {allowed}", at)


def name_all(
    fleet: FleetDescription, place: Callable[[Path], AbstractContextManager[None]]
) -> FleetNames:
    """Return the names of a fleet; raises ScaffoldError, in `place`, where one is there twice."""
    names = FleetNames(taken={"plural health": "the health check of every service"})
    ports = {service.port for service in fleet.services}
    for service in fleet.services:
        name, package, port = service.name, normalise(service.name), service.port
        described = f"{name!r} ({SERVICES}/{package})"
        with place((name,)):
            problem = f"{name!r} would be the package {package}, which the service {{}} has"
            names.take(f"package {package}", described, problem, "Choose another name.")
        with place((name, "port")):
            free = next(one for one in (*range(port, PORTS.stop), *PORTS) if one not in ports)
            problem = f"Port {port} belongs to the service {{}}"
            names.take(f"port {port}", described, problem, f"Choose another, such as {free}.")
        names.services[package] = name
        for resource in service.resources:
            spelt = names_of(resource)
            with place((name, resource.name)):
                problem = (
                    f"{name!r} would keep {spelt.plural_label_lower}, which the service {{}} "
                    "already does"
                )
                names.take(f"model {spelt.name}", repr(name), problem, "Choose another name.")
                own = f"{name}.{resource.name}"
                once = [("class", spelt.class_name, own)]
                once += [("table", table, f"{name}.{of}") for table, of in tables_of(resource)]
                once.append(("plural", spelt.plural, own))
                for kind, one, of in once:
                    problem = f"The {kind} {one!r} of {of} is also that of {{}}"
                    names.take(f"{kind} {one}", of, problem, "Choose another name.")
                for one, part in classes_of(resource):
                    of = f"{name}.{part}"
                    problem = f"The class {one!r} of {of} is also that of {{}}"
                    names.take(f"class {package}.{one}", of, problem, "Choose another name.")
            names.resources[resource.name] = package, resource
    return names


def check_fleet(fleet: FleetDescription, document: Document) -> None:
    """Raise DescriptionError, which shows the place in the document."""
    names = name_all(fleet, document.placing)
    tables = {name: table_of(resource) for name, (_, resource) in names.resources.items()}
    identifiers = dict[tuple[str, str], str]()
    for service in fleet.services:
        for client in service.clients:
            others = [one for one in names.services.values() if one != service.name]
            if names.services.get(normalise(client.provider)) not in others:
                with document.placing((service.name, "_clients")):
                    scanner = Scanner(client.provider)
                    scanner.refuse_word(client.provider, "service to call", others, 0)
        for resource in service.resources:
            path = (service.name, resource.name)
            with document.placing(path):
                check_words(resource)
            places = {path: resource} | {(*path, one.name): one for one in resource.parts}
            for place, described in places.items():
                with document.placing(place):
                    for each in described.fields:
                        if each.type.name in ("ref", "many"):
                            names.check_target(each, normalise(service.name))
                    owner = "" if described is resource else resource.name
                    check_identifiers(described, tables, identifiers, owner)
    _check_circles(fleet, document, names.resources)
    _check_lengths(fleet, document, names.resources)


def check_words(resource: ResourceDescription) -> None:
    """Raise DescriptionError for a word of an enum that lists take for no value."""
    indexed = {column.name for columns in resource.index for column in columns}
    for one in () if resource.is_contract else resource.fields:
        is_filter = one.is_indexed or one.unique or one.name in indexed
        if is_filter and one.optional and "null" in one.type.words:
            text = str(one)
            Scanner(text).refuse(
                "Lists call no value null",
                "Leave out the ?, or choose another word.",
                text.index("?"),
            )


def check_parts(resource: ResourceDescription) -> None:
    """Raise DescriptionError unless each part is that of one field of items."""
    missing = {part.name: part for part in resource.parts}
    for one in resource.fields:
        if one.type.name == "items" and missing.pop(one.type.target, None) is None:
            part = f"[….{resource.name}.{one.type.target}]"
            Scanner(str(one)).refuse(
                f"The part {one.type.target!r} is not described, or kept by another field",
                f"Each items has a table of its own: {part}",
                str(one).index("(") + 1,
            )
    for part, described in missing.items():
        Scanner(part).refuse(
            f"No field of {resource.name} keeps {part!r}",
            f'As in {names_of(described).many} = "items({part})"',
            0,
        )


def _check_lengths(
    fleet: FleetDescription,
    document: Document,
    resources: Mapping[str, tuple[str, ResourceDescription]],
) -> None:
    """Raise DescriptionError for a many or items that wants more entries than unique values allow."""
    targets = {name: resource for name, (_, resource) in resources.items()}
    for service in fleet.services:
        for resource in service.resources:
            path = (service.name, resource.name)
            parts = {part.name: part for part in resource.parts}
            places = {path: resource} | {(*path, name): part for name, part in parts.items()}
            for place, described in places.items():
                for one in described.fields:
                    if one.type.name not in ("many", "items") or not one.shortest:
                        continue
                    entry = (parts if one.type.name == "items" else targets)[one.type.target]
                    most, names = most_rows(entry, targets)
                    if most < one.shortest:
                        with document.placing(place):
                            scanner = Scanner(str(one))
                            scanner.refuse(
                                f"Only {most:.0f} of {entry.name} can differ in {' and '.join(names)}",
                                "Want fewer of them, or let more values differ.",
                                scanner.text.index(":length") + 1,
                            )


def most_rows(
    resource: ResourceDescription,
    resources: Mapping[str, ResourceDescription],
    above: Set[str] = frozenset(),
) -> tuple[float, Sequence[str]]:
    """Return how many rows there can be, and the unique fields that limit them."""
    fields = {one.name: one for one in resource.fields}
    found: list[tuple[float, Sequence[str]]] = [(inf, ())]
    for names in resource.unique_sets:
        most = 1.0
        for one in map(fields.__getitem__, names):
            target = one.type.target
            if not one.type.has_foreign_key or one.optional:
                most *= one.most_values
            elif target in above:
                most = inf
            else:
                most *= most_rows(resources[target], resources, above | {resource.name})[0]
        found.append((most, names))
    return min(found, key=lambda each: each[0])


def _check_circles(
    fleet: FleetDescription,
    document: Document,
    resources: Mapping[str, tuple[str, ResourceDescription]],
) -> None:
    """Raise DescriptionError for resources that need each other: none could be the first."""
    needs = {name: _needs_of(resource) for name, (_, resource) in resources.items()}
    possible = set[str]()
    while more := [
        name
        for name, fields in needs.items()
        if name not in possible and all(one.type.target in possible for _, one in fields)
    ]:
        possible.update(more)
    for service in fleet.services:
        for resource in service.resources:
            for path, one in needs[resource.name]:
                if one.type.target in possible:
                    continue
                with document.placing((service.name, *path)):
                    Scanner(str(one)).refuse(
                        f"No {resource.name} could be the first, for each needs one before it",
                        "A ? lets a reference be null, and a many without length may be empty.",
                        0,
                    )


def _needs_of(resource: ResourceDescription) -> list[tuple[Path, FieldDescription]]:
    """Return the fields by which each row needs one that is there before it, behind their tables."""
    needed = [((resource.name,), one) for one in resource.fields if one.needs_another]
    kept = [one.type.target for one in resource.fields if one.type.name == "items" and one.shortest]
    return needed + [
        ((resource.name, part.name), one)
        for part in resource.parts
        if part.name in kept
        for one in part.fields
        if one.needs_another
    ]
