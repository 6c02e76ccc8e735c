"""Base classes of DTOs, which requests are parsed into and answers are written from, and field types."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Context, Decimal
from email.utils import format_datetime, parsedate_to_datetime
from enum import StrEnum
from functools import cache, cached_property
from math import isfinite
from typing import Annotated, Any, LiteralString, Protocol, Self, TypeVar, get_args

from pydantic import (
    AfterValidator,
    AnyHttpUrl,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    Tag,
    TypeAdapter,
    ValidationError,
    WrapSerializer,
)
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from quart_fleet.errors import ValidationFailedError, find_duplicates
from quart_fleet.patterns import Pattern
from quart_fleet.times import read_duration, write_datetime, write_duration


def _storable(text: str) -> str:
    """Refuse what PostgreSQL's text cannot hold: code zero (its manual, section 8.3), and half a
    surrogate pair, which JSON can spell and UTF-8 cannot.
    """
    if "\x00" in text:
        raise PydanticCustomError("nul_character", "Must not contain NUL characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise PydanticCustomError("string_unicode", "Must be valid Unicode text") from None
    return text


Text = Annotated[str, AfterValidator(_storable)]
"""A string that PostgreSQL can store; limit it with `Field(max_length=…)`, in characters."""


class Secret(str):
    """A text that its repr does not show: nor that of what holds it, nor a log of a statement."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


Hidden = AfterValidator(Secret)
"""Makes the text of a field a Secret: `Annotated[Text, Hidden]`."""


