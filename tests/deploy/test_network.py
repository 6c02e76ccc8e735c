"""The policies let through what the fleet needs, and nothing else to the database."""

from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from tests.deploy.documents import Document, Documents, build, of_kind
from tests.deploy.network import database_of, labels_of, lets_through

POSTGRES = 5432
STATUS = 8000
"""Where instances of the operator tell each other how they are."""
STRANGER = {"app.kubernetes.io/name": "stranger"}


CLONE = {"cnpg.io/cluster": "postgres", "cnpg.io/jobRole": "join"}
"""A Job of the operator, which copies an instance; it inherits no label of ours."""


def policies_of(documents: Documents) -> dict[str, Document]:
    """Return what each policy says."""
    return {each["metadata"]["name"]: each["spec"] for each in of_kind(documents, "NetworkPolicy")}


def test_what_no_policy_allows_is_refused(documents: Documents) -> None:
    assert policies_of(documents)["default-deny"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }
    for other in (labels_of(documents, "service"), *database_of(documents), STRANGER):
        assert not lets_through(documents, STRANGER, other, "http")
        assert not lets_through(documents, other, STRANGER, "http")


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


def test_no_pod_of_the_namespace_reaches_metrics(documents: Documents) -> None:
    service = labels_of(documents, "service")

    for caller in (service, STRANGER, *database_of(documents)):
        assert not lets_through(documents, caller, service, "metrics")


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


def test_new_instances_are_copied_and_operated_pods_reach_the_api(production: Documents) -> None:
    _, instance = database_of(production)
    operated = policies_of(production)["operated"]

    assert lets_through(production, CLONE, instance, POSTGRES)
    assert operated["egress"] == [{}]
    assert operated["podSelector"] == {
        "matchExpressions": [{"key": "cnpg.io/cluster", "operator": "Exists"}]
    }


def test_the_database_of_development_reaches_nothing(fleet: Path) -> None:
    dev = build(fleet / "deploy/k8s/overlays/dev")

    assert not lets_through(dev, labels_of(dev, "database"), STRANGER, 443)


@pytest.mark.parametrize(
    "server",
    [
        "169.254.20.10",  # a cache on the node
        "169.254.169.254",  # Google's
        "10.96.0.10",  # the service of kube-dns, for which a cache on the node answers
        "172.20.0.10",  # the same of EKS
        "fd00:ec2::10",
    ],
)
def test_names_are_looked_up_in_any_namespace_and_on_the_node(
    server: str, documents: Documents
) -> None:
    names = policies_of(documents)["names"]
    [rule] = names["egress"]
    blocks = [ip_network(peer["ipBlock"]["cidr"]) for peer in rule["to"] if "ipBlock" in peer]

    assert names["podSelector"] == {}
    assert {"namespaceSelector": {}} in rule["to"]
    assert any(ip_address(server) in block for block in blocks)
    assert not any(ip_address("8.8.8.8") in block for block in blocks)
    assert {(each["port"], each["protocol"]) for each in rule["ports"]} == {
        *((53, "UDP"), (53, "TCP"), (5353, "UDP"), (5353, "TCP"))
    }
