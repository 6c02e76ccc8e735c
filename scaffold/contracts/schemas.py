"""Where values of one JSON schema are none of another, in the words of 2020-12, which OpenAPI 3.1 has.

Compared is what schemas mean: references are followed, circles too, and one way to write a schema is as
good as another. Keywords without a rule here have to be equal.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from itertools import product, zip_longest
from typing import Any

Schema = dict[str, Any]
Document = Mapping[str, Any]

_ANNOTATIONS = frozenset(
    {
        *("title", "description", "examples", "example", "deprecated", "default", "$comment"),
        *("readOnly", "writeOnly", "xml", "externalDocs", "discriminator", "$defs", "$id"),
    }
)
"""Keywords that refuse no value; defaults and marks are compared where a field has them."""
_LEAST = ("minLength", "minItems", "minProperties", "minContains")
_MOST = ("maxLength", "maxItems", "maxProperties", "maxContains")
_BOUNDS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
_SINGLE = ("multipleOf", "pattern", "format", "uniqueItems")
_FREE_WHERE_FALSE = ("deprecated", "nullable", "not", "uniqueItems")
"""Keywords that refuse nothing where they are false; of others that is a schema which takes no value."""
_REST = (("unevaluatedProperties", "additionalProperties"), ("unevaluatedItems", "items"))
"""Keywords of parts that no schema has, which are those of the schema itself in one without others."""
_INNER = ("propertyNames", "contains")
"""Schemas of parts, of which the narrower one takes the fewer values of the whole."""
_KEYWORDS = {
    "null": (),
    "boolean": (),
    "number": (*_BOUNDS, "multipleOf", "format"),
    "string": ("minLength", "maxLength", "pattern", "format"),
    "array": (
        *("items", "prefixItems", "minItems", "maxItems", "uniqueItems"),
        *("contains", "minContains", "maxContains"),
    ),
    "object": (
        *("properties", "required", "additionalProperties", "patternProperties", "propertyNames"),
        *("minProperties", "maxProperties"),
    ),
}
"""The types, and the keywords that say something of their values alone."""
_RULED = frozenset({"type", "enum", *(word for words in _KEYWORDS.values() for word in words)})
_WIDER = {"int32": ("int64",), "float": ("double",)}
"""Formats, and those that take all of their values."""
_TOKEN = re.compile(
    r"(?P<atom>\\.|\[(?:\\.|[^\]\\])+\]|\((?:\\.|[^()\\])*\)|[^\\\[(])"
    r"(?P<count>[?*+]|\{\d+(?:,\d*)?\})?"
)
"""A part of a pattern, and how often it may be there; groups hold no others."""
_MEMBER = re.compile(r"\\?.-\\?.|\\?.")
"""A character or a range of them, between brackets."""


@dataclass(frozen=True, slots=True)
class Schemas:
    """Two documents: values are given as one says, and taken as the other says.

    In a request the former document gives, as its clients do; in an answer it takes.
    """

    given: Document
    taken: Document
    is_request: bool
    _met: set[tuple[str, str]] = field(default_factory=set)
    """Pairs of schemas that are being compared."""

    def compare(self, given: Any, taken: Any, place: str) -> Iterator[str]:
        """Yield a line for each way in which a value that is given is not taken: where, and what changed."""
        pair = (written(given), written(taken))
        if pair in self._met:
            return
        self._met.add(pair)
        try:
            yield from self.compare_forms(given, taken, place)
        finally:
            self._met.discard(pair)

    def compare_marks(self, given: Any, taken: Any, place: str) -> Iterator[str]:
        """Yield what annotations say: that clients send or get a value no more, or tell forms otherwise."""
        if not (isinstance(given, dict) and isinstance(taken, dict)):
            return  # one of them has no such field
        mark, words = ("readOnly", "read") if self.is_request else ("writeOnly", "written")
        sides = ((given, self.given), (taken, self.taken))
        old, new = self._sides(*(find_said(mark, *side) for side in sides))
        if new and not old:
            yield f"{place} is only {words} now"
        one, other = (find_said("discriminator", *side) for side in sides)
        tells = other.get("propertyName") if other else None
        if one is None and all(tells in each.get("required", ()) for each in forms_of(*sides[0])):
            return
        if other and not (
            one
            and one.get("propertyName") == other.get("propertyName")
            and one.get("mapping", {}).keys() <= other.get("mapping", {}).keys()
        ):
            yield self._changed(place, "discriminator", one, other)

    def compare_forms(self, given: Any, taken: Any, place: str) -> Iterator[str]:
        """Yield the same, where the pair is not being compared already."""
        yield from self.compare_marks(given, taken, place)
        givens, takens = forms_of(given, self.given), forms_of(taken, self.taken)
        if givens == [{}] != takens:
            givens = [{"type": kind} for kind in _KEYWORDS]
        lost, values = dict[str, None](), dict[str, None]()
        for form in givens:
            kind = form.get("type")
            able = [one for one in takens if _takes_type(one.get("type"), kind)]
            if {} in able:
                continue
            if not able:
                lost[str(kind)] = None
            elif "enum" in form:
                refused = (
                    one for one in form["enum"] if not any(self._takes(each, one) for each in able)
                )
                values |= dict.fromkeys(map(written, refused))
            else:
                yield from min((list(self._differ(form, each, place)) for each in able), key=len)
        kinds = [{one.get("type", "any") for one in forms} - {"null"} for forms in (givens, takens)]
        if len(kinds[0]) == len(kinds[1]) == 1 and kinds[0] & lost.keys():
            old, new = self._sides(*map(min, kinds))
            yield f"{place} is {_a(new)} now, and was {_a(old)}"
            lost = dict.fromkeys(lost.keys() & {"null"})
        if words := [*map(_a, lost), *values]:
            yield f"{place} may {'not be' if self.is_request else 'be'} {', '.join(words)} now"

    def _differ(self, given: Schema, taken: Schema, place: str) -> Iterator[str]:
        """Yield how two forms of one type differ: in the rules of values, then in those of parts."""
        if "enum" in taken and "enum" not in given:
            words = ", ".join(map(written, taken["enum"]))
            yield f"{place} may {'only be' if self.is_request else 'be other than'} {words} now"
        for keyword in (*_LEAST, *_MOST):
            sign, free = (1, 0) if keyword in _LEAST else (-1, math.inf)
            if sign * given.get(keyword, free) < sign * taken.get(keyword, free):
                yield self._changed(place, keyword, given.get(keyword), taken[keyword])
        for word, sign in (("the least value", 1), ("the greatest value", -1)):
            bounds = [_bound(one, sign) for one in (given, taken)]
            if bounds[0] < bounds[1]:
                yield self._changed(place, word, *(_spelt(bound, sign) for bound in bounds))
        for keyword in (*_SINGLE, *sorted(taken.keys() - _RULED)):
            said = resolved(given.get(keyword), self.given)
            other = resolved(taken.get(keyword), self.taken)
            if not _takes_keyword(keyword, said, other):
                yield self._changed(place, keyword, said, other)
        for keyword in _INNER:
            if keyword in taken:
                yield from self.compare(
                    given.get(keyword, True), taken[keyword], f"{place} ({keyword})"
                )
        yield from self.compare_items(given, taken, place)
        yield from self.compare_fields(given, taken, place)

    def compare_items(self, given: Schema, taken: Schema, place: str) -> Iterator[str]:
        """Yield how the items of two arrays differ, by their positions where a schema has them."""
        before, after = given.get("prefixItems", []), taken.get("prefixItems", [])
        for number in range(max(len(before), len(after))):
            one, other = (
                items[number] if number < len(items) else form.get("items", True)
                for items, form in ((before, given), (after, taken))
            )
            yield from self.compare(one, other, f"{place}[{number}]")
        if "items" in taken:
            yield from self.compare(given.get("items", True), taken["items"], f"{place}[]")

    def compare_fields(self, given: Schema, taken: Schema, place: str) -> Iterator[str]:
        """Yield how the fields of two objects differ; one that is new is a need or nothing."""
        before, after = given.get("properties", {}), taken.get("properties", {})
        old, new = self._sides(before, after)
        needed = {*taken.get("required", ())}
        need = "is required now" if self.is_request else "may be left out now"
        for name in {**old, **new, **dict.fromkeys(taken.get("required", ()))}:
            where = f"{place}.{name}" if place else name
            if name in old and name not in new:
                came = [one for one in new if one not in old]
                yield f"{where} is gone{guess(old[name], {one: new[one] for one in came})}"
                continue
            if name in needed and name not in given.get("required", ()):
                yield f"{where} {need}"
            if name in before and name in after:
                yield from self.compare(before[name], after[name], where)
                if self.is_request and name not in needed:
                    yield from self.compare_defaults(before[name], after[name], where)
            elif name in before:  # new in an answer, which may have more of them
                others = taken.get("additionalProperties") or True
                yield from self.compare(before[name], others, where)
            elif isinstance(others := given.get("additionalProperties"), dict) and name in after:
                yield from self.compare(others, after[name], where)
        yield from self.compare_other_fields(given, taken, place)

    def compare_other_fields(self, given: Schema, taken: Schema, place: str) -> Iterator[str]:
        """Yield how the fields differ that an object may have besides those with a name."""
        given_others, others = (one.get("additionalProperties", True) for one in (given, taken))
        if isinstance(others, dict):
            yield from self.compare(given_others, others, f"{place}.*")
        elif self.is_request and given_others is not False and others is False:
            yield f"{place} takes no other fields now"
        for pattern, schema in taken.get("patternProperties", {}).items():
            known = given.get("patternProperties", {}).get(pattern, given_others)
            yield from self.compare(known, schema, f"{place}./{pattern}/")

    def compare_defaults(self, given: Any, taken: Any, place: str) -> Iterator[str]:
        """Yield where a value that a request may leave out has another default, or none any more."""
        before = find_said("default", given, self.given)
        after = find_said("default", taken, self.taken)
        if before is not None and written(before) != written(after):
            now = "no default" if after is None else f"the default {written(after)}"
            yield f"{place} has {now} now, and had {written(before)}"

    def _takes(self, form: Schema, value: Any) -> bool:
        """Whether a form of the value's type takes a value."""
        if "enum" in form:
            return written(value) in map(written, form["enum"])
        exact: Schema = {}
        if isinstance(value, str):
            exact = {"minLength": len(value), "maxLength": len(value)}
            if isinstance(pattern := form.get("pattern"), str) and not re.search(pattern, value):
                return False
        elif isinstance(value, int | float):
            exact = {"minimum": value, "maximum": value}
        rest = {key: each for key, each in form.items() if key not in ("pattern", "format")}
        return not any(self._differ(exact, rest, ""))

    def _sides(self, given: Any, taken: Any) -> tuple[Any, Any]:
        """Return the former and the present one of two."""
        return (given, taken) if self.is_request else (taken, given)

    def _changed(self, place: str, keyword: str, given: Any, taken: Any) -> str:
        old, new = self._sides(given, taken)
        if old is None:
            return f"{place} has {keyword} {written(new)} now"
        if new is None:
            return f"{place} has no {keyword} now, and had {written(old)}"
        return f"{place} has {keyword} {written(new)} now, and had {written(old)}"


