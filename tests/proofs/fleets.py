"""Fleets at random, and values for what they keep."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

from quart_fleet.times import read_duration
from scaffold.errors import MisuseError
from scaffold.generation.samples import samples_of
from scaffold.language.description import (
    FieldDescription,
    FleetDescription,
    Generated,
    ResourceDescription,
    ServiceDescription,
    Type,
    spell,
)
from scaffold.language.fleet import write_resource
from tests.scaffold.descriptions import LETTERS, PATTERNS, random_fleet, random_value

FIRST_PORT = 9001
_ROWS: Any = [None, True, 0, -1.5, "\\u é", [], {"a": [1, {"b": None}]}, 2**53]


def random_services(random: Random, fleets: int) -> FleetDescription:
    """Return the services of several fleets, which share no name."""
    found = list[ServiceDescription]()
    for number in range(fleets):
        for service in with_texts(random_fleet(random)).services:
            resources = tuple(_called(f"f{number}", one) for one in service.resources)
            name = f"f{number}-{service.name}"
            found.append(ServiceDescription(name, FIRST_PORT + len(found), resources))
    return FleetDescription(tuple(found))


def with_texts(fleet: FleetDescription) -> FleetDescription:
    """Return a fleet without the patterns of which the generated tests know no texts."""
    services = [
        replace(service, resources=tuple(map(_with_texts, service.resources)))
        for service in fleet.services
    ]
    return FleetDescription(tuple(services))


def write_fleet(fleet: FleetDescription) -> str:
    """Return the fleet.toml that describes it."""
    blocks = [
        "\n".join(
            [
                f"[{service.name}]\nport = {service.port}\n",
                *(write_resource((service.name, one.name), one) for one in service.resources),
            ]
        )
        for service in fleet.services
    ]
    return "\n".join(blocks)


def _called(prefix: str, resource: ResourceDescription) -> ResourceDescription:
    """Return the resource by another name, and what it refers to too."""

    def renamed(one: ResourceDescription) -> ResourceDescription:
        fields = [
            replace(
                field,
                type=replace(
                    field.type,
                    target=f"{prefix}_{field.type.target}",
                    service=field.type.service and f"{prefix}-{field.type.service}",
                ),
            )
            if field.type.name in ("ref", "many")
            else field
            for field in one.fields
        ]
        return replace(one, fields=tuple(fields))

    return replace(
        renamed(resource),
        name=f"{prefix}_{resource.name}",
        plural=resource.plural and f"{prefix}_{resource.plural}",
        parts=tuple(map(renamed, resource.parts)),
    )


def _with_texts(resource: ResourceDescription) -> ResourceDescription:
    fields = tuple(
        one if _has_texts(one) else replace(one, pattern=None) for one in resource.fields
    )
    return replace(resource, fields=fields, parts=tuple(map(_with_texts, resource.parts)))


def _has_texts(field: FieldDescription) -> bool:
    try:
        if field.pattern is not None:
            samples_of(field)
    except MisuseError:
        return False
    return True


class Values:
    """Random values for the fields of resources.

    Args:
        random: where they come from.
        rows: the ids that there are, by the name of a resource.
    """

    def __init__(self, random: Random, rows: dict[str, list[int]]) -> None:
        self._random = random
        self._rows = rows

    def choose(self, resource: ResourceDescription) -> dict[str, Any] | None:
        """Return a value for each field that a client may give; None where there can be none.

        Optional ones and those with a default are left out at times.
        """
        states = {action.field for action in resource.actions}
        found = {}
        for field in resource.fields:
            if field.name in states:
                continue
            is_free = field.optional or field.default is not None
            if field.default is Generated.NOW:
                is_free = field.allows(datetime.now(UTC))
            if is_free and self._random.random() < 0.3:
                continue
            values = list(self._possible(field, resource))
            if values:
                found[field.name] = values[0]
            elif field.optional:
                found[field.name] = None
            else:
                return None
        return found

    def _possible(self, field: FieldDescription, resource: ResourceDescription) -> Iterator[Any]:
        match field.type.name:
            case "json":
                yield self._random.choice(_ROWS[1:])
            case "ref":
                yield from self._random.sample(self._ids(field), min(1, len(self._ids(field))))
            case "many":
                ids = self._ids(field)
                least, most = field.shortest or 0, field.longest or 1000
                if least <= len(ids):
                    count = self._random.randint(least, min(most, len(ids), least + 2))
                    yield sorted(self._random.sample(ids, count))
            case "items":
                [part] = [one for one in resource.parts if one.name == field.type.target]
                least = field.shortest or 0
                rows = self._parts(part, least + self._random.randint(0, 2))
                if len(rows) >= least:
                    yield rows
            case _:
                width = field.type.width or math.inf
                yield from (
                    one
                    for one in self._scalars(field)
                    if field.allows(one) and (not isinstance(one, str) or len(one) <= width)
                )

    def _parts(self, part: ResourceDescription, count: int) -> list[dict[str, Any]]:
        """Return parts of one owner, which differ in what is unique; fewer where there are not as many."""
        defaults = {field.name: field.default for field in part.fields}
        unique = [*((field.name,) for field in part.fields if field.unique), *part.unique]
        rows, taken = list[dict[str, Any]](), list[dict[str, Any]]()
        for _ in range(10 * count):
            row = self.choose(part)
            if row is None or len(rows) == count:
                break
            whole = defaults | row
            keys = [{name: whole[name] for name in names} for names in unique]
            if not any(key in taken for key in keys if None not in key.values()):
                rows.append({one.key: row[one.name] for one in part.fields if one.name in row})
                taken += keys
        return rows

    def _ids(self, field: FieldDescription) -> list[int]:
        return self._rows.get(field.type.target, [])

    def _scalars(self, field: FieldDescription) -> Iterator[Any]:
        """Return values some of which the field's rules allow."""
        for pattern, value in PATTERNS:
            if field.pattern == pattern:
                yield value
                yield from samples_of(field)
        if field.type.name in ("str", "text"):
            width = field.type.width or 50
            least, most = field.shortest or 0, min(field.longest or width, width, 50)
            yield "".join(self._random.choices(LETTERS, k=self._random.randint(least, most)))
        for _ in range(20):
            yield random_value(self._random, field.type)
        bounds = [field.least, field.greatest, 1 if field.positive else None, field.default]
        # Of bounds the types are the field's.
        convert: Any = {"float": float, "decimal": Decimal}.get(field.type.name, lambda one: one)
        yield from (
            convert(one) for one in bounds if one is not None and not isinstance(one, Generated)
        )


def encode(value: Any) -> Any:
    """Return a value as a client sends it in JSON."""
    if isinstance(value, dict):
        return {name: encode(one) for name, one in value.items()}
    if isinstance(value, list):
        return [encode(one) for one in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return spell(value)


_READERS: dict[str, Callable[[Any], Any]] = {
    "decimal": Decimal,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "datetime": datetime.fromisoformat,
    "duration": read_duration,
    "uuid": lambda text: str(UUID(text)),
}


def decode(of: Type, value: Any) -> Any:
    """Return what a client reads of a value that is in JSON."""
    return value if value is None or of.name not in _READERS else _READERS[of.name](value)


def is_same(of: Type, sent: Any, read: Any) -> bool:
    """Whether a value that was read is the one that was sent; both are as in JSON."""
    if of.name == "decimal" and read is not None and len(read.partition(".")[2]) != of.scale:
        return False
    if of.name in _READERS or of.name == "float":
        return bool(decode(of, read) == decode(of, sent))
    return json.dumps(read) == json.dumps(sent)
