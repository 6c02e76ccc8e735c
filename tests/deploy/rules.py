"""What every manifest must say, beyond being one: a value, by kind and place."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.deploy.documents import Document, Documents, Place, find, name_of

_HEALTH = "/api/v1/health"
_UNPRIVILEGED = {
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "runAsGroup": 10001,
    "seccompProfile": {"type": "RuntimeDefault"},
}
_POWERLESS = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
_POD = "spec.template.spec"
_SERVICE = f"{_POD}.containers.0"
_WAITING = f"{_POD}.initContainers.0"
_SPREAD = f"{_POD}.topologySpreadConstraints"
_BY_RELEASE = ["pod-template-hash"]
_REQUESTS = {"cpu": "250m", "memory": "128Mi", "ephemeral-storage": "128Mi"}
_OWNER = [{"key": "password", "path": "DATABASE_PASSWORD"}]

RULES: dict[str, dict[str, Any]] = {
    "Namespace": {"metadata.labels.pod-security": "restricted"},
    "Deployment": {
        "spec.strategy.rollingUpdate.maxUnavailable": 0,
        f"{_POD}.automountServiceAccountToken": False,
        f"{_POD}.enableServiceLinks": False,
        f"{_POD}.terminationGracePeriodSeconds": 55,
        f"{_POD}.securityContext": _UNPRIVILEGED,
        f"{_SPREAD}.0.topologyKey": "topology.kubernetes.io/zone",
        f"{_SPREAD}.0.matchLabelKeys": _BY_RELEASE,
        f"{_SPREAD}.1.topologyKey": "kubernetes.io/hostname",
        f"{_SPREAD}.1.matchLabelKeys": _BY_RELEASE,
        f"{_WAITING}.args": ["wait", "--timeout", "600"],
        f"{_WAITING}.securityContext": _POWERLESS,
        f"{_WAITING}.volumeMounts.0.mountPath": "/run/secrets",
        f"{_SERVICE}.startupProbe.httpGet": {"path": _HEALTH, "port": "http"},
        f"{_SERVICE}.livenessProbe.httpGet": {"path": _HEALTH, "port": "http"},
        f"{_SERVICE}.readinessProbe.httpGet": {"path": f"{_HEALTH}/ready", "port": "http"},
        f"{_SERVICE}.lifecycle.preStop.exec.command": ["sh", "-c", "kill -URG 1 -1; sleep 10"],
        f"{_SERVICE}.volumeMounts.0.mountPath": "/run/secrets",
        f"{_SERVICE}.resources.requests": _REQUESTS,
        f"{_SERVICE}.resources.limits": {"memory": "384Mi", "ephemeral-storage": "256Mi"},
        f"{_SERVICE}.securityContext": _POWERLESS,
    },
    "Service": {"spec.ports.0.targetPort": ("http", "postgres")},
    "HorizontalPodAutoscaler": {
        "spec.scaleTargetRef.kind": "Deployment",
        "spec.minReplicas": (1, 3),
        "spec.maxReplicas": (1, 10),
        "spec.metrics.0.resource.name": "cpu",
        "spec.metrics.0.resource.target.averageUtilization": 70,
    },
    "PodDisruptionBudget": {"spec.maxUnavailable": 1},
    "Job": {
        f"{_SERVICE}.args": ["migrate", "--expand", "--wait", "300", "--roles", "/run/roles"],
        f"{_SERVICE}.securityContext": _POWERLESS,
        f"{_SERVICE}.volumeMounts.0.mountPath": "/run/secrets",
        f"{_SERVICE}.volumeMounts.1.mountPath": "/run/roles",
        f"{_POD}.volumes.0.secret": {"secretName": "postgres-app", "items": _OWNER},
        f"{_POD}.securityContext": _UNPRIVILEGED,
        f"{_POD}.restartPolicy": "Never",
    },
    "CronJob": {
        "spec.suspend": True,
        f"spec.jobTemplate.{_SERVICE}.args": [
            *("migrate", "--contract", "--wait", "300", "--roles", "/run/roles"),
        ],
        f"spec.jobTemplate.{_SERVICE}.securityContext": _POWERLESS,
        f"spec.jobTemplate.{_POD}.securityContext": _UNPRIVILEGED,
        f"spec.jobTemplate.{_POD}.restartPolicy": "Never",
    },
    "NetworkPolicy": {"spec.policyTypes.0": ("Ingress", "Egress")},
    "Ingress": {"spec.rules.0.http.paths.0.pathType": "Prefix"},
    "Cluster": {
        "spec.inheritedMetadata.labels": {"tier": "database"},
        "spec.bootstrap.initdb": {
            "database": "fleet",
            "owner": "fleet",
            "postInitSQL": ["ALTER ROLE fleet CREATEROLE"],
        },
        "spec.postgresql.parameters.max_connections": "100",
    },
    "Pooler": {
        "spec.cluster.name": "postgres",
        "spec.template.metadata.labels": {"tier": "database"},
        "spec.pgbouncer.parameters": {
            "max_client_conn": "1000",
            "default_pool_size": "10",
            "max_db_connections": "40",
            "max_prepared_statements": "200",
        },
    },
}
"""A tuple holds the values that are right in one overlay or another."""

_LABEL = "pod-security.kubernetes.io/enforce"


@dataclass(frozen=True, slots=True)
class Rule:
    """What must be at a place of every document of a kind."""

    kind: str
    place: Place
    wanted: Any

    def find_fault(self, document: Document) -> str | None:
        """Return what is wrong there, None for nothing."""
        found = find(document, self.place)
        right = found in self.wanted if isinstance(self.wanted, tuple) else found == self.wanted
        return None if right else f"{name_of(document)} {self.place}: {found!r}"


def rules_of(kind: str) -> list[Rule]:
    """Return the rules for a kind."""
    return [Rule(kind, _place(path), wanted) for path, wanted in RULES.get(kind, {}).items()]


def find_faults(documents: Documents) -> Iterator[str]:
    """Yield everything that some document says wrongly, or not at all."""
    for document in documents:
        for rule in rules_of(document["kind"]):
            if (fault := rule.find_fault(document)) is not None:
                yield fault


def _place(path: str) -> Place:
    steps = (int(step) if step.isdigit() else step for step in path.split("."))
    return tuple(_LABEL if step == "pod-security" else step for step in steps)
