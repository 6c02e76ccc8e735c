"""A real Prometheus beside the test, which asks services and answers queries."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import urlopen

from tests.ports import reserve_port
from tests.requirement import get_program

_TIMEOUT = 60.0
"""Seconds."""

Sample = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Prometheus:
    """It runs; its interface is at `url`."""

    url: str

    def ask(self, expression: str) -> list[Sample]:
        """Return what an expression comes to now; an AssertionError says why it is none."""
        try:
            with urlopen(f"{self.url}/api/v1/query?query={quote(expression)}") as answer:
                data = json.load(answer)["data"]
        except HTTPError as error:
            raise AssertionError(f"{expression}: {error.read().decode()}") from None
        result: list[Sample] = data["result"]
        return [{"metric": {}, "value": result}] if data["resultType"] == "scalar" else result

    def read(self, path: str) -> Any:
        """Return the data of its interface, below /api/v1/."""
        with urlopen(f"{self.url}/api/v1/{path}") as answer:
            return json.load(answer)["data"]


def await_true(holds: Callable[[], bool], what: str) -> None:
    """Wait until something holds; an AssertionError says that it does not."""
    end = time.monotonic() + _TIMEOUT
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.2)


@contextmanager
def watching(monitoring: Path, ports: Mapping[str, int], folder: Path) -> Iterator[Prometheus]:
    """Run Prometheus by the configuration of a workspace, with other addresses and once a second.

    Args:
        monitoring: what `deploy monitoring` wrote.
        ports: where each service tells its metrics, by its name.
        folder: takes its files.
    """
    text = (monitoring / "prometheus.yaml").read_text().replace("15s", "1s")
    for name, port in ports.items():
        found = f'- {{names: ["{name}"], type: A, port: 9464, refresh_interval: 1s}}'
        assert found in text
        text = text.replace(found, f'- targets: ["127.0.0.1:{port}"]')
    text = text.replace("dns_sd_configs", "static_configs")
    (folder / "rules.yaml").write_text((monitoring / "rules.yaml").read_text())
    with running(text, folder) as prometheus:
        yield prometheus


@contextmanager
def running(configuration: str, folder: Path) -> Iterator[Prometheus]:
    """Run Prometheus; `folder` takes its files."""
    (folder / "prometheus.yaml").write_text(configuration)
    address = f"127.0.0.1:{reserve_port()}"
    options = {
        "config.file": "prometheus.yaml",
        "storage.tsdb.path": str(folder / "data"),
        "web.listen-address": address,
        "log.level": "warn",
    }
    log = folder / "prometheus.log"
    command = [get_program("prometheus"), *(f"--{name}={value}" for name, value in options.items())]
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        ) as process,
    ):
        try:
            prometheus = Prometheus(f"http://{address}")
            await_true(lambda: _is_ready(prometheus, process, log), "Prometheus is not ready")
            yield prometheus
        finally:
            process.terminate()


def _is_ready(prometheus: Prometheus, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        with urlopen(f"{prometheus.url}/-/ready") as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
