"""Where the application's time goes, by layer: the one at work in each of py-spy's samples."""

import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks import competitors, report, scenarios
from benchmarks.comparison import fill, restore
from benchmarks.competitors import Competitor
from benchmarks.environment import PYTHON
from benchmarks.errors import BenchmarkError
from benchmarks.load import measure
from benchmarks.machine import Cores, pin
from benchmarks.processes import Server
from benchmarks.scenarios import Scenario
from benchmarks.workspace import opened_workspace

SECONDS = 5
_RATE = 200
LAYERS = (
    ("driver", ("asyncpg",)),
    ("SQLAlchemy", ("sqlalchemy", "advanced_alchemy")),
    ("pydantic, orjson", ("pydantic", "orjson", "msgspec")),
    ("Quart, Werkzeug", ("quart", "werkzeug", "flask", "blinker")),
    ("FastAPI, Litestar", ("fastapi", "starlette", "litestar")),
    ("server", ("uvicorn", "hypercorn", "httptools", "h11", "uvloop", "anyio")),
    ("ours", ("quart_fleet", "shared", "user_service")),
)
"""Names that occur as a folder in the path of a layer's code; what it calls of Python is its own."""


def profile(asked: tuple[Competitor, ...] = (competitors.OURS, competitors.ON_HYPERCORN)) -> str:
    """Sample these competitors under load and return the shares as a table."""
    cores = Cores.divide()
    pin(0, cores.load)
    rows = []
    with opened_workspace() as workspace:
        fill(workspace)
        for competitor in asked:
            with competitor.running(workspace, cores.server) as server:
                for scenario in scenarios.ALL:
                    print(f"sampling: {competitor.title}, {scenario.title}", file=sys.stderr)
                    restore(workspace)
                    shares = _shares(_samples(server, scenario))
                    rows.append([f"{competitor.title}: {scenario.title}", *map(_percent, shares)])
    return report.table(["", *(name for name, _ in LAYERS)], rows)


def _samples(server: Server, scenario: Scenario) -> Counter[str]:
    """Return how many samples were taken in each layer while the server was busy."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "stacks")
        command = [
            *(str(PYTHON.with_name("py-spy")), "record", "--format", "raw", "--full-filenames"),
            *("--rate", str(_RATE), "--duration", str(SECONDS), "--output", str(path)),
            *("--pid", str(server.process.pid)),
        ]
        spy = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)  # noqa: S603 - our own words
        measure(server, scenario, SECONDS + 1)
        _, complaint = spy.communicate()
        if spy.returncode != 0:
            raise BenchmarkError(f"py-spy failed: {complaint.decode().strip()}")
        return _count(path.read_text())


def _count(stacks: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, _, times = line.rpartition(" ")
        layer = find_layer(stack.split(";"))
        if layer:  # others are threads that sleep
            counts[layer] += int(times)
    return counts


def find_layer(frames: list[str]) -> str | None:
    """Return the layer that the innermost frame of a known one belongs to."""
    for frame in reversed(frames):
        folders = set(frame.replace("(", "/").split("/"))
        for layer, names in LAYERS:
            if folders.intersection(names):
                return layer
    return None


def _shares(counts: Counter[str]) -> list[float]:
    total = counts.total() or 1
    return [counts[name] / total for name, _ in LAYERS]


def _percent(share: float) -> str:
    return f"{share:.0%}"
