"""What a description says: the fields of a resource, their types and their rules."""

import json
from dataclasses import KW_ONLY, dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from math import inf
from typing import Any, Self

from quart_fleet.times import write_datetime, write_duration
from scaffold import english
from scaffold.language.naming import class_of
from scaffold.language.patterns import matches, write_pattern


class Generated(Enum):
    """A default that is another one for each row."""

    NOW = "now"
    RANDOM = "random"


Value = str | bool | int | float | Decimal | date | time | datetime | timedelta | Generated
"""A default, or a bound."""

TEXTS = ("str", "text", "email", "url")
NUMBERS = ("int", "bigint", "float", "decimal")
ORDERED = (*NUMBERS, "date", "time", "datetime", "duration")
"""Types, by what can be said of their values."""


@dataclass(frozen=True, slots=True)
class Type:
    """A type of values: `name` is the language's word."""

    name: str
    width: int = 0
    """Characters of a str."""
    precision: int = 0
    scale: int = 0
    words: tuple[str, ...] = ()
    """Of an enum."""
    target: str = ""
    """The resource of a ref and of a many, the part of items."""
    service: str = ""
    """Of a ref, where another service keeps its resource: the name as it is written."""
    on_delete: str = ""
    """Of a ref with a foreign key: what the deletion of its target does, by the language's word."""

    @property
    def has_foreign_key(self) -> bool:
        """Whether a ref is one for PostgreSQL too; of another service's resource it is by `fk`."""
        return bool(self.on_delete)

    def __str__(self) -> str:
        """Return the type as the language writes it."""
        target = f"{self.service}.{self.target}" if self.service else self.target
        rule = "fk" if self.service else self.on_delete
        is_said = self.has_foreign_key and rule != "restrict"
        arguments = {
            "str": str(self.width),
            "decimal": f"{self.precision},{self.scale}",
            "enum": ", ".join(self.words),
            "ref": f"{target}, {rule}" if is_said else target,
            "many": target,
            "items": target,
        }
        return f"{self.name}({arguments[self.name]})" if self.name in arguments else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldDescription:
    """`NAME:SPEC`, understood."""

    name: str
    type: Type
    optional: bool = False
    """May be left out and be null."""
    unique: bool = False
    lookup: bool = False
    """Unique, and a route of its own finds a row by it."""
    index: bool = False
    """Lists are filtered and sorted by it; never of a unique field, which has an index already."""
    fixed: bool = False
    """Set when the row is created, and never by an update."""
    secret: bool = False
    """Taken in, and never given out."""
    search: bool = False
    """Found by a part of its text."""
    positive: bool = False
    least: Value | None = None
    greatest: Value | None = None
    shortest: int | None = None
    """Characters of a text, entries of many and items."""
    longest: int | None = None
    pattern: str | None = None
    """What the whole text matches, in the syntax of Rust's regex."""
    was: str | None = None
    """The name until now: its column is renamed."""
    default: Value | None = None

    @property
    def key(self) -> str:
        """The key in JSON; also the column, where the field has one."""
        match self.type.name:
            case "ref":
                return f"{self.name}_id"
            case "many":
                return f"{english.singular(self.name.replace('_', ' ')).replace(' ', '_')}_ids"
        return self.name

    @property
    def needs_another(self) -> bool:
        """Whether a row refers to one that is there before it."""
        is_many = self.type.name == "many"
        return bool(self.shortest) if is_many else self.type.has_foreign_key and not self.optional

    @property
    def is_indexed(self) -> bool:
        """Whether it has an index that is no constraint: lists are filtered by each ref."""
        return self.index or (self.type.name == "ref" and not self.unique)

    @property
    def parameters(self) -> list[str]:
        """Parameters of a list that are the field's, or would be if it had an index."""
        found = [self.key]
        if self.type.name in ORDERED:
            found += [f"{self.key}_min", f"{self.key}_max"]
        if self.type.name in TEXTS and self.optional:
            found.append(f"{self.key}_null")
        return found

    @property
    def names(self) -> list[str]:
        """All that no other field of its resource may be called: former keys and classes too."""
        former = [] if self.was is None else [replace(self, name=self.was).key]
        return [*self.parameters, *former, *([class_of(self.name)] if self.type.words else [])]

    @property
    def contradiction(self) -> str:
        """What is wrong where the rules leave no value, or a unique field but one; else empty."""
        if self.secret and (self.unique or self.index or self.search):
            return "A secret is not found by its value: no unique, lookup, index, search"
        lowest, highest = self._range
        is_bounded = lowest is not None and highest is not None
        if is_bounded and (lowest > highest or (self.positive and highest <= 0)):
            return "No value is in this range"
        return "Unique, and only one value is possible" if self.unique and self.is_single else ""

    @property
    def is_single(self) -> bool:
        """Whether only one value is possible."""
        lowest, highest = self._range
        is_bounded = lowest is not None and highest is not None
        return len(self.type.words) == 1 or (is_bounded and lowest == highest)

    @property
    def most_values(self) -> float:
        """How many values are possible, as far as that is easily told; else infinity."""
        if self.optional:
            return inf  # null is equal to nothing
        if self.type.name in ("bool", "enum"):
            return len(self.type.words) or 2
        lowest, highest = self._range
        if lowest is None or highest is None or self.type.name == "float":
            return inf
        steps = {"int": 1, "bigint": 1, "decimal": 10**self.type.scale}
        if self.type.name == "date":
            return float((highest - lowest).days + 1)
        return (
            float((highest - lowest) * steps[self.type.name] + 1)
            if self.type.name in steps
            else inf
        )

    @property
    def _range(self) -> tuple[Any, Any]:
        """The least and the greatest value, of the field's type, where there are any."""
        lowest: Any = self.least
        if self.positive:
            step = {"decimal": Decimal(1).scaleb(-self.type.scale), "float": 0}.get(
                self.type.name, 1
            )
            lowest = step if lowest is None else max(lowest, step)
        return lowest, self.greatest

    def allows(self, value: Any) -> bool:
        """Whether the rules let a value of the type pass."""
        length = len(value) if isinstance(value, str) else 0
        return (
            (self.least is None or value >= self.least)
            and (self.greatest is None or value <= self.greatest)
            and (not self.positive or value > 0)
            and (self.shortest is None or length >= self.shortest)
            and (self.longest is None or length <= self.longest)
            and (self.pattern is None or matches(self.pattern, value))
        )

    def __str__(self) -> str:
        """Return the field as the language writes it."""
        length = f"{self.shortest}" if self.longest is None else f"{self.shortest},{self.longest}"
        modifiers = {
            "unique": self.unique and not self.lookup,
            "lookup": self.lookup,
            "index": self.index,
            "fixed": self.fixed,
            "secret": self.secret,
            "search": self.search,
            "positive": self.positive,
            f"min({spell(self.least)})": self.least is not None,
            f"max({spell(self.greatest)})": self.greatest is not None,
            f"length({length})": self.shortest is not None,
            f"pattern(/{write_pattern(self.pattern or '')}/)": self.pattern is not None,
            f"was({self.was})": self.was is not None,
        }
        written = "".join(f":{word}" for word, is_given in modifiers.items() if is_given)
        default = "" if self.default is None else f"={spell(self.default, self.type)}"
        return f"{self.name}:{self.type}{'?' if self.optional else ''}{written}{default}"


