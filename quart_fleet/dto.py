"""Base classes of the objects that cross the application's edge, and the types of their fields."""

from collections.abc import Sequence
from functools import cache
from typing import Annotated, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter
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


class RequestDTO(BaseModel):
    """What a client sends: its JSON types are taken as they are, other keys are ignored."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class PageQuery(BaseModel):
    """Which part of a list a client asks for, in the query of a URL."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    limit: int = Field(default=20, ge=1, le=100)
    """How many at most."""
    after: int = Field(default=0, ge=0, le=2**63 - 1)
    """The id of the last one that the client has."""


class ResponseDTO(BaseModel):
    """What a client gets, read from an entity's attributes."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

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