@dataclass(frozen=True, slots=True)
class Matching:
    """A pattern of a whole text, by `Annotated[Text, Matching("[A-Z]{3}")]`, as Pattern has it."""

    pattern: str

    def __get_pydantic_core_schema__(
        self, source: type[str], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        compiled = Pattern(self.pattern)

        def ensure(text: str) -> str:
            if not compiled.matches(text):
                raise PydanticCustomError(
                    "string_pattern_mismatch", "Does not match", {"pattern": self.pattern}
                )
            return text

        return core_schema.no_info_after_validator_function(ensure, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "pattern": f"^(?:{self.pattern})$"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruled:
    """What the entity asks of a value, by `Annotated[Integer, Ruled(ge=10)]`: said in the OpenAPI document alone.

    The entity refuses what breaks a rule, with all others at once. Words and bounds are pydantic's; a
    decimal as text is known by its sign alone, and beside its bounds has an example within them.
    """

    ge: float | Decimal | None = None
    gt: float | Decimal | None = None
    le: float | Decimal | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        found = handler(schema)
        of = "Items" if found.get("type") == "array" else "Length"
        given = {
            "minimum": self.ge,
            "exclusiveMinimum": self.gt,
            "maximum": self.le,
            f"min{of}": self.min_length,
            f"max{of}": self.max_length,
        }
        said: dict[str, Any] = {
            name: int(value) if value == int(value) else float(value)
            for name, value in given.items()
            if value is not None
        }
        if self.pattern is not None:
            said["pattern"] = f"^(?:{self.pattern})$"
        if "anyOf" not in found:
            return {**found, **said}
        text, number = found["anyOf"]  # of a decimal
        return {"anyOf": [{**text, **self._of_text(text["pattern"])}, {**number, **said}]}

    def _of_text(self, pattern: str) -> dict[str, Any]:
        said: dict[str, Any] = {}
        least = max((each for each in (self.ge, self.gt) if each is not None), default=None)
        if least is not None and least >= 0:
            some = "(?=.*[1-9])" if self.gt is not None else ""
            said["pattern"] = pattern.replace("^-?", f"^{some}", 1)
        if self.ge is not None and self.ge > 0:
            said["examples"] = [str(self.ge)]
        elif self.le is not None:
            said["examples"] = [str(self.le)]
        return said


Integer = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]
"""A whole number in the range of PostgreSQL's `integer`: 4 bytes, signed."""

BigInteger = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
"""A whole number in the range of PostgreSQL's `bigint`: 8 bytes, signed."""

Id = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
"""The id of another row; whether there is one, the database says."""

Float = Annotated[float, Field(allow_inf_nan=False)]
"""A number that JSON can write, in PostgreSQL `double precision`."""


def _in_form(
    pattern: str, read: Callable[[str], object], kind: LiteralString, message: LiteralString
) -> BeforeValidator:
    """Read text of one form alone, where pydantic also takes others and drops digits."""
    form = re.compile(pattern, re.ASCII)

    def convert(value: object) -> object:
        if not isinstance(value, str):
            return value
        if form.fullmatch(value):
            try:
                return read(value)
            except (ValueError, OverflowError):  # the 30th of February, the year 0
                pass
        raise PydanticCustomError(kind, message)

    return BeforeValidator(convert)


_TIME = r"\d\d:\d\d:\d\d(\.\d{1,6})?"

Date = Annotated[
    date,
    _in_form(
        r"\d{4}-\d\d-\d\d",
        date.fromisoformat,
        "date_parsing",
        "Must be a date, like 2026-11-23",
    ),
]
"""A full-date of RFC 3339."""

Time = Annotated[
    time,
    _in_form(_TIME, time.fromisoformat, "time_parsing", "Must be a time, like 09:24:02"),
]
"""A partial-time of RFC 3339: without an offset, and in microseconds at the finest."""

DateTime = Annotated[
    datetime,
    _in_form(
        rf"\d{{4}}-\d\d-\d\d[Tt ]{_TIME}([Zz]|[+-]\d\d:\d\d)",
        lambda text: datetime.fromisoformat(text.upper()).astimezone(UTC),
        "datetime_parsing",
        "Must be a date and time, like 2026-11-23T09:24:02Z",
    ),
]
"""A date-time of RFC 3339, with its offset, kept in UTC."""


def _written_by(write: Callable[[Any], str]) -> BeforeValidator:
    """Write a value as text where the JSON provider would write it otherwise."""
    return BeforeValidator(lambda value: value if isinstance(value, str) else write(value))


DateTimeText = Annotated[
    str, _written_by(write_datetime), Field(json_schema_extra={"format": "date-time"})
]
"""A datetime in an answer that is written as a DateTime reads it, and not as an HTTP date."""

HTTPDate = Annotated[
    datetime,
    BeforeValidator(
        lambda value: parsedate_to_datetime(value) if isinstance(value, str) else value
    ),
    PlainSerializer(lambda moment: format_datetime(moment, usegmt=True), when_used="json"),
]
"""A time of another service's answer, which is written as an HTTP date (RFC 9110, section 5.6.7)."""

Duration = Annotated[
    timedelta,
    _in_form("-?P.*", read_duration, "time_delta_parsing", "Must be a duration, like PT1H30M"),
]
"""A duration of ISO 8601, in days, hours, minutes and seconds."""

DurationText = Annotated[
    str, _written_by(write_duration), Field(json_schema_extra={"format": "duration"})
]
"""A duration in an answer, as a Duration reads it: PT90M is written PT1H30M."""


def utc_now() -> datetime:
    """Return the time, as a default of a DateTime."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Digits:
    """PostgreSQL's `numeric(precision, scale)`, by `Annotated[Decimal, Digits(10, 2)]`.

    Read from a string or a number of JSON, and kept with `scale` decimal places.
    """

    precision: int
    scale: int

    def __get_pydantic_core_schema__(
        self, source: type[Decimal], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        bounded = Field(max_digits=self.precision, decimal_places=self.scale)
        schema = handler.generate_schema(Annotated[source, bounded])
        exact = core_schema.no_info_before_validator_function(_exact_decimal, schema)
        return core_schema.no_info_after_validator_function(self.place, exact)

    def place(self, value: Decimal) -> Decimal:
        """Return the value with all its decimal places."""
        placed = value.quantize(Decimal(1).scaleb(-self.scale), context=Context(self.precision))
        return abs(placed) if placed.is_zero() else placed  # PostgreSQL has no negative zero


_DECIMAL = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
_EXACT_DIGITS = 15
"""What a number of JSON keeps in every program that reads it as a double."""


class RoundedFloat(float):
    """A number of JSON that a float does not keep as it was written."""

    __slots__ = ()

    @classmethod
    def read(cls, text: str) -> float:
        """Read a number of JSON; of this class where a decimal would not be what was written."""
        number = float(text)
        digits = text.lower().partition("e")[0].replace(".", "").strip("-0")
        is_rounded = len(digits) > _EXACT_DIGITS or (digits and number == 0)
        return cls(number) if is_rounded else number


def _exact_decimal(value: object) -> object:
    """Return a Decimal of a text or a number of JSON."""
    if isinstance(value, str):
        if not _DECIMAL.fullmatch(value):
            raise PydanticCustomError("decimal_parsing", "Must be a decimal number")
        return Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        if isinstance(value, Decimal):
            return value
        raise PydanticCustomError("decimal_type", "Must be a decimal number")
    number = Decimal(repr(value))
    if not number.is_finite():
        raise PydanticCustomError("finite_number", "Must be a finite number")
    if isinstance(value, RoundedFloat) or len(number.as_tuple().digits) > _EXACT_DIGITS:
        raise PydanticCustomError("decimal_too_exact", "Send it as a string")
    return number.to_integral_value() if number == number.to_integral_value() else number


_EMAIL = re.compile(
    r"[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+"
    r"@[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*"
)
"""As browsers check it (HTML, "valid email address")."""


def _checked(
    is_valid: Callable[[Any], object], kind: LiteralString, message: LiteralString
) -> AfterValidator:
    """Refuse values of another form; what is not refused stays as it is."""

    def check(value: Any) -> Any:
        if not is_valid(value):
            raise PydanticCustomError(kind, message)
        return value

    return AfterValidator(check)


Email = Annotated[
    str,
    Field(max_length=320, json_schema_extra={"format": "email"}),
    _checked(_EMAIL.fullmatch, "email", "Must be an email address, like ada@example.com"),
]
"""An email address, kept as it was sent."""

_URL = TypeAdapter(AnyHttpUrl)


def _is_url(text: str) -> bool:
    """Ask pydantic, which reads as a browser does: without blanks and control characters."""
    try:
        _URL.validate_python(text)
    except ValidationError:
        return False
    return not re.search(r"[\s\x00-\x1f]", text)


Url = Annotated[
    Text,
    _checked(_is_url, "url", "Must be a URL, like https://example.com"),
    Field(json_schema_extra={"format": "uri"}),
]
"""An address of the web, kept as it was sent."""


def ensure_json(value: object) -> object:
    """Return a value of JSON that PostgreSQL's jsonb gives back; raises pydantic's errors.

    Null is no value; within arrays and objects it is one.
    """
    if value is None:
        raise PydanticCustomError("not_null", "Must not be null")
    ahead: list[object] = [value]
    while ahead:
        match ahead.pop():
            case dict() as members:
                ahead += [*members.keys(), *members.values()]
            case list() as items:
                ahead += items
            case str() as text:
                _storable(text)
            case float() as number if not isfinite(number):
                raise PydanticCustomError("finite_number", "Must be a finite number")
            case int() as number if not -(2**63) <= number < 2**64:
                raise PydanticCustomError(
                    "json_integer", "Must have whole numbers of at most 64 bits"
                )
    return value


Json = Annotated[
    Any,
    AfterValidator(ensure_json),
    Field(json_schema_extra={"not": {"type": "null"}}),
]
"""Any JSON but null, in PostgreSQL's jsonb: objects are dicts, and arrays lists."""


Ids = Annotated[
    tuple[Id, ...],
    Field(max_length=1000, json_schema_extra={"uniqueItems": True}),
    _checked(
        lambda ids: len({*ids}) == len(ids),
        "duplicate_items",
        "Must not have the same item twice",
    ),
    AfterValidator(lambda ids: tuple(sorted(ids))),
]
"""The ids of other rows, at most 1,000 and none of them twice; kept sorted."""

ResponseT = TypeVar("ResponseT", bound="ResponseDTO")

_CONVERT = "convert the value by a validator, before it is kept"


class RequestDTO(BaseModel):
    """The body of a request; keys that are no field are ignored.

    JSON's own types are taken as they are: "36" and true are no integers, 1 is no boolean. Decimals,
    dates, times, durations, UUIDs, URLs and enumerations are read from their usual JSON form.
    A validator refuses a value in its own words by raising pydantic's `PydanticCustomError`; what a
    ValueError says is not shown to clients, since it may quote what was sent.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


Fixed = Annotated[
    Any,
    _checked(lambda _: False, "fixed", "Cannot be changed"),
    Field(json_schema_extra={"x-fixed": True}),  # left out of the OpenAPI document
]
"""A field of a PatchDTO that is set when a row is created, and never again."""


@dataclass(frozen=True, slots=True)
class Initially:
    """The state that a new row has, by `Annotated[OrderStatus, Initially(OrderStatus.OPEN)]`."""

    state: StrEnum

    def __get_pydantic_core_schema__(
        self, source: type[StrEnum], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.ensure, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "const": str(self.state)}

    def ensure(self, value: object) -> object:
        """Return the state; raises pydantic's error for any other value."""
        if value != self.state:
            raise PydanticCustomError(
                "initial_state", "Must be '{state}'", {"state": str(self.state)}
            )
        return value


@cache
def has_decimals(kind: type[BaseModel], above: frozenset[object] = frozenset()) -> bool:
    """Whether a model, or one within it that is none of those above it, has a field of Digits."""
    fields = kind.model_fields.values()
    parts = [part for one in fields for part in (*one.metadata, *_parts_of(one.annotation))]
    models = {part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)}
    return any(isinstance(part, Digits) for part in parts) or any(
        has_decimals(model, above | {kind}) for model in models - above - {kind}
    )


