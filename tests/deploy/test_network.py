"""The policies let through what the fleet needs, and nothing else to the database."""

import pytest

from tests.deploy.documents import Documents, of_kind, pods
from tests.deploy.network import database_of, labels_of, lets_through

POSTGRES = 5432
STATUS = 8000
"""Where instances of the operator tell each other how they are."""
STRANGER = {"app.kubernetes.io/name": "stranger"}


def test_every_pod_is_under_a_policy(documents: Documents) -> None:
    selectors = [
        each["spec"]["podSelector"]["matchLabels"] for each in of_kind(documents, "NetworkPolicy")
    ]

    for pod in pods(documents):
        labels = pod["metadata"]["labels"].items()
        assert any(selector.items() <= labels for selector in selectors)


@pytest.mark.parametrize("component", ["service", "migration"])
def test_services_and_migrations_reach_the_database(component: str, documents: Documents) -> None:
    caller = labels_of(documents, component)

    for database in database_of(documents):
        assert lets_through(documents, caller, database, POSTGRES)
        assert not lets_through(documents, caller, database, STATUS)


def test_services_reach_each_other(documents: Documents) -> None:
    service = labels_of(documents, "service")

    assert lets_through(documents, service, service, "http")
    assert not lets_through(documents, labels_of(documents, "migration"), service, "http")


def test_no_other_pod_reaches_the_database_or_a_service(documents: Documents) -> None:
    for called, port in [(labels_of(documents, "service"), "http")] + [
        (database, POSTGRES) for database in database_of(documents)
    ]:
        assert not lets_through(documents, STRANGER, called, port)


def test_the_database_reaches_itself(production: Documents) -> None:
    pooler, instance = database_of(production)

    assert lets_through(production, pooler, instance, POSTGRES)
    assert lets_through(production, instance, instance, POSTGRES)
    assert lets_through(production, instance, instance, STATUS)
    assert not lets_through(production, pooler, instance, STATUS)


def test_the_operator_reaches_its_clusters(production: Documents) -> None:
    [rules] = [
        each["spec"]["ingress"]
        for each in of_kind(production, "NetworkPolicy")
        if each["metadata"]["name"] == "database-operator"
    ]

    operator = {"kubernetes.io/metadata.name": "cnpg-system"}
    assert {"namespaceSelector": {"matchLabels": operator}} in rules[0]["from"]
    assert [port["port"] for port in rules[0]["ports"]] == [POSTGRES, STATUS]


@pytest.mark.parametrize("component", ["service", "migration"])
def test_names_can_be_looked_up(component: str, documents: Documents) -> None:
    [rules] = [
        each["spec"]["egress"]
        for each in of_kind(documents, "NetworkPolicy")
        if each["spec"]["podSelector"]["matchLabels"].get("app.kubernetes.io/component")
        == component
    ]

    assert {"port": 53, "protocol": "UDP"} in rules[-1]["ports"]
