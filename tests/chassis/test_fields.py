"""What is written of a DTO is what pydantic would dump, copied or not."""

from datetime import datetime
from enum import Enum
from functools import cached_property
from typing import Annotated, Any

import pytest
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    RootModel,
    computed_field,
    field_serializer,
    model_serializer,
)

from quart_fleet.asgi._fields import reader_of
from quart_fleet.dto import ResponseDTO, Text

NOW = datetime.fromisoformat("2026-11-23T09:24:02Z")


class Colour(Enum):
    RED = 1


class PlainDTO(ResponseDTO):
    id: int
    name: str | None = None
    ratio: float = 0.5
    colour: Colour = Colour.RED
    at: datetime = NOW


class RestrictedDTO(ResponseDTO):
    name: Annotated[Text, Field(max_length=9)] = "Ada"


class RenamedDTO(ResponseDTO):
    name: str = Field(serialization_alias="holder")


class SecretDTO(ResponseDTO):
    name: str
    password: str = Field(default="secret", exclude=True)


class ComputingDTO(ResponseDTO):
    name: str = "Ada"

    @computed_field
    def initial(self) -> str:
        return self.name[0]


class LoudDTO(ResponseDTO):
    name: str = "Ada"

    @field_serializer("name")
    def shout(self, name: str) -> str:
        return name.upper()


class AnnotatedDTO(ResponseDTO):
    name: Annotated[str, PlainSerializer(str.upper)] = "Ada"


class WholeDTO(ResponseDTO):
    name: str = "Ada"

    @model_serializer
    def shout(self) -> dict[str, str]:
        return {"all": self.name}


class OpenDTO(ResponseDTO):
    model_config = ConfigDict(extra="allow")

    name: str = "Ada"


class RememberingDTO(ResponseDTO):
    name: str = "Ada"

    @cached_property
    def secret(self) -> str:
        return "remembered"


class OverridingDTO(ResponseDTO):
    name: str = "Ada"

    def model_dump(self, **_options: Any) -> dict[str, Any]:
        return {"all": self.name}


class NestingDTO(ResponseDTO):
    one: RenamedDTO
    each: tuple[SecretDTO, ...]


class NestingBaseDTO(ResponseDTO):
    base: PlainDTO


class WithMoreDTO(PlainDTO):
    password: str = "secret"


class Names(RootModel[list[str]]):
    pass


def remembering() -> RememberingDTO:
    dto = RememberingDTO()
    assert dto.secret
    return dto


def remembering_alone() -> RememberingDTO:
    """As many values as fields, but another one."""
    dto = RememberingDTO.model_construct()
    del dto.__dict__["name"]
    assert dto.secret
    return dto


DTOS: list[BaseModel] = [
    PlainDTO(id=1),
    *(
        kind.model_validate({"name": "Ada"})
        for kind in (
            RestrictedDTO, RenamedDTO, SecretDTO, ComputingDTO, LoudDTO, AnnotatedDTO, WholeDTO,
        )
    ),
    OpenDTO.model_validate({"name": "Ada", "more": 1}),
    remembering(),
    remembering_alone(),
    OverridingDTO(),
    NestingDTO.model_validate({"one": {"name": "Ada"}, "each": [{"name": "Ada"}]}),
    NestingBaseDTO(base=WithMoreDTO(id=1)),
    Names(["Ada"]),
]  # fmt: skip


@pytest.mark.parametrize("dto", DTOS, ids=lambda dto: type(dto).__name__)
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_it_is_what_pydantic_dumps(dto: BaseModel) -> None:
    read = reader_of(type(dto))

    assert read(dto) == dto.model_dump(by_alias=True)


def test_fields_that_are_dumped_as_they_are_kept_are_not_copied() -> None:
    dto = PlainDTO(id=1)
    read = reader_of(PlainDTO)

    assert read(dto) is dto.__dict__
