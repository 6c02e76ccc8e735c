"""Recording rules and alerts, as promtool checks and tries them."""

import os
import shutil
from importlib import import_module
from pathlib import Path

import pytest

from tests.monitoring.conftest import SERVICES
from tests.requirement import get_program, require_module
from tests.workspace import run

TESTS = ("alerts.yaml", "hours.yaml")
"""Of promtool; the second takes seconds."""
SPOILT = {
    "14.4 * scalar": "1440 * scalar",
    "> 6 * scalar": "> 600 * scalar",
    "> 3 * scalar": "> 300 * scalar",
    "> 1 * scalar(objective:http_errors": "> 100 * scalar(objective:http_errors",
    "1 - 0.999": "1 - 0.9999",
    "1 - 0.99\n": "1 - 0.999\n",
    "rate5m > 14.4": "rate5m >= 0",
    "rate1h * 3600 >= 5": "rate1h * 3600 >= 0",
    'status=~"5.+", route!~"/api/v1/health(/ready)?"': 'status=~"5.+"',
    'status=~"5.+"': 'status="5xx"',
    'http_refused_total{status=~"5.+"}': "http_refused_total",
    'status=~"5.+", ': "",
    "sum by (namespace, job)": "sum by (job)",
    'le="0.5"': 'le="1.0"',
    "unless on (namespace, job) up == 1": "unless on (namespace, job) up",
    "last_over_time(service_build_info[1d])": "service_build_info",
    "(changes(process_start_time_seconds[15m])) > 2": "(changes(process_start_time_seconds[15m])) > 0",
    "[15m])) > 2\n          and on (namespace, job) group by (namespace, job) (service_build_info)": (
        "[15m])) > 2"
    ),
    "(db_pool_waiting) > 0\n        for: 5m": "(db_pool_waiting) > 0",
    "max_over_time(service_circuit_open[2m])": "service_circuit_open",
    "[5m]))) > 0.1": "[5m]))) > 1",
    "histogram_quantile(0.99": "histogram_quantile(0.5",
}
"""Of the rules, each number and condition that matters, and something else in its place."""


def check(*arguments: str, folder: Path) -> None:
    """Run promtool, which fails the test where it finds something."""
    run([get_program("promtool"), *arguments], folder, dict(os.environ))


def test_the_rules_are_whole(monitoring: Path) -> None:
    check("check", "rules", "--lint=all", "--lint-fatal", "rules.yaml", folder=monitoring)


def test_prometheus_takes_its_configuration(monitoring: Path) -> None:
    check("check", "config", "--lint=all", "--lint-fatal", "prometheus.yaml", folder=monitoring)
    text = (monitoring / "prometheus.yaml").read_text()

    for service in SERVICES:
        assert f'job_name: "{service}"\n' in text
        assert f'names: ["{service}"], type: A, port: 9464,' in text


@pytest.fixture
def rules(monitoring: Path, tmp_path: Path) -> Path:
    """A copy of the rules, with their tests beside them."""
    for name in TESTS:
        shutil.copy(Path(__file__).parent / name, tmp_path)
    return Path(shutil.copy(monitoring / "rules.yaml", tmp_path))


@pytest.mark.slow
def test_alerts_fire_when_they_must_and_else_not(rules: Path) -> None:
    try_out(rules)


def try_out(rules: Path) -> None:
    """Run the tests of promtool, up to the first that fails."""
    for name in TESTS:
        check("test", "rules", name, folder=rules.parent)


@pytest.mark.slow
@pytest.mark.parametrize("right", SPOILT)
def test_other_rules_fail_those_tests(right: str, rules: Path) -> None:
    text = rules.read_text()
    assert right in text
    rules.write_text(text.replace(right, SPOILT[right]))
    check("check", "rules", "rules.yaml", folder=rules.parent)

    with pytest.raises(AssertionError, match="FAILED"):
        try_out(rules)


def test_every_alert_says_how_bad_it_is_and_what_to_do(monitoring: Path) -> None:
    require_module("yaml")
    yaml = import_module("yaml")  # which has no types of its own
    groups = yaml.safe_load((monitoring / "rules.yaml").read_text())["groups"]
    alerts = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    titles = (monitoring / "README.md").read_text().splitlines()

    assert len(alerts) == 14
    for alert in alerts:
        assert alert["labels"]["severity"] in ("critical", "warning")
        assert {"summary", "description", "runbook"} == alert["annotations"].keys()
        assert f"## {alert['alert']}" in titles
        page, _, place = alert["annotations"]["runbook"].partition("#")
        assert (page, place) == ("deploy/monitoring/README.md", alert["alert"].lower())
