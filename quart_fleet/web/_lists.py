"""The query parameters of a list, and the cursor that leads from one page to the next.

A cursor is a checksum of what was asked, and the place in its order after which the next page begins:
base64url of a JSON array, whose values are read as those of parameters are.
"""

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field, ValidationError
from quart import request
from werkzeug.exceptions import RequestURITooLarge

from quart_fleet.dto import Text
from quart_fleet.errors import ValidationFailedError
from quart_fleet.listing import FieldType, Listing, spell
from quart_fleet.paging import Condition, ListQuery, Search
from quart_fleet.web._validation_messages import reason_of

_LONGEST_QUERY = 8000
"""Bytes of all parameters but the cursor, as many as servers should take (RFC 9110, section 4.1)."""
_MOST_VALUES = 100
_MOST_UNKNOWN = 10
"""Parameters without a meaning that are named, each with all that have one."""
_LIMIT = FieldType(Annotated[int, Field(ge=1, le=100)])
_SOUGHT = FieldType(Annotated[Text, Field(min_length=3, max_length=100)])
"""PostgreSQL's trigrams are of three characters."""
_FLAG = FieldType(bool)
_TEXT = FieldType(Text)
_SORTS_OF_SEARCH = ("id", "-id")


def find_list_query(listing: Listing) -> ListQuery | None:
    """Return what the request's parameters ask of a list; None where there are none.

    Raises ValidationFailedError (422), which names parameters that do not exist or cannot be read,
    and werkzeug's RequestURITooLarge (414).
    """
    if not request.query_string:
        return None
    given = dict(request.args.lists())
    if not given:
        return None
    cursor = sum(map(len, given.get("after", ())))
    if len(request.query_string) - cursor > _LONGEST_QUERY:
        raise RequestURITooLarge
    return _Parameters(listing, given).read()


class _Parameters:
    """The parameters of one request, and what is wrong with them."""

    def __init__(self, listing: Listing, given: Mapping[str, list[str]]) -> None:
        self._listing = listing
        self._given = given
        self._errors = dict[str, str]()

    def read(self) -> ListQuery:
        """Return the query; raises ValidationFailedError."""
        unknown = [name for name in self._given if name not in self._listing.parameters]
        for name in unknown[:_MOST_UNKNOWN]:
            known = ", ".join(self._listing.parameters)
            self._errors[name] = f"Is no parameter of this list, which has {known}"
        asked = {self._listing.parameters.get(name) for name in self._given}
        conditions = tuple(
            self._condition(field, kind)
            for field, kind in self._listing.filters.items()
            if field in asked
        )
        limit = self._value("limit", _LIMIT, 20)
        is_counted = self._value("count", _FLAG, False)
        sought = self._value("q", _SOUGHT, None)
        sort = self._value("sort", _TEXT, "id")
        self._refuse()  # orders and cursors depend on the rest
        fixed = frozenset(each.field for each in conditions if each.is_single)
        if sought is not None:
            fixed = frozenset()
            if sort not in _SORTS_OF_SEARCH:
                possible = "; ".join(_SORTS_OF_SEARCH)
                raise ValidationFailedError({"sort": f"Must be one of {possible} beside q"})
        order = self._listing.find_order(sort, fixed)
        if order is None:
            possible = "; ".join(self._listing.sorts(fixed))
            raise ValidationFailedError({"sort": f"Must be one of {possible}"})
        query = ListQuery(
            conditions=conditions,
            order=order.keys,
            is_backward=order.is_backward,
            limit=limit,
            search=None if sought is None else Search(sought, self._listing.search),
            is_counted=is_counted,
        )
        if "after" in self._given:
            query = replace(query, after=self._place(query))
            self._refuse()
        return query

    def _refuse(self) -> None:
        if self._errors:
            raise ValidationFailedError(self._errors)

    def _condition(self, field: str, kind: FieldType) -> Condition:
        texts = self._given.get(field, [])
        if not kind.is_text:
            texts = [part for text in texts for part in text.split(",")]
        if len(texts) > _MOST_VALUES:
            self._errors[field] = f"Must have at most {_MOST_VALUES} values"
            texts = []
        values = [
            None
            if text == "null" and kind.is_optional and not kind.is_text
            else self._read(field, kind, text)
            for text in texts
        ]
        if kind.is_text and kind.is_optional and f"{field}_null" in self._given:
            if self._given[f"{field}_null"] != ["true"]:
                self._errors[f"{field}_null"] = "Must be true"
            values.append(None)
        least = greatest = None
        if kind.is_ordered:
            least = self._value(f"{field}_min", kind, None)
            greatest = self._value(f"{field}_max", kind, None)
        return Condition(field, tuple(dict.fromkeys(values)), least, greatest)

    def _value(self, name: str, kind: FieldType, default: Any) -> Any:
        texts = self._given.get(name, [])
        if len(texts) > 1:
            self._errors[name] = "Must be given once"
        return self._read(name, kind, texts[0]) if texts else default

    def _read(self, name: str, kind: FieldType, text: str) -> Any:
        try:
            return kind.read(text)
        except ValidationError as error:
            self._errors[name] = reason_of(error.errors(include_url=False)[0])
            return None

    def _place(self, query: ListQuery) -> tuple[object, ...]:
        """Return what a cursor says of where the page begins."""
        kinds = [self._listing.types[key.field] for key in query.varying]
        try:
            text = self._value("after", _TEXT, None)
            checksum, *values = json.loads(urlsafe_b64decode(f"{text}{'=' * (-len(text) % 4)}"))
            if checksum != _checksum(query):
                self._errors["after"] = "Belongs to another query"
                return ()
            return tuple(
                None if value is None and kind.is_optional else kind.read(value)
                for kind, value in zip(kinds, values, strict=True)
            )
        except (ValueError, TypeError, RecursionError):
            self._errors["after"] = "Is no cursor of this list"
            return ()


def cursor_of(query: ListQuery, after: Sequence[object]) -> str:
    """Return where the next page of a query begins, as `after` takes it."""
    written = json.dumps([_checksum(query), *map(spell, after)], separators=(",", ":"))
    return urlsafe_b64encode(written.encode()).decode().rstrip("=")


def _checksum(query: ListQuery) -> str:
    """Return what differs between queries of other conditions or of another order."""
    conditions = [
        (
            each.field,
            sorted(spell(value) or "" for value in each.values),
            None in each.values,
            spell(each.least),
            spell(each.greatest),
        )
        for each in query.conditions
    ]
    whole: list[object] = [conditions, [(key.field, key.descending) for key in query.order]]
    if query.search is not None:
        whole.append(query.search.text)
    asked = json.dumps(whole)
    return urlsafe_b64encode(hashlib.blake2b(asked.encode(), digest_size=9).digest()).decode()