LEFT_OUT: Any = None
"""The default of each field of a PatchDTO."""


class PatchDTO(RequestDTO):
    """The body of a merge patch (RFC 7396): what is left out stays, and null is a value.

    A field has the type of its attribute in the entity, and LEFT_OUT as its default.
    """

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be changed."""
        return not self.model_fields_set

    def over(self, entity: object) -> Self:
        """Return the patch with the entity's values in the fields that were left out.

        A JSON object is a merge patch of what is there.
        """
        values = dict[str, object]()
        for name, field in type(self).model_fields.items():
            kept, given = getattr(entity, field.alias or name), getattr(self, name)
            if name not in self.model_fields_set:
                values[name] = kept
            elif isinstance(given, dict):
                values[name] = merged(kept, given)
        return self.model_copy(update=values)


def merged(kept: object, patch: Mapping[str, object]) -> dict[str, object]:
    """Return an object of JSON with a merge patch applied (RFC 7396, section 2)."""
    found = dict(kept) if isinstance(kept, dict) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = merged(found.get(name), value) if isinstance(value, dict) else value
    return found


class PartDTO(RequestDTO):
    """A new part, in the array of its owner's body; an id that it may have there is ignored."""

    @property
    def id(self) -> None:
        """None, until it is stored."""
        return None

    def over(self, _: object) -> Self:
        """Return the part, which leaves nothing out."""
        return self


