"""What an overlay gets by the component, in a cluster with the Prometheus operator."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from threading import Thread

import pytest

from tests.deploy.documents import Document, Documents, build, name_of, of_kind
from tests.deploy.network import labels_of, lets_through
from tests.deploy.schemas import find_fault
from tests.monitoring.prometheus import await_true, running
from tests.requirement import require_module

OVERLAYS = ("dev", "production")
COMPONENT = "# components: [../../../monitoring]\n"
"""As each overlay has it, to be switched on."""


@pytest.fixture(scope="module", params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> str:
    """Each overlay."""
    return str(request.param)


@pytest.fixture(scope="module")
def documents(overlay: str, watched: Path, tmp_path_factory: pytest.TempPathFactory) -> Documents:
    """What it comes to with the component."""
    deploy = shutil.copytree(watched / "deploy", tmp_path_factory.mktemp(overlay) / "deploy")
    kustomization = deploy / "k8s/overlays" / overlay / "kustomization.yaml"
    text = kustomization.read_text()
    assert COMPONENT in text
    kustomization.write_text(text.replace(COMPONENT, COMPONENT.removeprefix("# ")))
    return build(kustomization.parent)


def the(kind: str, documents: Documents) -> Document:
    """Return the one document of a kind."""
    [found] = of_kind(documents, kind)
    return found


def test_without_the_component_no_definition_is_needed(overlay: str, watched: Path) -> None:
    plain = build(watched / "deploy/k8s/overlays" / overlay)

    assert [each for each in plain if each["apiVersion"].startswith("monitoring.")] == []


def test_the_component_adds_four_documents(
    overlay: str, documents: Documents, watched: Path
) -> None:
    plain = build(watched / "deploy/k8s/overlays" / overlay)

    added = {name_of(each) for each in documents} - {name_of(each) for each in plain}
    assert added == {
        *("ServiceMonitor/fleet", "PrometheusRule/fleet"),
        *("ConfigMap/dashboards", "NetworkPolicy/metrics"),
    }
    assert len(documents) == len(plain) + 4
    assert [each for each in plain if each not in documents] == []


def test_the_schemas_find_nothing(documents: Documents) -> None:
    assert [fault for each in documents if (fault := find_fault(each))] == []


def test_every_service_is_asked_and_is_a_job_of_its_name(documents: Documents) -> None:
    monitor = the("ServiceMonitor", documents)["spec"]
    [endpoint] = monitor["endpoints"]
    chosen = [
        each
        for each in of_kind(documents, "Service")
        if monitor["selector"]["matchLabels"].items() <= each["metadata"]["labels"].items()
    ]

    assert {each["metadata"]["labels"][monitor["jobLabel"]] for each in chosen} == {
        *("user-service", "order-item-service")
    }
    for service in chosen:
        assert endpoint["port"] in [port["name"] for port in service["spec"]["ports"]]


def test_the_operator_and_containers_have_the_same_rules(
    documents: Documents, monitoring: Path
) -> None:
    require_module("yaml")
    yaml = import_module("yaml")  # which has no types of its own
    rules = yaml.safe_load((monitoring / "rules.yaml").read_text())

    assert the("PrometheusRule", documents)["spec"] == rules


def test_grafana_finds_the_dashboards(documents: Documents, monitoring: Path) -> None:
    [found] = [
        each
        for each in of_kind(documents, "ConfigMap")
        if each["metadata"].get("labels", {}).get("grafana_dashboard") == "1"
    ]
    files = (monitoring / "dashboards").iterdir()

    assert found["data"] == {path.name: path.read_text() for path in files}


def test_prometheus_alone_is_let_in(documents: Documents) -> None:
    service = labels_of(documents, "service")
    [policy] = [
        each
        for each in of_kind(documents, "NetworkPolicy")
        if each["metadata"]["name"] == "metrics"
    ]

    assert policy["spec"]["ingress"] == [
        {
            "from": [
                {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "observers"}}}
            ],
            "ports": [{"port": "metrics"}],
        }
    ]
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= service.items()
    assert not lets_through(documents, service, service, "metrics")


@pytest.mark.slow
def test_who_is_called_stays_a_label_beside_the_operators_own(
    documents: Documents, tmp_path: Path
) -> None:
    """The operator names each target's service; Prometheus would rename the label of the metric."""
    [endpoint] = the("ServiceMonitor", documents)["spec"]["endpoints"]
    [dropped] = endpoint["relabelings"]
    metric = 'service_calls_total{service="user-service"} 1\n'
    with telling(metric) as port:
        target = {
            "targets": [f"127.0.0.1:{port}"],
            "labels": {"namespace": "shop", "service": "order-service", "pod": "order-service-1"},
        }
        configuration = {
            "global": {"scrape_interval": "1s"},
            "scrape_configs": [
                {"job_name": "plain", "static_configs": [target]},
                {"job_name": "ours", "static_configs": [target], "relabel_configs": [dropped]},
            ],
        }
        with running(json.dumps(configuration), tmp_path) as prometheus:
            await_true(
                lambda: len(prometheus.ask("service_calls_total")) == 2, "not both are scraped"
            )
            told = {
                each["metric"]["job"]: (
                    each["metric"]["service"],
                    each["metric"].get("exported_service"),
                )
                for each in prometheus.ask("service_calls_total")
            }

    assert told == {
        "plain": ("order-service", "user-service"),
        "ours": ("user-service", None),
    }


@contextmanager
def telling(text: str) -> Iterator[int]:
    """Answer everything with a text, as an instance tells its metrics; gives the port."""

    class Instance(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Instance) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()
