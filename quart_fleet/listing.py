"""What a resource's lists can be asked for: filters, by the types of their values, and orders."""

import json
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from types import MappingProxyType, NoneType
from typing import Annotated, Any, Self, get_args, get_origin

from pydantic import TypeAdapter

from quart_fleet.dto import BigInteger, DateTime, Id
from quart_fleet.paging import SortKey
from quart_fleet.times import write_datetime, write_duration

_LITERAL = re.compile(r"true|false|-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_LITERALS = (bool, int, float)
"""Types whose values JSON writes without quotes."""
_ORDERS = 256
"""Answers of a Listing that are kept."""
_ORDERED = (int, float, Decimal, date, time, datetime, timedelta)


class FieldType:
    """How the values of a field are read from parameters.

    Args:
        kind: the field's type in the DTO that creates; with `| None`, it may be null.
    """

    def __init__(self, kind: Any) -> None:
        parts = get_args(kind)
        self.is_optional = get_origin(kind) is not Annotated and NoneType in parts
        if self.is_optional:
            [kind] = (each for each in parts if each is not NoneType)
        base = get_args(kind)[0] if get_origin(kind) is Annotated else kind
        self.is_text = base is str
        """Whether a value may hold commas, and be the text `null`."""
        self.is_ordered = base in _ORDERED and kind is not Id
        """Whether it may be asked for between two values."""
        self._is_literal = base in _LITERALS
        self.kind = kind
        """Of its values; without `| None`."""
        self._adapter = TypeAdapter[Any](kind)

    def read(self, text: str) -> Any:
        """Return the value; raises pydantic's ValidationError."""
        is_literal = self._is_literal and _LITERAL.fullmatch(text)
        return self._adapter.validate_json(text if is_literal else json.dumps(text), strict=True)


@dataclass(frozen=True, slots=True)
class Order:
    """An index, in one of its two directions."""

    keys: tuple[SortKey, ...]
    is_backward: bool = False

    @classmethod
    def of(cls, text: str) -> Self:
        """Read fields between commas, with a minus before those that descend."""
        words = (word.strip() for word in text.split(","))
        return cls(tuple(SortKey(word.removeprefix("-"), word.startswith("-")) for word in words))

    def reverse(self) -> Self:
        """Return the other direction."""
        keys = tuple(SortKey(key.field, not key.descending) for key in self.keys)
        return replace(self, keys=keys, is_backward=not self.is_backward)


class Listing:
    """Declared once for each resource, beside its DTOs:

        PRODUCT_LIST = Listing(
            {"sku": Text, "price": Annotated[Decimal, Digits(10, 2)], "released_on": Date | None},
            unique=["sku"],
            indexes=["released_on", "sku, -price"],
        )

    Args:
        filters: the types of the fields that may be asked for, by their keys in JSON.
        unique: fields that are never null, of which no two rows have one value.
        indexes: the fields of each other index, in which the id follows, and a descending field
            is `DESC NULLS LAST`.
        search: fields of text in which `q` is sought.
        names: what `sort` calls fields that have another key in JSON, as `category` for
            `category_id`.
    """

    def __init__(
        self,
        filters: Mapping[str, Any],
        *,
        unique: Sequence[str] = (),
        indexes: Sequence[str] = (),
        search: Sequence[str] = (),
        names: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.filters = {field: FieldType(kind) for field, kind in filters.items()}
        self.search = tuple(search)
        own = {"id": FieldType(BigInteger), "created_at": FieldType(DateTime)}
        self.types: Mapping[str, FieldType] = {**own, **self.filters}
        """Of all fields that lists are filtered or sorted by."""
        texts = ["id", "created_at, id", *unique, *(f"{index}, id" for index in indexes)]
        orders = [Order.of(text) for text in texts]
        self._orders = [each for one in orders for each in (one, one.reverse())]
        self._keys = names
        self._names = {key: name for name, key in names.items()}
        self.parameters: dict[str, str | None] = dict.fromkeys(("limit", "after", "sort", "count"))
        """By the names of all parameters, the field that each is for."""
        if search:
            self.parameters["q"] = None
        for field, kind in self.filters.items():
            own_names = [field]
            own_names += [f"{field}_min", f"{field}_max"] if kind.is_ordered else []
            own_names += [f"{field}_null"] if kind.is_text and kind.is_optional else []
            self.parameters |= dict.fromkeys(own_names, field)
        self.find_order = lru_cache(_ORDERS)(self._find_order)
        """See `_find_order`, which is asked the same by most requests."""

    def _find_order(self, sort: str, fixed: Set[str]) -> Order | None:
        """Return the order that begins with the keys of `sort`, where they are open.

        Fields with one value are fixed. Of several orders, it is that of the index with most of
        them, and fewest others.
        """
        given = Order.of(sort).keys
        named = [replace(key, field=self._keys.get(key.field, key.field)) for key in given]
        wanted = [key for key in named if key.field not in fixed]
        if not wanted:
            return self._orders[0]
        found = [
            (len(keys) - len(order.keys), len(keys), place)
            for place, order in enumerate(self._orders)
            if (keys := self._varying(order, fixed))[: len(wanted)] == wanted
        ]
        return self._orders[min(found)[-1]] if found else None

    def sorts(self, fixed: Set[str]) -> list[str]:
        """Return what `sort` may be where these fields have one value, the longest form of each."""
        found = dict[str, None]()
        for order in self._orders:
            keys = self._varying(order, fixed)
            named = keys[:1] + [key for key in keys[1:] if key.field != "id"]
            words = (
                f"{'-' * key.descending}{self._names.get(key.field, key.field)}" for key in named
            )
            found[",".join(words)] = None
        return [text for text in found if text]

    def all_sorts(self) -> list[str]:
        """Return everything that `sort` may be with some filters or others, for a description."""
        found = dict[str, None]()
        for order in self._orders:
            names = [key.field for key in order.keys]
            for count in range(len(names)):
                if all(name in self.filters for name in names[:count]):
                    for text in self.sorts(frozenset(names[:count])):
                        words = text.split(",")
                        found |= dict.fromkeys(
                            ",".join(words[:most]) for most in range(1, len(words) + 1)
                        )
        return list(found)

    def _varying(self, order: Order, fixed: Set[str]) -> list[SortKey]:
        """Return the keys in which rows differ; none where the index would bring null first.

        Where it does so in the first of them alone, rows with null there are read by themselves.
        """
        keys = [key for key in order.keys if key.field not in fixed]
        if order.is_backward and any(self.types[key.field].is_optional for key in keys[1:]):
            return []
        return keys


def spell(value: object) -> str | None:
    """Write a value as FieldType.read takes it: a text, or None for null."""
    match value:
        case None:
            return None
        case bool():
            text = "true" if value else "false"
        case Enum():
            text = str(value.value)
        case datetime():
            text = write_datetime(value)
        case date() | time():
            text = value.isoformat()
        case timedelta():
            text = write_duration(value)
        case Decimal():
            text = f"{value:f}"
        case _:
            text = str(value)
    return text
