"""What the network policies of a namespace let through from pod to pod, as Kubernetes has it."""

from typing import Any

from tests.deploy.documents import Document, Documents, of_kind, pods

Labels = dict[str, str]

_COMPONENT = "app.kubernetes.io/component"
_OF_THE_CLUSTER = {"cnpg.io/cluster": "postgres"}
_INSTANCE = _OF_THE_CLUSTER | {_COMPONENT: "database", "cnpg.io/podRole": "instance"}
_POOLER = _OF_THE_CLUSTER | {_COMPONENT: "pooler", "cnpg.io/podRole": "pooler"}
"""What the operator calls its pods, over whatever the manifest calls them; since 1.28."""


def labels_of(documents: Documents, component: str) -> Labels:
    """Return the labels of a pod of our own making."""
    found = (each["metadata"]["labels"] for each in pods(documents))
    return next(each for each in found if each[_COMPONENT] == component)


def database_of(documents: Documents) -> list[Labels]:
    """Return the labels of every kind of pod that speaks PostgreSQL; a pooler comes first."""
    operated = [
        each["spec"]["template"]["metadata"]["labels"] | _POOLER
        for each in of_kind(documents, "Pooler")
    ] + [
        each["spec"]["inheritedMetadata"]["labels"] | _INSTANCE
        for each in of_kind(documents, "Cluster")
    ]
    return operated or [labels_of(documents, "database")]


def lets_through(documents: Documents, source: Labels, target: Labels, port: str | int) -> bool:
    """Whether one pod may call another: the caller's policies and those of the called agree."""
    policies = [each["spec"] for each in of_kind(documents, "NetworkPolicy")]
    leaving = [each for each in policies if _concerns(each, "Egress", source)]
    entering = [each for each in policies if _concerns(each, "Ingress", target)]
    return _any_allows(leaving, "egress", "to", target, port) and _any_allows(
        entering, "ingress", "from", source, port
    )


def _concerns(policy: Document, direction: str, pod: Labels) -> bool:
    return direction in policy["policyTypes"] and _selects(policy["podSelector"], pod)


def _any_allows(
    policies: Documents, direction: str, side: str, other: Labels, port: str | int
) -> bool:
    """Whether a rule allows it; a pod without a policy is open."""
    rules = [rule for policy in policies for rule in policy.get(direction, [])]
    return not policies or any(
        port in [each["port"] for each in rule.get("ports", [{"port": port}])]
        and (side not in rule or any(_is(peer, other) for peer in rule[side]))
        for rule in rules
    )


def _is(peer: Document, pod: Labels) -> bool:
    """Whether a peer means a pod of the same namespace."""
    if "ipBlock" in peer:
        return False  # networks differ in whether a pod's address is meant
    return not peer.get("namespaceSelector") and _selects(peer.get("podSelector", {}), pod)


def _selects(selector: dict[str, Any], pod: Labels) -> bool:
    expressions = selector.get("matchExpressions", [])
    return selector.get("matchLabels", {}).items() <= pod.items() and all(
        pod.get(each["key"]) in each["values"]
        if each["operator"] == "In"
        else each["operator"] == "Exists" and each["key"] in pod
        for each in expressions
    )
