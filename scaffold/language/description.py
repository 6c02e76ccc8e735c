"""What a description says: the fields of a resource, their types and their rules."""

import json
from dataclasses import KW_ONLY, dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

from quart_fleet.times import write_datetime, write_duration


class Generated(Enum):
    """A default that is another one for each row."""

    NOW = "now"
    RANDOM = "random"


Value = str | bool | int | float | Decimal | date | time | datetime | timedelta | Generated
"""A default, or a bound."""


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

    def __str__(self) -> str:
        arguments = {
            "str": str(self.width),
            "decimal": f"{self.precision},{self.scale}",
            "enum": ", ".join(self.words),
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
    positive: bool = False
    least: Value | None = None
    greatest: Value | None = None
    shortest: int | None = None
    """Characters."""
    longest: int | None = None
    default: Value | None = None

    @property
    def contradiction(self) -> str:
        """What is wrong where the rules leave no value, or a unique field but one; else empty."""
        # The types of both are the field's, which mypy cannot know.
        lowest: Any = self.least
        highest: Any = self.greatest
        if self.positive:
            step = {"decimal": Decimal(1).scaleb(-self.type.scale), "float": 0}.get(
                self.type.name, 1
            )
            lowest = step if lowest is None else max(lowest, step)
        is_bounded = lowest is not None and highest is not None
        if is_bounded and (lowest > highest or (self.positive and highest <= 0)):
            return "No value is in this range"
        is_single = len(self.type.words) == 1 or (is_bounded and lowest == highest)
        return "Unique, and only one value is possible" if self.unique and is_single else ""

    def allows(self, value: Any) -> bool:
        """Whether the rules let a value of the type pass."""
        length = len(value) if isinstance(value, str) else 0
        return (
            (self.least is None or value >= self.least)
            and (self.greatest is None or value <= self.greatest)
            and (not self.positive or value > 0)
            and (self.shortest is None or length >= self.shortest)
            and (self.longest is None or length <= self.longest)
        )

    def __str__(self) -> str:
        """Return the field as the language writes it."""
        length = f"{self.shortest}" if self.longest is None else f"{self.shortest},{self.longest}"
        modifiers = {
            "unique": self.unique and not self.lookup,
            "lookup": self.lookup,
            "index": self.index,
            "fixed": self.fixed,
            "positive": self.positive,
            f"min({spell(self.least)})": self.least is not None,
            f"max({spell(self.greatest)})": self.greatest is not None,
            f"length({length})": self.shortest is not None,
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
class ResourceDescription:
    """The fields of a resource, in the order of its messages and documents, and its options."""

    fields: tuple[FieldDescription, ...]
    _: KW_ONLY
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
