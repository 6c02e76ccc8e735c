"""What the fields of a resource refer to, and what has to be stored before one of it can be."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any, Self

from scaffold.errors import MisuseError
from scaffold.generation.samples import distinct_rows, distinct_samples, entries_of
from scaffold.language.description import (
    FieldDescription,
    FleetDescription,
    Generated,
    ResourceDescription,
    initial_of,
)
from scaffold.language.identifiers import names_of, table_of
from scaffold.names import ResourceName, ServiceName

ON_DELETE = {"restrict": "", "cascade": "CASCADE", "set_null": "SET NULL"}
"""What a foreign key says of a deletion; without a word, PostgreSQL refuses it."""


@dataclass(frozen=True, slots=True)
class Target(ResourceName):
    """A resource that a field refers to."""

    service: str
    """Which keeps it, as it is written in fleet.toml."""
    port: int
    """The service's."""
    table: str
    prefix: str
    """Before the names of its modules that each resource of a service has."""
    description: ResourceDescription

    @classmethod
    def described(cls, service: ServiceName, port: int, description: ResourceDescription) -> Self:
        """Return the names of a resource of a service."""
        names = names_of(description)
        return cls(
            names.singular,
            names.many,
            service.typed,
            port,
            table_of(description),
            prefix_of(service, names),
            description,
        )

    @property
    def image(self) -> str:
        """Its service, as images, containers and the cluster's names spell it."""
        return ServiceName.parse(self.service).image

    @property
    def url_setting(self) -> str:
        """The setting that says where its service is: `user_service_url`."""
        return f"{ServiceName.parse(self.service).package}_url"

    @property
    def required(self) -> tuple[FieldDescription, ...]:
        """The columns that two rows do not leave to their defaults."""
        unique = {name for names in self.description.unique_sets for name in names}
        return tuple(
            one
            for one in self.description.fields
            if one.type.name not in ("many", "items")
            and (not one.optional if one.default is None else one.name in unique)
            and not isinstance(one.default, Generated)
        )


