"""Fleets at random: over all types, modifiers, options, relations, items and actions."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

from scaffold.language.checks import most_rows
from scaffold.language.description import (
    ORDERED,
    TEXTS,
    ActionDescription,
    FieldDescription,
    FleetDescription,
    Generated,
    IndexColumn,
    ResourceDescription,
    ServiceDescription,
    Type,
)
from scaffold.language.types import SCALARS

WORDS = (
    *(
        "date",
        "time",
        "text",
        "type",
        "kind",
        "format",
        "status",
        "order",
        "user",
        "group",
        "value",
    ),
    *("key", "comment", "json", "id_number", "name", "price", "unit", "note", "level", "colour"),
)
RESOURCES = (
    *("album", "bench", "child", "city", "disk", "echo", "fair", "gate", "hall", "isle", "jump"),
    *("knife", "lake", "match", "news", "quiz", "to_do", "type"),
)
"""Of five letters at most: with the prefix that ten fleets get, every name still fits PostgreSQL's."""
PATTERNS = (("[A-Z]{3}", "ABC"), (r"(a|b/)+\\?", "ab/"), ("(?i)x:[^=)]*", "X:1"))
LETTERS = "aZ0 .,:;=#'\"\\/\n\t\x01\x7fé☃😀[]{}()"


def random_fleet(random: Random) -> FleetDescription:
    """Return a fleet that the language allows."""
    names = random.sample(RESOURCES, random.randint(1, 6))
    packages = random.sample(["alpha-service", "Beta", "gamma_service", "delta"], 3)
    homes = {name: random.choice(packages) for name in names}
    services = [
        ServiceDescription(
            package,
            8081 + number,
            tuple(_resource(random, name, homes) for name in names if homes[name] == package),
        )
        for number, package in enumerate(packages)
    ]
    return _possible(FleetDescription(tuple(sorted(services, key=lambda one: one.name))))


def _possible(fleet: FleetDescription) -> FleetDescription:
    """Return the fleet without lengths that unique values make impossible."""
    resources = {one.name: one for service in fleet.services for one in service.resources}

    def shortened(
        described: ResourceDescription, parts: dict[str, ResourceDescription]
    ) -> ResourceDescription:
        known = {"items": parts, "many": resources}
        fields = tuple(
            replace(one, shortest=None, longest=None)
            if one.type.name in known
            and (one.shortest or 0) > most_rows(known[one.type.name][one.type.target], resources)[0]
            else one
            for one in described.fields
        )
        return replace(described, fields=fields)

    def whole(resource: ResourceDescription) -> ResourceDescription:
        parts = {one.name: one for one in resource.parts}
        changed = tuple(shortened(part, {}) for part in resource.parts)
        return replace(shortened(resource, parts), parts=changed)

    services = [
        replace(service, resources=tuple(map(whole, service.resources)))
        for service in fleet.services
    ]
    return FleetDescription(tuple(services))


def _resource(random: Random, name: str, homes: dict[str, str]) -> ResourceDescription:
    parts = tuple(
        _options(random, ResourceDescription(_fields(random, homes, name, [], name), name=part))
        for part in random.sample(["line", "step", "entry"], random.choice([0, 0, 1, 2]))
    )
    fields = _fields(random, homes, name, [part.name for part in parts])
    resource = ResourceDescription(
        fields,
        name=name,
        parts=tuple(replace(part, has_active=False) for part in parts),
        has_active=random.random() < 0.8,
        plural=random.choice([None, None, f"many_{name}"]),
    )
    states = [
        field
        for field in fields
        if len(field.type.words) > 1 and not (field.optional or field.unique or field.fixed)
    ]
    if states and random.random() < 0.7:
        state = random.choice(states)
        *sources, last = state.type.words
        action = ActionDescription("finish", state.name, tuple(sources), last)
        resource = replace(resource, actions=(action,))
    elif resource.has_active and not parts and random.random() < 0.2:
        resource = replace(resource, is_contract=True)
    return _options(random, resource)


def _options(random: Random, resource: ResourceDescription) -> ResourceDescription:
    """Return the resource with indexes and unique sets over its fields."""
    usable = [
        field.name
        for field in resource.fields
        if field.type.name not in ("json", "many", "items") and not field.secret
    ]
    index, unique = [], []
    if usable and random.random() < 0.4:
        columns = random.sample(usable, random.randint(1, min(3, len(usable))))
        index.append(tuple(IndexColumn(one, random.random() < 0.4) for one in columns))
    if usable and random.random() < 0.4:
        names = random.sample(usable, random.randint(1, min(2, len(usable))))
        single = {field.name for field in resource.fields if field.is_single}
        single |= {action.field for action in resource.actions}
        known = {field.name for field in resource.fields if field.unique}
        unique += [tuple(names)] * (not single.issuperset(names) and known.isdisjoint(names))
    return replace(resource, index=tuple(index), unique=tuple(unique))


def _fields(
    random: Random, homes: dict[str, str], resource: str, parts: list[str], owner: str = ""
) -> tuple[FieldDescription, ...]:
    taken = {f"{owner}_id", "position", *parts} if owner else {*parts}
    found = [
        FieldDescription(name=f"{part}s", type=Type("items", target=part), **_counts(random))
        for part in parts
    ]
    taken.update(name for field in found for name in field.names)
    for name in random.sample(WORDS, random.randint(1, 8)):
        field = _field(random, name, homes, resource, is_part=bool(owner))
        if not taken.intersection(field.names):
            taken.update(field.names)
            found.append(field)
    random.shuffle(found)
    return tuple(found)


