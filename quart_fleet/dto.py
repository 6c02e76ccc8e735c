"""Base classes of DTOs, which requests are parsed into and answers are written from, and field types."""

from collections.abc import Iterator, Sequence
from functools import cache, cached_property
from typing import Annotated, Any, Self, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    TypeAdapter,
    WrapSerializer,
)
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError


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

Integer = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]
"""A whole number in the range of PostgreSQL's `integer`: 4 bytes, signed."""


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
    if field.alias or field.serialization_alias:
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