class PartPatchDTO(PatchDTO):
    """A part that is there already, known by its id: what is left out stays."""

    id: BigInteger


PART_TAGS = ("<new>", "<known>")
"""What pydantic puts into the places of errors in a Part; clients do not see it."""


def _tag_of(part: object) -> str:
    """Tell a known part from a new one, in JSON or as a DTO."""
    found = part.get("id") if isinstance(part, dict) else getattr(part, "id", None)
    return PART_TAGS[found is not None]


class AnyPart(Protocol):
    """A part in a body, new or known."""

    @property
    def id(self) -> int | None:
        """None of a new one."""
        ...

    def over(self, entity: object, /) -> Self:
        """Return it with the entity's values where it leaves some out."""
        ...


PartT = TypeVar("PartT", bound=AnyPart)
NewT = TypeVar("NewT", bound=PartDTO)
KnownT = TypeVar("KnownT", bound=PartPatchDTO)

Part = Annotated[
    Annotated[NewT, Tag(PART_TAGS[0])] | Annotated[KnownT, Tag(PART_TAGS[1])],
    Discriminator(_tag_of),
]
"""A part in a body that updates its owner: `list[Part[CreateLineDTO, PatchLineDTO]]`."""


def merge_parts(field: str, given: Sequence[PartT], kept: Iterable[object]) -> list[PartT]:
    """Return the parts that an update asks for, known ones with the values that they leave out.

    Raises ValidationFailedError, which names `lines.0.id`, for an id that no part has, or two.

    Args:
        field: of the owner.
        given: by the client.
        kept: the owner's parts until now.
    """
    known = {getattr(part, "id", None): part for part in kept}
    errors = {
        f"{field}.{number}.id": "No such item"
        for number, part in enumerate(given)
        if part.id is not None and part.id not in known
    }
    errors = find_duplicates(field, given, "id") | errors
    if errors:
        raise ValidationFailedError(errors)
    return [part.over(known.get(part.id)) for part in given]


