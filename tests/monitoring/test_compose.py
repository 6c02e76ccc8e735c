"""Prometheus and Grafana beside the fleet, as Docker Compose reads their file."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.monitoring.conftest import SERVICES
from tests.requirement import get_program
from tests.workspace import run

FILE = "deploy/monitoring/compose.yaml"


@pytest.fixture(scope="module")
def containers(watched: Path) -> Any:
    """The containers of the file, every default filled in."""
    command = [get_program("docker-compose"), "-f", FILE, "config", "--format", "json"]
    return json.loads(run(command, watched, {"PATH": "", "HOME": str(watched)}))["services"]


def test_the_file_follows_the_specification(watched: Path) -> None:
    check = [get_program("check-jsonschema"), "--builtin-schema", "vendor.compose-spec"]

    run([*check, FILE], watched, dict(os.environ))


def test_the_fleet_runs_beside_what_watches_it(containers: Any) -> None:
    assert {"prometheus", "grafana", "postgres", *SERVICES} <= containers.keys()


def test_both_are_seen_from_this_machine_alone_and_metrics_from_nowhere(containers: Any) -> None:
    published = {
        name: [(each["host_ip"], each["target"]) for each in container.get("ports", [])]
        for name, container in containers.items()
    }

    assert published["prometheus"] == [("127.0.0.1", 9090)]
    assert published["grafana"] == [("127.0.0.1", 3000)]
    assert 9464 not in {target for ports in published.values() for _, target in ports}


def test_what_is_mounted_is_there(containers: Any, monitoring: Path) -> None:
    for name in ("prometheus", "grafana"):
        for volume in containers[name]["volumes"]:
            if volume["type"] == "bind":
                assert Path(volume["source"]).is_relative_to(monitoring)
                assert Path(volume["source"]).exists()
                assert volume["read_only"] is True


def test_both_may_do_as_little_as_services(containers: Any) -> None:
    for name in ("prometheus", "grafana"):
        assert containers[name]["read_only"] is True
        assert containers[name]["cap_drop"] == ["ALL"]
        assert containers[name]["security_opt"] == ["no-new-privileges:true"]
        assert 0 < int(containers[name]["mem_limit"]) <= 2**30