@dataclass(frozen=True, slots=True)
class Relations:
    """What a resource refers to, by the names of the language."""

    targets: tuple[Target, ...] = ()
    """Each resource that a field names."""
    circular: frozenset[str] = frozenset()
    """Those of which some refer to this resource, so that none can be there before the first."""
    stored_first: tuple[Target, ...] = ()
    """What is stored before one of this resource, in an order in which it can be."""
    shared: frozenset[str] = frozenset()
    """Those to which others of them refer too."""
    is_kept: bool = False
    """Whether a row is not deleted while others refer to it."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """How many rows tests store of each of `stored_first`, by its name."""
    totals: Mapping[str, int] = field(default_factory=dict)
    """How many rows of each the whole fleet refers to, where these are more than two."""

    later: frozenset[str] = frozenset()
    """Resources of other services that refer to this one too, and are seeded after it."""

    def get(self, name: str) -> Target:
        """Return the resource of this name that a field refers to."""
        return next(one for one in self.targets if one.singular == name)


def further_rows(
    description: ResourceDescription, counts: Mapping[str, int], singular: str
) -> list[dict[str, Any]]:
    """Return in what each row of samples after the second differs from it, by the fields' names.

    Args:
        description: of the resource.
        counts: how many rows there are of each resource, two where it is not named.
        singular: its name.
    """
    count = counts.get(singular, 2)
    if count <= 2:
        return []
    fields = {one.name: one for one in description.fields}
    uniques, cleared = list[tuple[str, ...]](), dict[str, Any]()
    for names in description.unique_sets:
        optional = [name for name in names if fields[name].optional]
        cleared |= dict.fromkeys(optional[:1])
        uniques += [] if optional else [names]
    states = {action.field for action in description.actions}
    values = {
        name: [initial_of(fields[name])]
        if name in states
        else distinct_samples(fields[name], counts.get(fields[name].type.target, count))
        for name in dict.fromkeys(name for names in uniques for name in names)
    }
    two = [
        {name: found[number % len(found)] for name, found in values.items()} for number in (0, 1)
    ]
    found = distinct_rows(values, uniques, count, two)
    if len(found) < count - 2:
        raise MisuseError(
            f"{count} {names_of(description).plural_label_lower} were not found whose unique values differ. "
            "Want fewer of them, or let more values differ."
        )
    return [cleared | row for row in found]


def prefix_of(service: ServiceName, names: ResourceName) -> str:
    """Return what the modules begin with that each resource of a service has.

    It is empty for the resource that the service is named after, else `line_item_`.
    """
    is_namesake = names.singular == ResourceName.of(service).singular
    return "" if is_namesake else f"{names.name}_"


def relate(fleet: FleetDescription) -> dict[str, Relations]:
    """Return the relations of each resource of a fleet, by its name."""
    described = {
        resource.name: (ServiceName.parse(service.name), service.port, resource)
        for service in fleet.services
        for resource in service.resources
    }
    targets = {name: Target.described(*each) for name, each in described.items()}
    edges = {name: _every_edge(resource) for name, (*_, resource) in described.items()}
    reached = {name: _reached(name, edges) for name in edges}
    # The first of a circle is stored without the references that may be missing.
    kept = {
        name: [
            one
            for one, is_required in needs.items()
            if one in targets and (is_required or name not in reached[one])
        ]
        for name, needs in edges.items()
    }
    kept_by_others = {
        field.type.target
        for *_, resource in described.values()
        for each in (resource, *resource.parts)
        for field in each.fields
        if field.type.name == "many" or field.type.on_delete == "restrict"
    }
    related = dict[str, Relations]()
    for name, needs in edges.items():
        before = _before(name, kept)
        related[name] = Relations(
            tuple(targets[one] for one in _named(described[name][-1]) if one in targets),
            frozenset(one for one in needs if name in reached.get(one, ())),
            tuple(targets[one] for one in before),
            frozenset(target for one in before for target in edges[one]),
            name in kept_by_others,
            _counted(name, before, {one: each for one, (*_, each) in described.items()}),
        )
    totals = dict[str, int]()
    for each in related.values():
        totals |= {
            name: max(count, totals.get(name, 0))
            for name, count in each.counts.items()
            if count > 2
        }
    later = find_later({one: each for one, (*_, each) in described.items()}, kept)
    return {name: replace(each, totals=totals, later=later[name]) for name, each in related.items()}


def find_later(
    described: Mapping[str, ResourceDescription], kept: Mapping[str, Sequence[str]]
) -> dict[str, frozenset[str]]:
    """Return what of other services, by each resource's name, cannot be there before it.

    Args:
        described: the resources, by name.
        kept: what each needs of tables, in which there is no circle.
    """
    edges = {name: dict.fromkeys(needs) for name, needs in kept.items()}
    found = {name: set[str]() for name in described}
    foreign = [
        (name, one)
        for name, resource in described.items()
        for each in (resource, *resource.parts)
        for one in each.fields
        if one.type.service and not one.type.has_foreign_key and one.type.target in described
    ]
    for name, one in sorted(foreign, key=lambda each: each[1].optional):
        if name in _reached(one.type.target, edges):
            found[name].add(one.type.target)
        else:
            edges[name][one.type.target] = None
    return {name: frozenset(each) for name, each in found.items()}


def without_references(description: ResourceDescription, targets: Set[str]) -> ResourceDescription:
    """Return a description whose table refers to none of some resources."""
    fields = tuple(
        replace(one, type=replace(one.type, on_delete=""))
        if one.type.has_foreign_key and one.type.target in targets
        else one
        for one in description.fields
        if one.type.name != "many" or one.type.target not in targets
    )
    return replace(description, fields=fields)


def edges_of(resource: ResourceDescription) -> dict[str, bool]:
    """Return the resources that the table of one refers to, and whether each of its rows has to."""
    edges = dict[str, bool]()
    for one in resource.fields:
        target = one.type.target
        if one.type.has_foreign_key or one.type.name == "many":
            edges[target] = edges.get(target, False) or one.needs_another
    return edges


def _every_edge(resource: ResourceDescription) -> dict[str, bool]:
    """Return the resources that one and its parts refer to, and whether each of its rows has to."""
    edges = dict[str, bool]()
    kept = {one.type.target: one for one in resource.fields if one.type.name == "items"}
    for each in (*resource.parts, resource):
        is_there = each is resource or bool(kept[each.name].shortest)
        for target, is_required in edges_of(each).items():
            edges[target] = edges.get(target, False) or (is_required and is_there)
    return edges


def _counted(
    name: str, before: Sequence[str], described: Mapping[str, ResourceDescription]
) -> dict[str, int]:
    """Return how many rows of each that is stored first the tests of a resource need."""
    counts = dict.fromkeys(before, 2)
    # Each before what it needs itself.
    for one in (name, *reversed(before)):
        resource = described[one]
        wanted = [(resource, counts.get(one, 2))]
        wanted += [
            (part, entries_of(items))
            for items in resource.fields
            for part in resource.parts
            if items.type.name == "items" and items.type.target == part.name
        ]
        for each, rows in wanted:
            unique = {name for names in each.unique_sets for name in names}
            for referring in each.fields:
                target, is_many = referring.type.target, referring.type.name == "many"
                if target in counts and referring.type.name != "items":
                    needed = entries_of(referring) if is_many else rows * (referring.name in unique)
                    counts[target] = max(counts[target], needed)
    return counts


def _named(resource: ResourceDescription) -> list[str]:
    """Return every resource that fields name, of other services too."""
    kinds = [field.type for each in (resource, *resource.parts) for field in each.fields]
    return list(dict.fromkeys(each.target for each in kinds if each.name in ("ref", "many")))


def _reached(start: str, edges: Mapping[str, Iterable[str]]) -> set[str]:
    """Return a resource and all that it leads to."""
    found, ahead = set[str](), [start]
    while ahead:
        name = ahead.pop()
        if name not in found:
            found.add(name)
            ahead += edges.get(name, {})
    return found


def _before(name: str, needs: Mapping[str, Sequence[str]]) -> list[str]:
    """Return all that a resource needs, each behind what it needs itself."""
    found = dict[str, None]()

    def visit(name: str) -> None:
        for one in needs[name]:
            if one not in found:
                visit(one)
                found[one] = None

    visit(name)
    return list(found)
