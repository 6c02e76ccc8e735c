"""What holds across a fleet: names, ports and tables are there once, and references find theirs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from scaffold.language.description import FieldDescription, FleetDescription, ResourceDescription
from scaffold.language.document import Document
from scaffold.language.identifiers import check_identifiers, names_of, table_of, tables_of
from scaffold.language.naming import class_of
from scaffold.language.scanner import Scanner, hint, listed
from scaffold.names import normalise


@dataclass(frozen=True, slots=True)
class FleetNames:
    """What a fleet has, by name."""

    services: dict[str, str] = field(default_factory=dict)
    """Names as they are written, by package."""
    resources: dict[str, tuple[str, ResourceDescription]] = field(default_factory=dict)
    """Packages and resources: these have one name in the whole workspace."""
    taken: dict[str, str] = field(default_factory=dict)
    """What is there once, with what has it."""

    def take(self, text: str, owner: str, name: str) -> None:
        """Raise DescriptionError where a name has another owner."""
        if name in self.taken:
            problem = f"{owner} would have {name}, which {self.taken[name]} has"
            Scanner(text).refuse(problem, "Choose another.", 0)
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


def check_fleet(fleet: FleetDescription, document: Document) -> None:
    """Raise DescriptionError, which shows the place in the document."""
    names = FleetNames()
    for service in fleet.services:
        package = normalise(service.name)
        with document.placing((service.name,)):
            names.take(service.name, service.name, f"the package {package}")
            names.take("port", service.name, f"port {service.port}")
        names.services[package] = service.name
        for resource in service.resources:
            what = f"{service.name}.{resource.name}"
            with document.placing((service.name, resource.name)):
                names.take(resource.name, what, f"the model {names_of(resource).name}.py")
                names.take(resource.name, what, f"the class {class_of(resource.name)}")
                for table, of in tables_of(resource):
                    names.take(resource.name, f"{service.name}.{of}", f"the table {table}")
                names.take(resource.name, what, f"the plural {names_of(resource).plural}")
            names.resources[resource.name] = package, resource
    tables = {name: table_of(resource) for name, (_, resource) in names.resources.items()}
    for service in fleet.services:
        for resource in service.resources:
            path = (service.name, resource.name)
            places = {path: resource} | {(*path, one.name): one for one in resource.parts}
            for place, described in places.items():
                with document.placing(place):
                    for each in described.fields:
                        if each.type.name in ("ref", "many"):
                            names.check_target(each, normalise(service.name))
                    owner = "" if described is resource else resource.name
                    check_identifiers(described, tables, owner)
    _check_circles(fleet, document, names.resources)


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
    for part in missing:
        Scanner(part).refuse(
            f"No field of {resource.name} keeps {part!r}", f'As in {part}s = "items({part})"', 0
        )


def _check_circles(
    fleet: FleetDescription,
    document: Document,
    resources: Mapping[str, tuple[str, ResourceDescription]],
) -> None:
    """Raise DescriptionError for resources that need each other: none could be the first."""
    needs = {
        name: [one for one in resource.fields if one.type.has_foreign_key and not one.optional]
        for name, (_, resource) in resources.items()
    }
    possible = set[str]()
    while more := [
        name
        for name, fields in needs.items()
        if name not in possible and all(one.type.target in possible for one in fields)
    ]:
        possible.update(more)
    for service in fleet.services:
        for resource in service.resources:
            open_needs = [one for one in needs[resource.name] if one.type.target not in possible]
            for one in open_needs:
                with document.placing((service.name, resource.name)):
                    Scanner(str(one)).refuse(
                        f"No {resource.name} could be the first, for each needs one before it",
                        "A ? lets the reference be null.",
                        0,
                    )
