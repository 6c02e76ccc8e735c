"""Every manifest is what Kubernetes takes, and says what it must."""

from collections import Counter
from copy import deepcopy
from typing import Any

import pytest

from tests.deploy.documents import Document, Documents, Place, find, keys, name_of
from tests.deploy.rules import RULES, find_faults, rules_of
from tests.deploy.schemas import find_fault

OF_EACH_SERVICE = ("Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget")
FREE = {
    *("annotations", "data", "labels", "limits", "matchLabels", "parameters", "requests"),
    "selector",
}
"""Below these, keys are names that the author of a document chooses."""


def test_the_schemas_find_nothing(documents: Documents) -> None:
    assert [fault for each in documents if (fault := find_fault(each))] == []


def test_the_rules_find_nothing(documents: Documents) -> None:
    assert list(find_faults(documents)) == []


def test_everything_is_there(documents: Documents, production: Documents) -> None:
    kinds = Counter(each["kind"] for each in documents)

    assert {kind: kinds[kind] for kind in OF_EACH_SERVICE} == dict.fromkeys(OF_EACH_SERVICE, 3)
    assert (kinds["Job"], kinds["CronJob"], kinds["Ingress"]) == (1, 1, 1)
    assert kinds["Namespace"] == 1
    assert kinds["NetworkPolicy"] >= 3
    assert kinds["Secret"] == 0
    if documents == production:
        assert (kinds["Cluster"], kinds["Pooler"], kinds["StatefulSet"]) == (1, 1, 0)


def test_a_document_of_an_unknown_kind_is_a_fault(production: Documents) -> None:
    [cluster] = [each for each in production if each["kind"] == "Cluster"]

    assert find_fault({**cluster, "apiVersion": "postgresql.cnpg.io/v0"})
    assert find_fault({**cluster, "kind": "Clusters"})


@pytest.mark.slow
def test_every_misspelt_key_is_found(production: Documents) -> None:
    unnoticed = [
        (name_of(document), place)
        for document in _one_of_each_kind(production)
        for place in keys(document)
        if not is_free(place) and find_fault(renamed(document, place)) is None
    ]

    assert unnoticed == []


@pytest.mark.parametrize("kind", RULES)
def test_every_missing_or_changed_value_of_the_rules_is_found(
    kind: str, production: Documents
) -> None:
    document = next(each for each in production if each["kind"] == kind)

    for rule in rules_of(kind):
        for spoilt in (_without(document, rule.place), with_value(document, rule.place, "changed")):
            assert list(find_faults([spoilt])), rule


def _one_of_each_kind(documents: Documents) -> Documents:
    return list({each["kind"]: each for each in documents}.values())


def is_free(place: Place) -> bool:
    """Whether no schema could know the key."""
    return not FREE.isdisjoint(place[:-1])


def renamed(document: Document, place: Place) -> Document:
    """Return a document with a key misspelt."""
    value = find(document, place)
    return with_value(_without(document, place), (*place[:-1], f"{place[-1]}x"), value)


def _without(document: Document, place: Place) -> Document:
    copy = deepcopy(document)
    del find(copy, place[:-1])[place[-1]]
    return copy


def with_value(document: Document, place: Place, value: Any) -> Document:
    """Return a document with another value at a place."""
    copy = deepcopy(document)
    find(copy, place[:-1])[place[-1]] = value
    return copy