def guess(gone: Any, came: Mapping[str, Any]) -> str:
    """Return what something that is gone may be called now: the only new one that is equal to it."""
    same = [name for name, one in came.items() if written(one) == written(gone)]
    return f" (is it {same[0]} now?)" if len(same) == 1 else ""


def written(value: Any) -> str:
    """Return JSON that is equal for what is equal, whatever the order of keys."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def look_up(document: Document, reference: str) -> Any:
    """Return what a reference is to; of one to nothing, `{}`."""
    found: Any = document
    for name in reference.removeprefix("#").strip("/").split("/"):
        key = name.replace("~1", "/").replace("~0", "~")
        found = found.get(key, {}) if isinstance(found, Mapping) else {}
    return found


def resolved(value: Any, document: Document, depth: int = 9) -> Any:
    """Return what a keyword without a rule says, with what references are to in their place."""
    if isinstance(value, list):
        return [resolved(one, document, depth) for one in value]
    if not isinstance(value, dict) or not depth:
        return value
    reference = value.get("$ref")
    found = value | ({"$ref": look_up(document, reference)} if isinstance(reference, str) else {})
    return {key: resolved(one, document, depth - 1) for key, one in found.items()}


def find_said(keyword: str, schema: Any, document: Document, depth: int = 9) -> Any:
    """Return what a schema says by a keyword that refuses no value, itself or by what it is made of."""
    if not isinstance(schema, dict) or not depth:
        return None
    if keyword in schema:
        return schema[keyword]
    parts = [*schema.get("allOf", ())]
    if "$ref" in schema:
        parts.append(look_up(document, schema["$ref"]))
    found = (find_said(keyword, one, document, depth - 1) for one in parts)
    return next((one for one in found if one is not None), None)


def forms_of(schema: Any, document: Document, met: frozenset[str] = frozenset()) -> list[Schema]:
    """Return the forms that a value may have, as schemas without references, unions and annotations.

    Each has one type, but for `{}`, which takes everything.
    """
    if isinstance(schema, bool):
        return [{}] if schema else []
    own = {
        key: value
        for key, value in schema.items()
        if key not in _ANNOTATIONS and not key.startswith("x-")
    }
    parts: list[list[Schema]] = []
    if reference := own.pop("$ref", None):
        # A schema that is itself, by nothing but references, takes no value by that way.
        found = [] if reference in met else [look_up(document, reference)]
        parts.append([form for one in found for form in forms_of(one, document, met | {reference})])
    parts += [forms_of(one, document, met) for one in own.pop("allOf", ())]
    for union in ("anyOf", "oneOf"):
        if union in own:
            parts.append([form for one in own.pop(union) for form in forms_of(one, document, met)])
    if isinstance(own.get("type"), list):
        parts.append([{"type": one} for one in own.pop("type")])
    if "const" in own:
        parts.append([{"enum": [own.pop("const")]}])
    merged = [reduce(_both, each, own) for each in product(*parts)]
    for form in merged:
        for keyword, other in _REST:
            if keyword in form:
                form.setdefault(other, form.pop(keyword))
    return [form for one in merged for form in _by_types(one)]


def _both(one: Schema, other: Schema) -> Schema:
    """Return the schema of the values that two schemas take."""
    merged = one | other
    for key in one.keys() & other.keys():
        before, after = one[key], other[key]
        if before == after:
            continue
        if key in (*_LEAST, "minimum", "exclusiveMinimum"):
            merged[key] = max(before, after)
        elif key in (*_MOST, "maximum", "exclusiveMaximum"):
            merged[key] = min(before, after)
        elif key == "type":
            merged[key] = "integer" if {before, after} == {"integer", "number"} else "none"
        elif key == "enum":
            merged[key] = [each for each in before if written(each) in map(written, after)]
        elif key == "required":
            merged[key] = [*dict.fromkeys([*before, *after])]
        elif key == "properties":
            shared = {name: _all_of(before[name], after[name]) for name in before.keys() & after}
            merged[key] = before | after | shared
        elif key == "prefixItems":
            pairs = zip_longest(before, after, fillvalue=True)
            merged[key] = [_all_of(*pair) for pair in pairs]
        else:
            merged[key] = _all_of(before, after)
    return merged


def _all_of(one: Any, other: Any) -> Any:
    """Return a schema of two; of other keywords, a value that equals the same two alone."""
    if one == other or other is True:
        return one
    return other if one is True else {"allOf": [one, other]}


def _by_types(form: Schema) -> Iterator[Schema]:
    """Yield a form for each type of its values, with the keywords of that type; none for no value."""
    kinds = [*_KEYWORDS] if form else []
    if "type" in form:
        kinds = [form["type"]] if form["type"] != "none" else []
    elif "enum" in form:
        kinds = [*dict.fromkeys(map(_type_of, form["enum"]))]
    elif not form:
        yield form
    for kind in kinds:
        own = _KEYWORDS["number" if kind == "integer" else kind]
        kept = {key: one for key, one in form.items() if key in own or key not in _RULED}
        values = form.get("enum", [False, True] if kind == "boolean" else None)
        if kind != "null" and values is not None:
            kept["enum"] = [one for one in values if _takes_type(kind, _type_of(one))]
        yield {"type": kind} | kept


def _type_of(value: Any) -> str:
    if value is None or isinstance(value, bool | str):
        return {type(None): "null", bool: "boolean", str: "string"}[type(value)]
    if isinstance(value, int | float):
        return "integer" if float(value).is_integer() else "number"
    return "array" if isinstance(value, list) else "object"


def _takes_type(taken: str | None, given: str | None) -> bool:
    return taken in (None, given) or (taken, given) == ("number", "integer")


def _takes_keyword(keyword: str, given: Any, taken: Any) -> bool:
    """Whether a value of which a keyword says one thing is one of which it says another."""
    is_free = taken is None or (taken is False and keyword in _FREE_WHERE_FALSE)
    if is_free or written(given) == written(taken):
        return True
    match keyword, given, taken:
        case "multipleOf", int() | float(), int() | float():
            return math.isclose(math.remainder(given, taken), 0, abs_tol=1e-9)
        case "format", str(), str():
            return taken in _WIDER.get(given, ())
        case "pattern", str(), str():
            return takes_text(taken, given)
    return False


def takes_text(taken: str, given: str) -> bool:
    """Whether each text of one pattern is surely one of another: part by part, it is."""
    if "|" in taken + given:
        return taken == given
    ahead = [*_TOKEN.finditer(given)]
    for token in _TOKEN.finditer(taken):
        least, most = _count(token["count"])
        if ahead:
            atom, before, counts = token["atom"], ahead[0]["atom"], _count(ahead[0]["count"])
            is_taken = atom == before or (atom == r"\d" and before.isdigit())
            if atom[0] == before[0] == "(" and atom[1] != "?" and not is_taken:
                is_taken = takes_text(f"{atom[1:-1]}$", f"{before[1:-1]}$")
            if atom[0] == before[0] == "[" and "^" not in (atom[1], before[1]):
                is_taken = {*_MEMBER.findall(before[1:-1])} <= {*_MEMBER.findall(atom[1:-1])}
            if is_taken and least <= counts[0] and counts[1] <= most:
                ahead.pop(0)
                continue
        if least:
            return False
    return not ahead or not taken.endswith("$")


def _count(text: str | None) -> tuple[float, float]:
    """Return how often a part of a pattern may be there, by what is behind it."""
    short = {None: (1, 1), "?": (0, 1), "*": (0, math.inf), "+": (1, math.inf)}
    if text is None or text in short:
        return short[text]
    least, comma, most = text.strip("{}").partition(",")
    return int(least), int(most) if most else math.inf if comma else int(least)


def _bound(form: Schema, sign: int) -> tuple[float, bool]:
    """Return the least value, and whether it is refused itself; of the greatest, with a minus before it."""
    names = _BOUNDS[:2] if sign > 0 else _BOUNDS[2:]
    found = [(sign * form[name], name == names[1]) for name in names if name in form]
    value, is_refused = max(found, default=(-math.inf, False))
    if form.get("type") == "integer" and value > -math.inf:
        return (math.floor(value) + 1 if is_refused else math.ceil(value)), False
    return value, is_refused


def _spelt(bound: tuple[float, bool], sign: int) -> str | float | None:
    value, is_refused = bound
    if value == -math.inf:
        return None
    return f"{'above' if sign > 0 else 'below'} {sign * value}" if is_refused else sign * value


def _a(kind: str) -> str:
    """Return a type with its article."""
    if kind in ("null", "any"):
        return "null" if kind == "null" else "anything"
    return f"{'an' if kind[0] in 'aio' else 'a'} {kind}"
