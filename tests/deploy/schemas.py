"""What the schemas of Kubernetes, and of CloudNativePG, say against a document."""

from importlib import import_module
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tests.deploy.documents import Document
from tests.requirement import require_module

KUBERNETES = "1.34"
OPERATOR = "postgresql.cnpg.io/v1"

Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=1)]
Texts = dict[Text, Text]
Resource = Literal["cpu", "memory", "ephemeral-storage"]
Quantity = Annotated[str, Field(pattern=r"^\d+(m|[KMGT]i)?$")]


class Strict(BaseModel):
    """Of the definitions of custom kinds, as much as we use; nothing else may be there."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Metadata(Strict):
    """Of the operator's documents."""

    name: Text
    namespace: Text


class Labels(Strict):
    """What pods are called besides."""

    labels: Texts


class Name(Strict):
    """A reference."""

    name: Text


class Initialisation(Strict):
    """The database that the cluster begins with."""

    database: Text
    owner: Text
    postInitSQL: list[Text]  # noqa: N815 - the operator's spelling


class Bootstrap(Strict):
    """How a cluster begins."""

    initdb: Initialisation


class Storage(Strict):
    """Of each instance."""

    size: Annotated[str, Field(pattern=r"^\d+Gi$")]


class Parameters(Strict):
    """Of postgresql.conf."""

    parameters: Texts


class Resources(Strict):
    """Of each instance."""

    requests: dict[Resource, Quantity]
    limits: dict[Resource, Quantity]


class Affinity(Strict):
    """Where instances may be."""

    enablePodAntiAffinity: bool  # noqa: N815 - the operator's spelling
    topologyKey: Text  # noqa: N815


class ClusterSpec(Strict):
    """PostgreSQL, several times."""

    instances: Annotated[int, Field(ge=3)]
    imageName: Annotated[str, Field(pattern=r"/postgresql:18")]  # noqa: N815
    inheritedMetadata: Labels  # noqa: N815
    bootstrap: Bootstrap
    storage: Storage
    postgresql: Parameters
    resources: Resources
    affinity: Affinity


class Container(Name):
    """One that the operator makes; the name is its."""

    resources: Resources


class PodSpec(Strict):
    """The operator fills in the rest."""

    initContainers: list[Container]  # noqa: N815
    containers: list[Container]


class PodTemplate(Strict):
    """Of the pooler."""

    metadata: Labels
    spec: PodSpec


class PgBouncer(Parameters):
    """How connections are shared."""

    poolMode: Literal["transaction"]  # noqa: N815


class PoolerSpec(Strict):
    """PgBouncer before the cluster."""

    cluster: Name
    type: Literal["rw"]
    instances: Annotated[int, Field(ge=2)]
    template: PodTemplate
    pgbouncer: PgBouncer


class Cluster(Strict):
    """`kind: Cluster`."""

    apiVersion: Literal["postgresql.cnpg.io/v1"]  # noqa: N815
    kind: Literal["Cluster"]
    metadata: Metadata
    spec: ClusterSpec


class Pooler(Strict):
    """`kind: Pooler`."""

    apiVersion: Literal["postgresql.cnpg.io/v1"]  # noqa: N815
    kind: Literal["Pooler"]
    metadata: Metadata
    spec: PoolerSpec


class Parent(Name):
    """The gateway that a route is of."""

    namespace: Text


class Path(Strict):
    """What a request's path begins with."""

    type: Literal["PathPrefix"]
    value: Annotated[str, Field(pattern=r"^/[^\s?#]*$", max_length=1024)]


class Match(Strict):
    """Of a rule."""

    path: Path


class Backend(Name):
    """A service."""

    port: Annotated[int, Field(ge=1, le=65535)]


class RouteRule(Strict):
    """Which requests go where."""

    matches: Annotated[list[Match], Field(min_length=1, max_length=64)]
    backendRefs: Annotated[list[Backend], Field(min_length=1, max_length=16)]  # noqa: N815


