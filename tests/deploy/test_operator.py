"""CloudNativePG takes our documents, and our own models let nothing pass that it refuses."""

from collections.abc import Iterator

import pytest

from tests.deploy.documents import Document, Documents, keys, name_of
from tests.deploy.operator_schemas import FOLDER, KINDS, OperatorSchemas
from tests.deploy.schemas import find_fault
from tests.deploy.test_schemas import is_free, renamed, with_value

_WRONG: tuple[object, ...] = ("changed", -1, None, {"x": 1}, [])


@pytest.fixture(scope="module")
def operator() -> OperatorSchemas:
    """The operator's schemas; a skip where they are not installed."""
    if not FOLDER.is_dir():
        pytest.skip(f"config/crd/bases of CloudNativePG is not at {FOLDER}")
    return OperatorSchemas(FOLDER)


@pytest.fixture
def operated(production: Documents) -> Documents:
    """The documents that the operator acts on."""
    return [each for each in production if each["kind"] in KINDS]


def spoilt(document: Document) -> Iterator[tuple[str, Document]]:
    """Yield a document with each of its keys misspelt, and with each of its values wrong."""
    for place in keys(document):
        if place[0] != "spec":
            continue
        if not is_free(place):
            yield f"{name_of(document)} {place} misspelt", renamed(document, place)
        for value in _WRONG:
            yield f"{name_of(document)} {place} = {value!r}", with_value(document, place, value)


def test_the_operator_takes_our_documents(operator: OperatorSchemas, operated: Documents) -> None:
    assert len(operated) == len(KINDS)
    assert [fault for each in operated if (fault := operator.find_fault(each))] == []


def test_the_operator_refuses_every_misspelt_key(
    operator: OperatorSchemas, operated: Documents
) -> None:
    unnoticed = [
        what
        for document in operated
        for what, wrong in spoilt(document)
        if what.endswith("misspelt") and operator.find_fault(wrong) is None
    ]

    assert unnoticed == []


def test_what_the_operator_refuses_our_models_refuse(
    operator: OperatorSchemas, operated: Documents
) -> None:
    passed = [
        what
        for document in operated
        for what, wrong in spoilt(document)
        if operator.find_fault(wrong) is not None and find_fault(wrong) is None
    ]

    assert passed == []
