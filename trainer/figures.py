"""The figures of the report that are drawn or coloured: evidence, curves, and the grid of light and focus."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer import charts
from trainer.limits import Limits
from trainer.measure import Parts
from trainer.page import paragraph

Document = dict[str, Any]

ROBUST = (
    "Test parts under another light, focus, noise or compression, changed before the device's preprocessing, judged at "
    "the middle of the review band. Red: over 5 % of defective parts escape, or over 10 % of good ones are rejected."
)
CALIBRATED = (
    "Where the curve lies on the diagonal, parts that are given 0.9 are defective nine times in ten. Decisions use the "
    "integer limits, not this number. ECE is the mean distance from the diagonal."
)


def histogram(parts: Parts, limits: Limits) -> str:
    """Evidence of good (above) and defective (below) parts, with the two limits, as an inline picture."""
    low = min(float(parts.steps.min()), limits.pass_steps) - 5
    high = max(float(parts.steps.max()), limits.reject_steps) + 5
    edges = np.linspace(low, high, 61)
    fine, bad = (np.histogram(parts.steps[side], edges)[0] for side in (~parts.defective, parts.defective))
    tallest = max(1, int(fine.max()), int(bad.max()))

    def x(steps: float) -> float:
        return 10 + 580 * (steps - low) / (high - low)

    bars = _bars(fine, edges, tallest, x, up=True) + _bars(bad, edges, tallest, x, up=False)
    lines = "".join(
        f'<line x1="{x(at):.1f}" x2="{x(at):.1f}" y1="6" y2="194" stroke="{color}" stroke-dasharray="4 3"/>'
        f'<text x="{x(at) + 3:.1f}" y="16" font-size="11" fill="{color}">{name} {at}</text>'
        for at, name, color in ((limits.pass_steps, "pass", "#2e7d4f"), (limits.reject_steps, "reject", "#c0392b"))
    )
    return f'<svg viewBox="0 0 600 200" width="600" height="200" role="img">{bars}{lines}</svg>'


def curves(got: Document) -> str:
    """ROC, precision over recall, and reliability, side by side."""
    parts, pictures = got["by_part"], got["by_picture"]
    if not parts["roc"]:
        return paragraph("One of the two kinds has no test part: there is no curve to draw.", "quiet")
    roc = [("parts", parts["roc"]), ("pictures", pictures["roc"])]
    pr = [("parts", parts["pr"]), ("pictures", pictures["pr"])]
    reliable = [
        (name, [(row["said"], row["true"]) for row in each["calibration"]["bins"]])
        for name, each in (("parts", parts), ("pictures", pictures))
    ]
    words = (
        f"AUROC {parts['auroc']:.4f} over parts, {pictures['auroc']:.4f} over pictures",
        f"average precision {parts['average_precision']:.4f} and {pictures['average_precision']:.4f}",
        f"ECE {parts['calibration']['ece']:.3f} and {pictures['calibration']['ece']:.3f}",
    )
    drawn = (
        charts.lines(roc, labels=("good parts called defective", "defects found"), diagonal=True),
        charts.lines(pr, labels=("defects found", "of those called defective, truly so")),
        charts.lines(reliable, labels=("score shown", "share that is defective"), diagonal=True, dots=True),
    )
    figures = "".join(
        f"<figure>{chart}<figcaption>{escape(text)}</figcaption></figure>"
        for chart, text in zip(drawn, words, strict=True)
    )
    return f'<div class="row">{figures}</div>' + paragraph(CALIBRATED, "quiet")


def robustness(got: Document) -> str:
    """A row for each kind of change, a cell for each strength: escapes / overkill."""
    kinds: dict[str, list[Document]] = {}
    for cell in got["cells"]:
        kinds.setdefault(f"{cell['kind']} ({cell['unit']})", []).append(cell)
    rows = []
    for kind, cells in kinds.items():
        shown = "".join(
            f'<td class="{"red" if cell["red"] else ""}"><small>{cell["value"]:g}</small><br>'
            f"{percent(cell['escape_rate'])} / {percent(cell['overkill_rate'])}</td>"
            for cell in cells
        )
        rows.append(f"<tr><td>{escape(kind)}</td>{shown}</tr>")
    same = got["unchanged"]
    words = f"Unchanged: {percent(same['escape_rate'])} / {percent(same['overkill_rate'])}, {got['parts']} parts. "
    head = '<tr><th>change</th><th colspan="6">strength: escapes / overkill</th></tr>'
    return f'<div class="wide"><table>{head}{"".join(rows)}</table></div>' + paragraph(words + ROBUST, "quiet")


def _bars(counts: NDArray[np.int64], edges: NDArray[np.float64], tallest: int, x: Any, *, up: bool) -> str:
    color = "#2e7d4f" if up else "#c0392b"
    shapes = []
    for count, left, right in zip(counts, edges[:-1], edges[1:], strict=True):
        if count:
            height = 80 * float(count) / tallest
            top = 100 - height if up else 100
            place = f'x="{x(left):.1f}" y="{top:.1f}" width="{x(right) - x(left):.1f}" height="{height:.1f}"'
            shapes.append(f'<rect {place} fill="{color}"/>')
    return "".join(shapes)


def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"