class RouteSpec(Strict):
    """Of the Gateway API, version 1, as much as we use."""

    parentRefs: Annotated[list[Parent], Field(min_length=1, max_length=32)]  # noqa: N815
    hostnames: Annotated[list[Text], Field(max_length=16)] = []
    rules: Annotated[list[RouteRule], Field(min_length=1, max_length=16)]


class LabelledMetadata(Metadata):
    """Of a document of the base."""

    labels: Texts


class HTTPRoute(Strict):
    """`kind: HTTPRoute`."""

    apiVersion: Literal["gateway.networking.k8s.io/v1"]  # noqa: N815
    kind: Literal["HTTPRoute"]
    metadata: LabelledMetadata
    spec: RouteSpec


class Selector(Strict):
    """Of services."""

    matchLabels: Texts  # noqa: N815


class Relabeling(Strict):
    """Of a target's labels, before it is asked."""

    action: Literal["labeldrop"]
    regex: Text


class Endpoint(Strict):
    """Where a service is asked."""

    port: Text
    interval: Annotated[str, Field(pattern=r"^\d+s$")]
    scrapeTimeout: Annotated[str, Field(pattern=r"^\d+s$")]  # noqa: N815
    relabelings: list[Relabeling]


class MonitorSpec(Strict):
    """Of the Prometheus operator, as much as we use."""

    selector: Selector
    jobLabel: Text  # noqa: N815
    endpoints: Annotated[list[Endpoint], Field(min_length=1)]


class ServiceMonitor(Strict):
    """`kind: ServiceMonitor`."""

    apiVersion: Literal["monitoring.coreos.com/v1"]  # noqa: N815
    kind: Literal["ServiceMonitor"]
    metadata: Metadata
    spec: MonitorSpec


class RecordingRule(Strict):
    """A value under a name."""

    record: Annotated[str, Field(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")]
    expr: Text


class AlertingRule(Strict):
    """What is told, and when."""

    alert: Text
    expr: Text
    for_: Annotated[str, Field(alias="for", pattern=r"^\d+m$")] = "0m"
    labels: Texts
    annotations: Texts


class RuleGroup(Strict):
    """Rules that are evaluated one after the other."""

    name: Text
    rules: Annotated[list[RecordingRule | AlertingRule], Field(min_length=1)]


class RuleSpec(Strict):
    """What promtool reads, too."""

    groups: list[RuleGroup]


class PrometheusRule(Strict):
    """`kind: PrometheusRule`."""

    apiVersion: Literal["monitoring.coreos.com/v1"]  # noqa: N815
    kind: Literal["PrometheusRule"]
    metadata: Metadata
    spec: RuleSpec


_CUSTOM: dict[tuple[str, str], type[Strict]] = {
    (OPERATOR, "Cluster"): Cluster,
    (OPERATOR, "Pooler"): Pooler,
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): HTTPRoute,
    ("monitoring.coreos.com/v1", "ServiceMonitor"): ServiceMonitor,
    ("monitoring.coreos.com/v1", "PrometheusRule"): PrometheusRule,
}
"""Kinds that Kubernetes itself does not have."""


def find_fault(document: Document) -> str | None:
    """Return what is wrong with a document, None for nothing; an unknown kind is wrong."""
    custom = _CUSTOM.get((document.get("apiVersion", ""), document.get("kind", "")))
    if custom is not None:
        return _find_fault_of(custom, document)
    require_module("kubernetes_validate")
    kubernetes_validate = import_module("kubernetes_validate")  # which has no types of its own
    try:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
    except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
        return str(error.message)
    except KeyError as error:
        return f"{error} is missing"
    return None


def _find_fault_of(kind: type[Strict], document: Document) -> str | None:
    try:
        kind.model_validate(document)
    except ValidationError as error:
        return str(error)
    return None
