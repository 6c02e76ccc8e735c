"""A ResponseDTO is written as it is kept; a class that asks for anything else is refused."""

import json
from collections.abc import Callable
from datetime import datetime
from enum import Enum
from functools import cached_property
from typing import Annotated, Any, Generic, TypeVar

import pytest
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    RootModel,
    WrapSerializer,
    computed_field,
    field_serializer,
    model_serializer,
)
from pydantic.alias_generators import to_camel
from quart import Quart

from quart_fleet.dto import ResponseDTO, Text
from quart_fleet.web._envelope import ContractJSONProvider

NOW = datetime.fromisoformat("2026-11-23T09:24:02Z")
ItemT = TypeVar("ItemT")


class Colour(Enum):
    RED = 1


class UserDTO(ResponseDTO):
    id: int
    name: Annotated[Text, Field(max_length=9)] | None = None
    ratio: float = 0.5
    colour: Colour = Colour.RED
    at: datetime = NOW


class UserWithPasswordDTO(UserDTO):
    password: str = "secret"


class TeamDTO(ResponseDTO):
    lead: UserDTO
    members: list[UserDTO]


class BoxDTO(ResponseDTO, Generic[ItemT]):
    item: ItemT


class Names(RootModel[list[str]]):
    pass


class Account(BaseModel):
    """Not a ResponseDTO: pydantic may write it as it likes."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(serialization_alias="holder")
    password: str = Field(default="secret", exclude=True)

    @computed_field
    def initial(self) -> str:
        return self.name[0]

    @field_serializer("name")
    def shout(self, name: str) -> str:
        return name.upper()


async def written(value: object) -> object:
    response = ContractJSONProvider(Quart(__name__)).response(value)
    return json.loads(await response.get_data())


async def test_every_field_is_written_by_its_name() -> None:
    assert await written(UserDTO(id=1)) == {
        "id": 1,
        "name": None,
        "ratio": 0.5,
        "colour": 1,
        "at": "Mon, 23 Nov 2026 09:24:02 GMT",
    }


async def test_a_subclass_in_a_field_is_written_as_the_fields_class() -> None:
    user = UserWithPasswordDTO(id=1)

    team = TeamDTO(lead=user, members=[user])

    assert await written(team) == {
        "lead": await written(UserDTO(id=1)),
        "members": [await written(UserDTO(id=1))],
    }


async def test_a_generic_class_is_written_too() -> None:
    assert await written(BoxDTO[int](item=1)) == {"item": 1}


async def test_any_other_model_is_written_by_model_dump() -> None:
    account = Account.model_validate({"name": "Ada", "more": 1})

    assert await written([account]) == [{"holder": "ADA", "initial": "A", "more": 1}]
    assert await written(BoxDTO[Account](item=account)) == {"item": (await written([account]))[0]}  # type: ignore[index]  # a list
    assert await written(Names(["Ada"])) == ["Ada"]


async def test_a_name_for_what_comes_in_alone_is_not_written() -> None:
    class ReadDTO(ResponseDTO):
        name: str = Field(validation_alias="holder")

    assert await written(ReadDTO.model_validate({"holder": "Ada"})) == {"name": "Ada"}


def with_alias() -> type[ResponseDTO]:
    class RefusedDTO(ResponseDTO):
        name: str = Field(alias="holder")

    return RefusedDTO


def with_serialization_alias() -> type[ResponseDTO]:
    class RefusedDTO(ResponseDTO):
        name: str = Field(serialization_alias="holder")

    return RefusedDTO


def with_alias_generator() -> type[ResponseDTO]:
    class RefusedDTO(ResponseDTO):
        model_config = ConfigDict(alias_generator=to_camel)

        first_name: str

    return RefusedDTO


def with_excluded_field() -> type[ResponseDTO]:
    class RefusedDTO(ResponseDTO):
        password: str = Field(exclude=True)

    return RefusedDTO


def with_computed_field() -> type[ResponseDTO]:
    class RefusedDTO(ResponseDTO):
        name: str

        @computed_field
        def initial(self) -> str:
            return self.name[0]

    return RefusedDTO


def with_field_serializer() -> type[ResponseDTO]:
    class RefusedDTO(ResponseDTO):
        name: str

        @field_serializer("name")
        def shout(self, name: str) -> str:
            return name.upper()

    return RefusedDTO


def with_model_serializer() -> type[ResponseDTO]:
    class RefusedDTO(ResponseDTO):
        name: str

        @model_serializer
        def shout(self) -> dict[str, str]:
            return {"all": self.name}

    return RefusedDTO


def with_annotated_serializer() -> type[ResponseDTO]:
    class RefusedDTO(ResponseDTO):
        name: Annotated[str, PlainSerializer(str.upper)]

    return RefusedDTO


def with_serializer_inside() -> type[ResponseDTO]:
    class RefusedDTO(ResponseDTO):
        names: dict[str, list[Annotated[str, WrapSerializer(lambda name, write: write(name))]]]

    return RefusedDTO


def with_extra_fields() -> type[ResponseDTO]:
    class RefusedDTO(ResponseDTO):
        model_config = ConfigDict(extra="allow")

    return RefusedDTO


def with_cached_property() -> type[ResponseDTO]:
    class RefusedDTO(ResponseDTO):
        @cached_property
        def secret(self) -> str:
            return "kept beside the fields"

    return RefusedDTO


def with_own_dump() -> type[ResponseDTO]:
    class RefusedDTO(ResponseDTO):
        def model_dump(self, **_options: Any) -> dict[str, Any]:
            return {}

    return RefusedDTO


def with_bytes() -> type[ResponseDTO]:
    class RefusedDTO(ResponseDTO):
        picture: list[bytes] | None

    return RefusedDTO


@pytest.mark.parametrize(
    ("define", "feature", "remedy"),
    [
        (with_alias, "an alias for 'name'", "name the field as clients know it"),
        (with_serialization_alias, "an alias for 'name'", "name the field as clients know it"),
        (with_alias_generator, "an alias_generator", "name the fields as clients know them"),
        (with_excluded_field, "an excluded field 'password'", "leave the field out"),
        (with_computed_field, "a computed field 'initial'", "make it a field and set it in `of`"),
        (with_field_serializer, "a serializer", "convert the value by a validator"),
        (with_model_serializer, "a serializer", "convert the value by a validator"),
        (with_annotated_serializer, "a serializer of 'name'", "convert the value by a validator"),
        (with_serializer_inside, "a serializer of 'names'", "convert the value by a validator"),
        (with_extra_fields, 'extra="allow"', "declare every field"),
        (with_cached_property, "a cached_property 'secret'", "make it a property"),
        (with_bytes, "bytes in 'picture', which JSON has not", "make them text"),
        (with_own_dump, "a model_dump of its own", "convert the value by a validator"),
    ],
    ids=lambda each: each.__name__ if callable(each) else "",
)
def test_a_class_that_asks_for_more_is_refused_with_the_remedy(
    define: Callable[[], type[ResponseDTO]], feature: str, remedy: str
) -> None:
    with pytest.raises(TypeError) as refusal:
        define()

    assert str(refusal.value).startswith(f"RefusedDTO has {feature}")
    assert remedy in str(refusal.value)
    assert "pydantic.BaseModel" in str(refusal.value)