def _field(
    random: Random, name: str, homes: dict[str, str], resource: str, *, is_part: bool
) -> FieldDescription:
    was = random.choice([None, None, None, None, f"old_{name}"])
    is_fixed = random.random() < 0.2
    kind = random.choice([*SCALARS, *SCALARS, "json", "ref", "ref", "many"])
    if kind == "many":
        own = [one for one in homes if homes[one] == homes[resource]]
        target = Type(kind, target=random.choice(own))
        # None at all are possible, so that resources which refer to each other can be created.
        counts: dict[str, Any] = random.choice([{}, {"shortest": 0, "longest": 9}])
        if own.index(target.target) < own.index(resource) and random.random() < 0.5:
            counts = {"shortest": random.randint(1, 4)}
        return FieldDescription(name=name, type=target, fixed=is_fixed, was=was, **counts)
    if kind in ("json", "ref"):
        reference = _reference(random, homes, resource) if kind == "ref" else Type(kind)
        # Null is possible, for the same reason.
        is_optional = kind == "ref" or random.random() < 0.5
        is_unique = kind == "ref" and random.random() < 0.2
        return FieldDescription(
            name=name,
            type=reference,
            optional=is_optional,
            unique=is_unique,
            fixed=is_fixed,
            was=was,
        )
    field = FieldDescription(
        name=name, type=_type(random, kind), optional=random.random() < 0.3, fixed=is_fixed, was=was
    )
    field = _with_rules(random, field)
    role = random.choice(["", "", "", "unique", "lookup", "index", "secret", "search"])
    if kind not in TEXTS and role in ("lookup", "secret", "search"):
        role = "index"
    if is_part and role in ("lookup", "search"):
        role = "index"
    if role == "secret":
        return replace(field, secret=True, default=None)
    roles: dict[str, Any] = {role: True, "unique": role in ("unique", "lookup")} if role else {}
    changed = replace(field, **roles)
    return field if changed.contradiction else changed


def _reference(random: Random, homes: dict[str, str], resource: str) -> Type:
    target = random.choice(list(homes))
    if homes[target] == homes[resource]:
        rule = random.choice(["restrict", "cascade", "set_null"])
        return Type("ref", target=target, on_delete=rule)
    rule = random.choice(["", "restrict"])
    return Type("ref", target=target, service=homes[target], on_delete=rule)


def _counts(random: Random) -> dict[str, Any]:
    least = random.randint(0, 5)
    return random.choice([{}, {"shortest": least + 1}, {"shortest": least, "longest": least + 9}])


def _type(random: Random, kind: str) -> Type:
    match kind:
        case "str":
            return Type(kind, width=random.choice([1, 40, 255, 10_000]))
        case "decimal":
            scale = random.randint(0, 9)
            return Type(kind, precision=scale + random.randint(1, 9), scale=scale)
        case "enum":
            words = random.sample(
                ["open", "paid", "in-transit", "Done", "x_1"], random.randint(1, 5)
            )
            return Type(kind, words=tuple(words))
    return Type(kind)


def _with_rules(random: Random, field: FieldDescription) -> FieldDescription:
    """Return the field with rules about a value, and perhaps with that as its default."""
    kind = field.type
    value = random_value(random, kind)
    rules = dict[str, Any]()
    if kind.name in ("str", "text") and random.random() < 0.2:
        rules["pattern"], value = random.choice(PATTERNS)
        value = value if not kind.width or len(value) <= kind.width else None
    elif kind.name in TEXTS and value and random.random() < 0.4:
        rules["shortest"] = 1
        if random.random() < 0.5:
            rules["longest"] = max(len(value), {"email": 3, "url": 8}.get(kind.name, 1))
    elif kind.name in ORDERED:
        other = sorted([value, random_value(random, kind)])
        is_bounded = random.random() < 0.3 and other[0] != other[1]
        rules = {"least": other[0], "greatest": other[1]} if is_bounded else {}
        if not isinstance(value, date | time | datetime | timedelta):
            rules["positive"] = not is_bounded and value > 0
    if random.random() < 0.5:
        rules["default"] = value
    elif kind.name in ("datetime", "uuid") and random.random() < 0.5:
        rules["default"] = Generated.NOW if kind.name == "datetime" else Generated.RANDOM
    return replace(field, **rules)


def random_value(random: Random, kind: Type) -> Any:
    """Return a value of the type, whatever the rules of its field say."""
    moment = datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=random.randint(0, 10**15))
    text = "".join(random.choices(LETTERS, k=random.randint(0, min(kind.width or 9, 9))))
    digits = kind.precision
    return {
        "str": text,
        "text": text,
        "email": "ada@example.com",
        "url": "https://example.com/a?b=c#d",
        "int": random.randint(-(2**31), 2**31 - 1),
        "bigint": random.randint(-(2**63), 2**63 - 1),
        "float": random.choice([0.0, -1.5, 1e-7, 1e22, random.uniform(-9, 9)]),
        "decimal": Decimal(random.randint(-(10**digits) + 1, 10**digits - 1)).scaleb(-kind.scale),
        "bool": random.random() < 0.5,
        "date": moment.date(),
        "time": moment.time(),
        "datetime": moment,
        "duration": timedelta(microseconds=random.randint(-(10**12), 10**12)),
        "uuid": str(UUID(int=random.getrandbits(128))),
        "enum": random.choice(kind.words or ("",)),
    }[kind.name]
