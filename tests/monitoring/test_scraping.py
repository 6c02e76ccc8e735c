"""A real Prometheus scrapes the demo, and has an answer to all that rules and dashboards ask."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import httpx
import pytest

from tests.monitoring.prometheus import Prometheus, await_true, watching
from tests.monitoring.test_dashboards import NAMES, expressions, read
from tests.requirement import get_program
from tests.workspace import FRAMEWORK, GeneratedWorkspace

pytestmark = pytest.mark.slow

ORDER = {"code": "of nothing", "buyer_id": 9999, "lines": [{"product_id": 9999, "quantity": 1}]}
"""Of what the other services do not have, for which they are asked."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A demo whose services go on running, as it describes itself; afterwards nothing does."""
    get_program("prometheus")
    temporary = tmp_path_factory.mktemp("demo")
    with subprocess.Popen(
        [sys.executable, "-m", "scaffold", "demo", "--no-install", "--keep", "--json"],
        cwd=temporary,
        env=os.environ | {"TMPDIR": str(temporary), "PYTHONPATH": str(FRAMEWORK)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout
            text = "".join([*takewhile("}\n".__ne__, process.stdout), "}"])
            yield json.loads(text)
        finally:
            process.terminate()
            process.communicate()


@pytest.fixture(scope="module")
def monitoring(demo: dict[str, Any]) -> Path:
    """What the demo's workspace is watched by."""
    workspace = GeneratedWorkspace(Path(demo["workspace"]))
    workspace.python("-m", "scaffold", "deploy", "monitoring")
    return workspace.root / "deploy/monitoring"


@pytest.fixture(scope="module")
def prometheus(
    demo: dict[str, Any], monitoring: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """One that has seen each service be asked in between, and has evaluated its rules since."""
    ports = {each["name"]: each["metrics"] for each in demo["services"]}
    with watching(monitoring, ports, tmp_path_factory.mktemp("prometheus")) as prometheus:
        await_true(
            lambda: len(prometheus.ask("up == 1")) == len(ports), "not every service is scraped"
        )

        def has_seen_all() -> bool:
            for service in demo["services"]:
                urlopen(service["url"]).close()
                send_nonsense(service["port"])
                if service["name"] == "order-service":
                    order_nothing(service["url"])
            rates = prometheus.ask("job:http_requests:rate5m > 0")
            called = prometheus.ask("sum by (service) (rate(service_calls_total[1m])) > 0")
            refused = prometheus.ask("sum by (job) (rate(http_refused_total[1m])) > 0")
            return (len(rates), len(called), len(refused)) == (len(ports), 2, len(ports))

        await_true(has_seen_all, "requests are not counted")
        yield prometheus


def send_nonsense(port: int) -> None:
    """Send what no server answers with anything but an error of its own."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nno header\r\n\r\n")
        assert client.recv(64).startswith(b"HTTP/1.1 4")


def order_nothing(url: str) -> None:
    """Have the other services be asked for a buyer and a product."""
    answer = httpx.post(f"{url}orders", json=ORDER)
    assert answer.status_code == 422, answer.text
    assert {"buyer_id", "lines.0.product_id"} <= answer.json()["errors"].keys(), answer.text


def test_every_service_is_a_job(prometheus: Prometheus, demo: dict[str, Any]) -> None:
    built = prometheus.ask("service_build_info")

    assert {(each["metric"]["job"], each["metric"]["service"]) for each in built} == {
        (each["name"], each["name"]) for each in demo["services"]
    }


def test_the_calls_of_the_demo_are_told_by_both_of_their_ends(prometheus: Prometheus) -> None:
    calls = prometheus.ask("sum by (job, service) (service_calls_total)")

    assert {(each["metric"]["job"], each["metric"]["service"]) for each in calls} == {
        ("order-service", "user-service"),
        ("order-service", "product-service"),
    }


def test_every_rule_is_evaluated(prometheus: Prometheus) -> None:
    rules = [rule for group in prometheus.read("rules")["groups"] for rule in group["rules"]]
    await_true(
        lambda: all(
            rule["health"] == "ok"
            for group in prometheus.read("rules")["groups"]
            for rule in group["rules"]
        ),
        str([rule for rule in rules if rule["health"] != "ok"]),
    )

    recorded = {rule["name"] for rule in rules if rule["type"] == "recording"}
    assert len(recorded) == 23
    assert {name for name in recorded if not prometheus.ask(name)} == set()


@pytest.mark.parametrize("name", NAMES)
def test_every_panel_of_a_dashboard_has_data(
    name: str, prometheus: Prometheus, monitoring: Path
) -> None:
    empty = {each for each in expressions(read(monitoring, name)) if not prometheus.ask(each)}

    assert empty == set()


def test_a_service_that_is_well_alerts_nobody(prometheus: Prometheus) -> None:
    assert prometheus.read("alerts")["alerts"] == []


def test_a_service_that_fails_is_told_within_a_minute(
    prometheus: Prometheus, demo: dict[str, Any]
) -> None:
    """Orders ask the users' service, which hangs."""
    [users] = processes_in(Path(demo["workspace"]) / "services/user_service")
    [orders] = [each["url"] for each in demo["services"] if each["name"] == "order-service"]

    def is_told() -> bool:
        answer = httpx.post(f"{orders}orders", json=ORDER, timeout=20)
        assert answer.status_code == 503, answer.text
        alerts = prometheus.ask('ALERTS{alertstate="firing", severity="critical"}')
        told = {(each["metric"]["alertname"], each["metric"]["job"]) for each in alerts}
        return ("ErrorBudgetBurn", "order-service") in told

    os.kill(users, signal.SIGSTOP)
    try:
        await_true(is_told, "the alert does not fire")
    finally:
        os.kill(users, signal.SIGCONT)


def processes_in(folder: Path) -> list[int]:
    """Return the processes whose folder is this one."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is another user's
            if (process / "cwd").readlink() == folder.resolve():
                found.append(int(process.name))
    return found