class PageQuery(BaseModel):
    """The query parameters of a page."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    limit: int = Field(default=20, ge=1, le=100)
    """The length of the page, in records."""
    after: int = Field(default=0, ge=0, le=2**63 - 1)
    """The id after which the page begins; ids start at 1."""


class ResponseDTO(BaseModel):
    """What a client gets, read from an entity's attributes.

    Every field is written by its name, with its value unchanged and without a copy: a datetime as an
    HTTP date, and decimals, dates, times, durations, UUIDs, URLs and addresses as the text that a
    RequestDTO reads. A class that asks pydantic to write anything else raises TypeError when it is
    defined. A model of
    `pydantic.BaseModel` may ask for all of it: it is written by its `model_dump(by_alias=True)`.
    """

    model_config = ConfigDict(
        frozen=True, from_attributes=True, revalidate_instances="subclass-instances"
    )
    """A subclass of a field's class becomes that class: what it adds is not written."""

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        super().__pydantic_init_subclass__(**options)
        for feature, remedy in _features_not_written(cls):
            raise TypeError(
                f"{cls.__name__} has {feature}, but a ResponseDTO is written as it is kept: "
                f"{remedy}, or derive the class from pydantic.BaseModel, "
                "which is written by model_dump."
            )

    @classmethod
    def of(cls, entity: object) -> Self:
        """Read one entity."""
        return cls.model_validate(entity)

    @classmethod
    def of_each(cls, entities: Sequence[object]) -> list[Self]:
        """Read many, in less time than one by one."""
        return _list_of(cls).validate_python(entities)


def writer_of(kind: type[ResponseDTO]) -> Callable[[Any], dict[str, object]]:
    """Return what gives the values of a DTO by their keys in JSON: without a copy, mostly."""
    aliases = {name: str(field.alias) for name, field in kind.model_fields.items() if field.alias}
    if not aliases:
        return vars
    return lambda dto: {aliases.get(name, name): value for name, value in vars(dto).items()}


@cache
def _list_of(kind: type[ResponseT]) -> TypeAdapter[list[ResponseT]]:
    return TypeAdapter(list[kind])  # type: ignore[valid-type]


def _features_not_written(kind: type[ResponseDTO]) -> Iterator[tuple[str, str]]:
    """Yield what the class asks of serialization beyond its fields, each with what to do instead."""
    decorators = kind.__pydantic_decorators__
    if decorators.model_serializers or decorators.field_serializers:
        yield "a serializer", _CONVERT
    for method in ("model_dump", "model_dump_json"):
        if getattr(kind, method) is not getattr(BaseModel, method):
            yield f"a {method} of its own", _CONVERT
    for name in decorators.computed_fields:
        yield f"a computed field '{name}'", "make it a field and set it in `of`"
    for name, value in [each for base in kind.__mro__ for each in vars(base).items()]:
        if isinstance(value, cached_property):
            yield f"a cached_property '{name}', kept beside the fields", "make it a property"
    if kind.model_config.get("extra") == "allow":
        yield 'extra="allow"', "declare every field"
    if kind.model_config.get("alias_generator"):
        yield "an alias_generator", "name the fields as clients know them"
    for name, field in kind.model_fields.items():
        yield from _features_of_field(name, field)


def _features_of_field(name: str, field: FieldInfo) -> Iterator[tuple[str, str]]:
    aliases = {field.alias, field.validation_alias, field.serialization_alias}
    is_underscored = name.endswith("_") and aliases == {name.removesuffix("_")}
    if (field.alias or field.serialization_alias) and not is_underscored:
        yield f"an alias for '{name}'", "name the field as clients know it"
    if field.exclude or getattr(field, "exclude_if", None):  # that came with pydantic 2.12
        yield f"an excluded field '{name}'", "leave the field out"
    parts = (*field.metadata, *_parts_of(field.annotation))
    if bytes in parts:
        yield f"bytes in '{name}', which JSON has not", "make them text, by base64 or another code"
    if any(isinstance(part, PlainSerializer | WrapSerializer) for part in parts):
        yield f"a serializer of '{name}'", _CONVERT


def _parts_of(annotation: Any) -> Iterator[object]:
    """Yield what an annotation is made of, at every depth."""
    yield annotation
    for part in get_args(annotation):
        yield from _parts_of(part)
