"""What the manifests name is there: pods, ports, settings, secrets, images, commands."""

import math
import os
import re
from pathlib import Path

import pytest
from pydantic import AliasChoices
from quart import Quart

from db_manager.cli import commands
from quart_fleet.database._engine import CLOSE_TIMEOUT
from quart_fleet.settings import ServiceSettings
from tests.deploy.conftest import REGISTRY
from tests.deploy.documents import Document, Documents, build, containers, of_kind, pods
from tests.requirement import get_program
from tests.workspace import FRAMEWORK, run

PAGE = FRAMEWORK / "docs/cluster.md"
SERVICES = {"user-service": 8081, "order-item-service": 8082, "metrics-service": 8083}
SERVICES_OF_THE_PAGE = 4
MIGRATION = 2
"""Connections of a database manager at work: the second looks at who keeps the first waiting."""
RESERVED = 3
"""What PostgreSQL keeps for its administrator."""
METRICS = 9464
"""The port of a container's metrics."""
OTHERS = {"SERVICE_PORT", "DATABASE_ADDRESS", "POSTGRES_PASSWORD_FILE", "owner.sql"}
"""Of the image of PostgreSQL, and what a variable is made of."""


def labels(pod: Document) -> set[tuple[str, str]]:
    """Return the labels of a pod's template."""
    return set(pod["metadata"]["labels"].items())


def settings(documents: Documents, name: str) -> dict[str, str]:
    """Return the values of the one config map whose name begins like this."""
    [found] = [
        each["data"]
        for each in of_kind(documents, "ConfigMap")
        if each["metadata"]["name"].startswith(f"{name}-")
    ]
    return dict(found)


def test_every_selector_finds_pods(documents: Documents) -> None:
    known = [labels(pod) for pod in pods(documents)]
    selectors = [
        each["spec"]["selector"]["matchLabels"]
        for kind in ("Deployment", "StatefulSet", "PodDisruptionBudget")
        for each in of_kind(documents, kind)
    ] + [each["spec"]["selector"] for each in of_kind(documents, "Service")]

    assert len(selectors) >= 3 * len(SERVICES)
    for selector in selectors:
        assert sum(selector.items() <= pod for pod in known) == 1, selector


def test_every_service_scales_by_its_own_load(documents: Documents) -> None:
    targets = [
        each["spec"]["scaleTargetRef"]["name"]
        for each in of_kind(documents, "HorizontalPodAutoscaler")
    ]

    assert sorted(targets) == sorted(SERVICES)
    assert all("replicas" not in each["spec"] for each in of_kind(documents, "Deployment"))


def test_every_path_leads_to_the_service_that_has_it(documents: Documents) -> None:
    [ingress] = of_kind(documents, "Ingress")
    [rule] = ingress["spec"]["rules"]
    leads = {path["path"]: path["backend"]["service"]["name"] for path in rule["http"]["paths"]}

    assert leads == {
        "/api/v1/order-items": "order-item-service",
        "/api/v1/users": "user-service",
    }


def test_each_service_listens_where_it_is_asked(documents: Documents) -> None:
    for deployment in of_kind(documents, "Deployment"):
        [container] = deployment["spec"]["template"]["spec"]["containers"]
        port = SERVICES[deployment["metadata"]["name"]]
        assert container["ports"] == [
            {"name": "http", "containerPort": port},
            {"name": "metrics", "containerPort": METRICS},
        ]
        assert {"name": "SERVICE_PORT", "value": str(port)} in container["env"]
        assert {"name": "METRICS_PORT", "value": str(METRICS)} in container["env"]


def test_each_service_offers_its_metrics_beside_its_api(documents: Documents) -> None:
    services = [each for each in of_kind(documents, "Service") if of_a_service(each)]

    assert len(services) == len(SERVICES)
    for service in services:
        assert service["spec"]["ports"][1] == {
            "name": "metrics",
            "port": METRICS,
            "targetPort": "metrics",
        }


def of_a_service(document: Document) -> bool:
    """Whether a document is of a service of the fleet."""
    return bool(document["metadata"]["labels"]["app.kubernetes.io/component"] == "service")


def test_no_way_into_the_cluster_leads_to_metrics(documents: Documents) -> None:
    [ingress] = of_kind(documents, "Ingress")
    ports = [
        path["backend"]["service"]["port"]
        for rule in ingress["spec"]["rules"]
        for path in rule["http"]["paths"]
    ]

    assert ports == [{"name": "http"}] * len(ports)


def test_every_setting_is_one_that_services_know(documents: Documents) -> None:
    aliases = [field.validation_alias for field in ServiceSettings.model_fields.values()]
    known = {
        str(name)
        for alias in aliases
        for name in (alias.choices if isinstance(alias, AliasChoices) else [alias])
    }
    given = {name for each in of_kind(documents, "ConfigMap") for name in each["data"]} | {
        variable["name"]
        for pod in pods(documents)
        for container in containers(pod)
        for variable in container.get("env", [])
    }

    assert given - OTHERS - set(map(address_of, SERVICES)) <= known


def address_of(service: str) -> str:
    """Return the variable that says where a service is."""
    return f"{service.replace('-', '_').upper()}_URL"


def test_each_service_is_told_where_the_others_are(documents: Documents) -> None:
    for deployment in of_kind(documents, "Deployment"):
        [container] = deployment["spec"]["template"]["spec"]["containers"]
        told = {each["name"]: each.get("value") for each in container["env"]}
        others = SERVICES.keys() - {deployment["metadata"]["name"]}

        expected = {address_of(other): f"http://{other}" for other in others}
        assert expected.items() <= told.items()


