# mypy: ignore-errors
# matplotlib is installed in the benchmark's own environment only.
"""Draws a saved comparison: `python -m benchmarks.chart RESULT.json CHART.png`."""

import json
import sys
from itertools import cycle
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot

_COLOURS = {"ours": "#2c7fb8", "ours-hypercorn": "#7fcdbb", "limit": "#969696"}
_OTHERS = ("#fdae6b", "#fdd0a2", "#e6550d", "#a63603")


def draw(result: dict, path: Path) -> None:
    """Draw requests a second, one panel for each kind of request, whiskers from least to most."""
    figure, panels = pyplot.subplots(1, len(result["scenarios"]), figsize=(14, 3.6), sharey=True)
    titles = result["titles"]
    for panel, (name, title) in zip(panels, result["scenarios"].items(), strict=True):
        found = [each for each in result["figures"] if each["scenario"] == name]
        _draw_panel(panel, found, titles)
        panel.set_title(title)
        panel.set_xlabel("requests/s")
    panels[0].invert_yaxis()
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def _draw_panel(panel, found, titles) -> None:
    others = cycle(_OTHERS)
    for each in found:
        spread = each["throughput"]
        whiskers = [[spread["median"] - spread["min"]], [spread["max"] - spread["median"]]]
        colour = _COLOURS.get(each["competitor"]) or next(others)
        panel.barh(
            titles[each["competitor"]], spread["median"], xerr=whiskers, color=colour,
            error_kw={"elinewidth": 0.8},
        )  # fmt: skip
    panel.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
