"""What was measured as tables of Markdown, and where results are kept."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.comparison import Comparison
from benchmarks.figures import Figure, Spread, document, figures
from benchmarks.load import CONNECTIONS, generator
from benchmarks.machine import describe, load_average
from benchmarks.scenarios import ROWS

RESULTS = Path(__file__).with_name("results")


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Write a table of Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def save(name: str, content: Mapping[str, object]) -> Path:
    """Keep a result in JSON and return its place."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(f"{json.dumps(content, indent=2)}\n")
    print(f"written: benchmarks/results/{path.name}", file=sys.stderr)
    return path


def surroundings() -> dict[str, object]:
    """Return what every result is kept with."""
    return {"machine": describe(), "load_average": load_average()}


def machine_line() -> str:
    """Say in a line what measured."""
    machine = describe()
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB,"
        f" {machine['system']}, Python {machine['python']}"
    )


def comparison_page(comparison: Comparison) -> str:
    """Write all tables of a comparison."""
    found = figures(comparison)
    plan = comparison.plan
    pinned = "the server on a core of its own" if comparison.cores.divided else "nothing pinned"
    low, high = min(comparison.load_averages), max(comparison.load_averages)
    parts = [
        "# Comparison",
        f"{machine_line()}. One worker, {pinned}, {CONNECTIONS} connections by {generator()};"
        f" medians of {plan.rounds} interleaved rounds of {plan.seconds} s, least and most in"
        f" brackets; {ROWS:,} rows, drawn at random. Load average {low:.1f} to {high:.1f}.",
        "## Computing time: how many times less than the careful FastAPI's",
        "In brackets requests a second, as a ratio to it; other work on the machine moves these more.",
        _summary(comparison, lambda each: (each.cpu_to_careful, each.to_careful)),
        "## The same against FastAPI as its documentation has it",
        _summary(comparison, lambda each: (each.cpu_to_documented, each.to_documented)),
    ]
    for scenario in plan.scenarios:
        rows = [each for each in found if each.scenario == scenario.name]
        parts += [f"## {scenario.title}", _details(comparison, rows)]
    return "\n\n".join(parts) + "\n"


def _summary(comparison: Comparison, ratios: Callable[[Figure], tuple[Spread, Spread]]) -> str:
    """Write two ratios for each kind of request, one line for each competitor."""
    plan = comparison.plan
    by_key = {(each.scenario, each.competitor): each for each in figures(comparison)}
    rows = [
        [
            competitor.title,
            *(_pair(*ratios(by_key[each.name, competitor.name])) for each in plan.scenarios),
        ]
        for competitor in plan.competitors
    ]
    return table(["", *(each.title for each in plan.scenarios)], rows)


def _pair(first: Spread, second: Spread) -> str:
    return f"{first.median:.2f} ({second.median:.2f})"


def _details(comparison: Comparison, found: Sequence[Figure]) -> str:
    titles = {each.name: each.title for each in comparison.plan.competitors}
    rows = [
        [
            titles[each.competitor],
            f"{each.throughput.median:,.0f} ({each.throughput.min:,.0f} to {each.throughput.max:,.0f})",
            f"{each.to_limit.median:.2f}",
            f"{each.cpu.median:.0f} ({each.cpu.min:.0f} to {each.cpu.max:.0f})",
            f"{each.cpu_to_careful.median:.2f} ({each.cpu_to_careful.min:.2f} to"
            f" {each.cpu_to_careful.max:.2f})",
            f"{each.p50.median:.1f} / {each.p99.median:.1f}",
        ]
        for each in found
    ]
    header = [
        "",
        "requests/s",
        "to the limit's",
        "CPU µs/request",
        "careful FastAPI's CPU to it",
    ]
    return table([*header, "p50 / p99 ms"], rows)


def save_comparison(comparison: Comparison, name: str) -> Path:
    """Keep a comparison as JSON and as a page, and return the place of the JSON."""
    path = save(name, document(comparison))
    path.with_suffix(".md").write_text(comparison_page(comparison))
    return path