def test_every_config_map_that_is_read_exists(documents: Documents) -> None:
    known = {each["metadata"]["name"] for each in of_kind(documents, "ConfigMap")}
    read = {
        source["configMapRef"]["name"]
        for pod in pods(documents)
        for container in containers(pod)
        for source in container.get("envFrom", [])
    }
    keys = {
        variable["valueFrom"]["configMapKeyRef"]["name"]
        for pod in pods(documents)
        for container in containers(pod)
        for variable in container.get("env", [])
        if "valueFrom" in variable
    }
    mounted = {
        volume["configMap"]["name"]
        for pod in pods(documents)
        for volume in pod["spec"].get("volumes", [])
        if "configMap" in volume
    }

    assert keys <= read
    assert read | mounted == known


def test_services_go_through_the_pooler_and_migrations_past_it(production: Documents) -> None:
    services, migration = settings(production, "settings"), settings(production, "migration")
    [pooler] = of_kind(production, "Pooler")
    [cluster] = of_kind(production, "Cluster")

    assert services["DATABASE_ADDRESS"].startswith(f"{pooler['metadata']['name']}:5432/")
    assert services["DATABASE_POOLER"] == "pgbouncer"
    assert migration["DATABASE_ADDRESS"].startswith(f"{cluster['metadata']['name']}-rw:5432/")
    assert "DATABASE_POOLER" not in migration


def test_connections_fit(production: Documents) -> None:
    [pooler] = of_kind(production, "Pooler")
    [cluster] = of_kind(production, "Cluster")
    [most] = {
        each["spec"]["maxReplicas"] for each in of_kind(production, "HorizontalPodAutoscaler")
    }
    [surge] = {
        each["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
        for each in of_kind(production, "Deployment")
    }
    added = math.ceil(most * int(surge.removesuffix("%")) / 100)
    parameters = pooler["spec"]["pgbouncer"]["parameters"]
    poolers, pool = pooler["spec"]["instances"], int(parameters["max_db_connections"])
    wanted = SERVICES_OF_THE_PAGE * (most + added) * _default_pool_size()
    opened = poolers * pool + MIGRATION + SERVICES_OF_THE_PAGE * added
    server = int(cluster["spec"]["postgresql"]["parameters"]["max_connections"])

    assert (most, added, wanted, opened) == (10, 3, 520, 94)
    # None of the services takes what all may have: the others would wait for it.
    assert int(parameters["default_pool_size"]) * SERVICES_OF_THE_PAGE <= pool
    assert wanted <= poolers * int(parameters["max_client_conn"]) == 2000
    assert opened <= server - RESERVED == 97
    told = PAGE.read_text().replace("\N{MULTIPLICATION SIGN}", "x")
    for number in ("4 x 10 x 10 = 400", "4 x 13 x 10 = 520", "2 x 40 = 80", "94 of 97"):
        assert number in told


def _default_pool_size() -> int:
    return int(ServiceSettings.model_fields["db_pool_size"].default)


def test_images_are_those_that_dockerfiles_make(fleet: Path, documents: Documents) -> None:
    wanted = {f"{REGISTRY}/{name}:0.1.0" for name in ("migrate", *SERVICES)}
    found = {container["image"] for pod in pods(documents) for container in containers(pod)}

    assert found - {"postgres:18-trixie"} == wanted
    for name in SERVICES:
        assert (fleet / "services" / name.replace("-", "_") / "Dockerfile").is_file()
    assert (fleet / "db_manager/Dockerfile").is_file()


def test_images_are_built_as_the_page_says(fleet: Path, production: Documents) -> None:
    [words] = re.findall(r"    make (images .*)", PAGE.read_text())
    building = [get_program("make"), "--silent", *words.split(), "BUILD=echo"]
    told = re.findall(r"--tag (\S+)", run(building, fleet, dict(os.environ)))
    found = {container["image"] for pod in pods(production) for container in containers(pod)}

    assert set(told) <= found
    assert len(told) == 1 + len(SERVICES)


def test_commands_of_the_migration_exist(documents: Documents) -> None:
    migrating = [
        container
        for pod in pods(documents)
        for container in containers(pod)
        if "/migrate" in container["image"]
    ]

    assert len(migrating) == 2 + len(SERVICES)
    for container in migrating:
        name, *options = container["args"]
        commands.commands[name].make_context(name, list(options))


def test_a_pod_outlives_its_requests(documents: Documents) -> None:
    for deployment in of_kind(documents, "Deployment"):
        spec = deployment["spec"]["template"]["spec"]
        [container] = spec["containers"]
        script = container["lifecycle"]["preStop"]["exec"]["command"][-1]
        seconds = int(script.rpartition(" sleep ")[2])
        background = int(Quart("app").config["BACKGROUND_TASK_SHUTDOWN_TIMEOUT"])
        grace = ServiceSettings.model_fields["graceful_timeout"].default
        needed = seconds + grace + background + CLOSE_TIMEOUT
        assert needed < spec["terminationGracePeriodSeconds"]


@pytest.mark.parametrize(("overlay", "namespace"), [("dev", "store-dev"), ("production", "store")])
def test_everything_is_in_one_namespace(overlay: str, namespace: str, fleet: Path) -> None:
    built = build(fleet / "deploy/k8s/overlays" / overlay)
    [made] = of_kind(built, "Namespace")

    assert made["metadata"]["name"] == namespace
    others = {each["metadata"]["namespace"] for each in built if each["kind"] != "Namespace"}
    assert others == {namespace}
