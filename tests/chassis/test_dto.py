"""Response DTOs, read from entities."""

from dataclasses import dataclass

import pytest
from pydantic import ValidationError

from quart_fleet.dto import ResponseDTO


@dataclass(slots=True)
class Person:
    name: str
    age: int | None = None


class PersonDTO(ResponseDTO):
    name: str
    age: int | None


class NameDTO(ResponseDTO):
    name: str


@pytest.mark.parametrize("dto", [PersonDTO, NameDTO])
def test_many_are_read_as_one_is(dto: type[ResponseDTO]) -> None:
    people = [Person("Ada", 36), Person("Grace")]

    assert dto.of_each(people) == [dto.of(person) for person in people]
    assert dto.of_each([]) == []


def test_an_entity_without_a_value_is_refused() -> None:
    with pytest.raises(ValidationError):
        PersonDTO.of_each([object()])
