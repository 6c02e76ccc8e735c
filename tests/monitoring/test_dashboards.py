"""Dashboards, as Grafana's provisioning reads them."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.requirement import get_program
from tests.workspace import run

NAMES = ("fleet", "service")
CHOSEN = {
    "$namespace": ".*",
    "$service": ".*",
    "$instance": ".*",
    "$__rate_interval": "1m",
}
"""What Grafana puts in place of a variable where all is chosen."""
METRICS = {
    *("http_requests_total", "http_request_duration_seconds", "http_requests_in_progress"),
    *("http_request_body_bytes_total", "http_response_body_bytes_total", "http_refused_total"),
    *("db_pool_connections", "db_pool_limit", "db_pool_waiting", "db_statement_errors_total"),
    *("db_statement_duration_seconds", "service_calls_total", "service_call_duration_seconds"),
    *("service_circuit_open", "event_loop_lag_seconds", "python_gc_collections_total"),
    *("python_gc_duration_seconds", "service_build_info"),
}
"""What a service tells of itself; each has a panel."""

Dashboard = dict[str, Any]


@pytest.fixture(params=NAMES)
def dashboard(request: pytest.FixtureRequest, monitoring: Path) -> Dashboard:
    """Each of them."""
    return read(monitoring, str(request.param))


def read(monitoring: Path, name: str) -> Dashboard:
    """Read one."""
    document: Dashboard = json.loads((monitoring / f"dashboards/{name}.json").read_text())
    return document


def expressions(dashboard: Dashboard) -> Iterator[str]:
    """Yield what it asks Prometheus for when all is chosen."""
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            expression = target["expr"]
            for variable, value in CHOSEN.items():
                expression = expression.replace(variable, value)
            yield expression


def test_every_expression_is_one(dashboard: Dashboard, tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": expression}
        for number, expression in enumerate(expressions(dashboard))
    ]
    assert "$" not in str(rules)
    (tmp_path / "rules.yaml").write_text(json.dumps({"groups": [{"name": "all", "rules": rules}]}))

    run([get_program("promtool"), "check", "rules", "rules.yaml"], tmp_path, dict(os.environ))


def test_every_metric_is_on_a_dashboard(monitoring: Path) -> None:
    drawn = " ".join(each for name in NAMES for each in expressions(read(monitoring, name)))
    drawn += str([read(monitoring, name)["templating"] for name in NAMES])

    assert {metric for metric in METRICS if not re.search(rf"\b{metric}", drawn)} == set()


def test_every_variable_is_chosen_above_the_panels(dashboard: Dashboard) -> None:
    variables = [each["name"] for each in dashboard["templating"]["list"]]
    text = json.dumps(dashboard["panels"])

    used = set(re.findall(r"\$\{?(\w+)", text)) - {"__rate_interval"}
    assert used == set(variables)
    assert len(variables) == len(set(variables))


def test_the_source_of_data_is_chosen_too(dashboard: Dashboard) -> None:
    [source] = [each for each in dashboard["templating"]["list"] if each["type"] == "datasource"]
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    queries = [each for each in dashboard["templating"]["list"] if each["type"] == "query"]

    assert source["query"] == "prometheus"
    for each in (*queries, *dashboard["panels"]):
        assert each["datasource"] == chosen
    for panel in dashboard["panels"]:
        assert all(target["datasource"] == chosen for target in panel["targets"])


def test_panels_have_a_place_of_their_own(dashboard: Dashboard) -> None:
    panels = dashboard["panels"]
    taken = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in panels
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]

    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len(panels)


def test_dashboards_of_two_fleets_are_not_the_same(monitoring: Path) -> None:
    uids = [read(monitoring, name)["uid"] for name in NAMES]

    assert uids == ["shop-fleet", "shop-service"]
