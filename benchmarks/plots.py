"""Cost against the number of parts and against the size of the picture, as one picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

COLORS = ("#0b6e4f", "#c1440e", "#e2a34a", "#5b5f97")
MILLISECONDS = (0.5, 1, 2, 5, 10, 20, 50)


def draw(curves: dict[str, Any], path: Path) -> None:
    """Write a PNG with both plots side by side; `curves` as `compare` measured them."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), dpi=100, layout="constrained", sharey=True)
    _plot(left, [each["parts_per_s"] for each in curves["rate"]], curves["rate"])
    left.set(title="two lanes, 640×480", xlabel="parts per second", ylabel="CPU per frame, ms", yscale="log")
    _plot(right, [each["width_px"] for each in curves["width"]], curves["width"])
    right.set(title="1 part per second", xlabel="picture width, px (4:3)")
    left.set_yticks(MILLISECONDS, [f"{each:g}" for each in MILLISECONDS])
    for axes in (left, right):
        axes.grid(visible=True, which="both", alpha=0.25)
    left.legend(fontsize=8, frameon=False)
    figure.savefig(path)
    plt.close(figure)


def _plot(axes: Any, at: list[float], points: list[dict[str, Any]]) -> None:
    for color, way in zip(COLORS, points[0]["ms"], strict=False):
        axes.plot(at, [each["ms"][way] for each in points], marker="o", color=color, label=way)
    axes.set_xticks(at, [f"{each:g}" for each in at])