@dataclass(frozen=True, slots=True)
class IndexColumn:
    """A field in an index of several."""

    name: str
    descending: bool = False

    def __str__(self) -> str:
        """Return the column as the language writes it."""
        return f"{'-' if self.descending else ''}{self.name}"


@dataclass(frozen=True, slots=True)
class ActionDescription:
    """A change of a state that clients ask for by its name."""

    name: str
    field: str
    """The enum whose value it changes."""
    sources: tuple[str, ...]
    target: str

    def __str__(self) -> str:
        """Return the rule as the language writes it."""
        return f"{self.field}: {', '.join(self.sources)} -> {self.target}"


@dataclass(frozen=True, slots=True)
class ResourceDescription:
    """The fields of a resource, in the order of its messages and documents, and its options."""

    fields: tuple[FieldDescription, ...]
    _: KW_ONLY
    name: str = ""
    """In snake case; empty where fields are described alone."""
    index: tuple[tuple[IndexColumn, ...], ...] = ()
    """`_index`: each of several columns, which lists are sorted and filtered by."""
    unique: tuple[tuple[str, ...], ...] = ()
    """`_unique`: fields whose values together are in one row only."""
    has_active: bool = True
    """`_active`: whether there is is_active, with its two routes."""
    plural: str | None = None
    """`_plural`: in snake case, where it is not what English makes of the name."""
    is_contract: bool = False
    """`_routes = "contract"`: the users' own routes, and nothing else."""
    actions: tuple[ActionDescription, ...] = ()
    """`_actions`."""
    parts: tuple["ResourceDescription", ...] = ()
    """What its items are; each has a field of its own."""

    @property
    def unique_sets(self) -> list[tuple[str, ...]]:
        """The fields whose values together are in one row only, one or several, by their names."""
        return [*((field.name,) for field in self.fields if field.unique), *self.unique]

    def without_former_names(self) -> Self:
        """Return it, and its parts, without `was`: what that says has been applied."""
        fields = tuple(replace(field, was=None) for field in self.fields)
        parts = tuple(part.without_former_names() for part in self.parts)
        return replace(self, fields=fields, parts=parts)


@dataclass(frozen=True, slots=True)
class ClientDescription:
    """What a service calls another one for."""

    provider: str
    """The other one, as it is written."""
    operations: tuple[str, ...]
    """The ids that its OpenAPI document has of them, sorted."""


@dataclass(frozen=True, slots=True)
class ServiceDescription:
    """A service: its name as it is written, its port, what it keeps, and what it calls."""

    name: str
    port: int
    resources: tuple[ResourceDescription, ...] = ()
    clients: tuple[ClientDescription, ...] = ()
    """`_clients`, sorted by the names of the others."""


@dataclass(frozen=True, slots=True)
class FleetDescription:
    """What fleet.toml says: services, sorted by name."""

    services: tuple[ServiceDescription, ...] = ()


def initial_of(state: FieldDescription) -> str:
    """Return the word that a new row has in a state which actions change."""
    return state.type.words[0] if state.default is None else str(state.default)


def spell(value: Value | None, of: Type | None = None) -> str:
    """Write a value as the language reads it; a text is in quotes."""
    match value:
        case Generated():
            text = str(value.value)
        case bool():
            text = "true" if value else "false"
        case datetime():
            text = write_datetime(value)
        case date() | time():
            text = value.isoformat()
        case timedelta():
            text = write_duration(value)
        case Decimal():
            text = f"{value:f}"
        case str() if of is None or of.name not in ("enum", "uuid"):
            # JSON's escapes are TOML's too, which wants one for the last of ASCII besides.
            text = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case _:
            text = str(value)
    return text
