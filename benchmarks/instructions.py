"""Instructions per request: recorded in the repository, and held against it.

Unlike times they hardly swing from one run to the next, so a change of some per cent shows.
"""

import hashlib
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import callgrind, competitors, report, scenarios
from benchmarks.comparison import fill, restore
from benchmarks.competitors import Competitor
from benchmarks.environment import REQUIREMENTS
from benchmarks.errors import BenchmarkError
from benchmarks.workspace import opened_workspace

SERVICE = (competitors.OURS, competitors.ON_HYPERCORN)
PEERS = tuple(each for each in competitors.PYTHON_ALONE if each not in SERVICE)
RECORD = Path(__file__).with_name("instructions.json")
TOLERANCE = 0.05
"""What a change may add before it is called a regression; two runs differ by about 1 %."""

Counts = dict[str, dict[str, int]]
"""By competitor and scenario."""


def measure(asked: Sequence[Competitor]) -> Counts:
    """Count for these competitors; raises BenchmarkError."""
    found: Counts = {}
    with opened_workspace() as workspace:
        fill(workspace)
        for competitor in asked:
            print(f"counting: {competitor.title}", file=sys.stderr)
            restore(workspace)
            with callgrind.counting(competitor, workspace) as counter:
                found[competitor.name] = {each.name: counter.count(each) for each in scenarios.ALL}
    return found


def record(asked: Sequence[Competitor]) -> None:
    """Count for these and keep it as what the next change is held against."""
    _require_valgrind()
    recorded = json.loads(RECORD.read_text()) if RECORD.is_file() else {}
    counts = recorded.get("instructions", {}) | measure(asked)
    content = {"python": platform.python_version(), "requirements": _fingerprint()}
    RECORD.write_text(f"{json.dumps(content | {'instructions': counts}, indent=2)}\n")
    print(_table(counts))


def check() -> None:
    """Raise BenchmarkError where our service needs more than it did by more than the tolerance."""
    recorded = json.loads(RECORD.read_text())
    reason = _find_reason_to_skip(recorded)
    if reason:
        print(f"instructions not checked: {reason}", file=sys.stderr)
        return
    if recorded["requirements"] != _fingerprint():
        raise BenchmarkError(
            "benchmarks/requirements.txt is not what benchmarks/instructions.json was recorded"
            " with.\nRecord anew: python -m benchmarks instructions --record"
        )
    name = competitors.OURS.name
    before, now = recorded["instructions"][name], measure([competitors.OURS])[name]
    print(_difference(before, now))
    require_no_regression(before, now)


def require_no_regression(before: Mapping[str, int], now: Mapping[str, int]) -> None:
    """Raise BenchmarkError where a kind of request needs more than the tolerance more."""
    worse = [each for each in now if now[each] > before[each] * (1 + TOLERANCE)]
    if worse:
        raise BenchmarkError(
            f"More than {TOLERANCE:.0%} more instructions per request: {', '.join(worse)}.\n"
            "If that is worth it: python -m benchmarks instructions --record"
        )


def show() -> None:
    """Count for all and print it."""
    _require_valgrind()
    print(_table(measure(competitors.PYTHON_ALONE)))


def _find_reason_to_skip(recorded: Mapping[str, object]) -> str | None:
    if not callgrind.installed():
        return "valgrind is not installed"
    if recorded["python"] != platform.python_version():
        return f"recorded with Python {recorded['python']}, this is {platform.python_version()}"
    return None


def _require_valgrind() -> None:
    if not callgrind.installed():
        raise BenchmarkError("valgrind is not installed: it is what counts instructions.")


def _fingerprint() -> str:
    return hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:16]


def _table(counts: Counts) -> str:
    titles = {each.name: each.title for each in competitors.PYTHON_ALONE}
    rows = [
        [titles[name], *(f"{by_scenario[each.name] / 1000:,.0f}" for each in scenarios.ALL)]
        for name, by_scenario in counts.items()
    ]
    return report.table(["thousand instructions", *(each.title for each in scenarios.ALL)], rows)


def _difference(before: Mapping[str, int], now: Mapping[str, int]) -> str:
    rows = [
        [each, f"{before[each]:,}", f"{now[each]:,}", f"{now[each] / before[each] - 1:+.1%}"]
        for each in now
    ]
    return report.table(["", "recorded", "now", "change"], rows)
