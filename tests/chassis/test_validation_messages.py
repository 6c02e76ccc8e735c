"""The words of refusals, held against pydantic's own list of kinds of errors."""

import ast
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, get_args

import pydantic
import pytest
from pydantic import PlainValidator, TypeAdapter, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError, core_schema
from pydantic_core._pydantic_core import list_all_errors

from quart_fleet.errors import InvalidRequestError, ValidationFailedError
from quart_fleet.web._validation_messages import MESSAGES, validation_error_of

KINDS: dict[str, dict[str, Any]] = {
    error["type"]: error.get("example_context") or {} for error in list_all_errors()
}
OF_THE_CLIENT = {
    *("actual_length", "encoding_error", "error", "input_value", "tag", "tz_actual"),
    *("attribute", "method_name"),
}
"""What pydantic's own messages say of what was sent, or of what happened inside."""


def custom_kinds() -> Iterator[str]:
    """Yield the kinds that pydantic's Python code invents, beside those of its core."""
    for path in Path(pydantic.__file__).parent.rglob("*.py"):
        if "v1" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("CustomError"):
                kind = node.args[0]
                if isinstance(kind, ast.Constant) and isinstance(kind.value, str):
                    yield kind.value


def test_every_kind_of_pydantics_core_has_words() -> None:
    assert {*KINDS, *get_args(core_schema.ErrorType)} - MESSAGES.keys() == set()


def test_every_kind_that_pydantic_invents_has_words() -> None:
    found = set(custom_kinds())

    assert "path_not_file" in found
    assert found - MESSAGES.keys() == set()


@pytest.mark.parametrize("kind", KINDS)
def test_words_say_only_what_the_definition_says(kind: str) -> None:
    named = {name for _, name, _, _ in Formatter().parse(MESSAGES[kind]) if name}

    assert named <= KINDS[kind].keys() - OF_THE_CLIENT


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_refused_in_its_words(kind: str) -> None:
    error = ValidationError.from_exception_data(
        "", [InitErrorDetails(type=kind, loc=("field",), input=None, ctx=context_of(kind))]
    )

    refused = validation_error_of(error.errors())

    if kind == "missing":
        assert isinstance(refused, InvalidRequestError)
        return
    assert isinstance(refused, ValidationFailedError)
    assert refused.errors["field"].startswith(("Must ", "Is "))
    assert "{" not in refused.errors["field"]


def context_of(kind: str) -> dict[str, object]:
    """Return pydantic's example, with an exception where it leaves one out."""
    example = KINDS[kind]
    return {**example, "error": ValueError()} if example.get("error", "") is None else example


@pytest.mark.parametrize("kind", ["a kind of an owner's", "too_long"])
def test_a_message_of_an_owners_is_its_own(kind: str) -> None:
    def refuse(_value: object) -> object:
        raise PydanticCustomError(kind, "Must be so")

    with pytest.raises(ValidationError) as error:
        TypeAdapter(Annotated[object, PlainValidator(refuse)]).validate_python(1)

    refused = validation_error_of(error.value.errors())
    assert isinstance(refused, ValidationFailedError)
    assert list(refused.errors.values()) == ["Must be so"]
