"""From numbers to one small page that needs nothing beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.limits import Limits
from trainer.measure import Parts
from trainer.recipe import Recipe

Document = dict[str, Any]

CHOSEN = "int8_ptq"
VARIANTS = ("float32", "float16", "dynamic_range", "int8_ptq", "int8_qat")
COUNTED = (
    "Accuracy, precision, recall and F1 (of the defect class), escapes and overkill are counted over parts at the "
    "middle of the review band; in brackets the exact 95 % interval. Latency: one picture, one thread, this machine."
)
LOOK_UP = (
    "These methods look at raw pixels, brightness or a thumbnail. Where they come close to the network, the data can "
    "be told apart without seeing a defect, and a high accuracy proves little."
)
EVIDENCE = (
    "Good parts above, defective ones below; int8 steps of evidence, loudest defect minus loudest good class. "
    "Between the two limits a part goes to review."
)

STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}
table{border-collapse:collapse;margin:.5rem 0 1.5rem}td,th{padding:.25rem .7rem;border-bottom:1px solid #d8dee4;
text-align:right;font-variant-numeric:tabular-nums}th:first-child,td:first-child{text-align:left}
.bad{color:#b3261e;font-weight:600}.quiet{color:#59636e}svg{background:#f6f8fa;border-radius:6px}"""


def build(
    recipe: Recipe,
    metrics: Document,
    counts: Sequence[Sequence[object]],
    good: Sequence[str],
    parts: Parts,
    limits: Limits,
) -> str:
    """The whole report of a run; `counts` has a line per class: its name, parts to train, to validate, to test."""
    chosen = metrics[CHOSEN]
    sections = [("What may be claimed", "".join(paragraph(each) for each in claims(chosen["grouped"])))]
    sections += [("Figures on parts never trained on", variants_table(metrics, VARIANTS) + paragraph(COUNTED, "quiet"))]
    sections += [("What needs no eye for defects", _baselines(metrics))]
    sections += [("Evidence of each test part", histogram(parts, limits) + paragraph(EVIDENCE, "quiet"))]
    for split, got in chosen.items():
        rows = [(label, *row) for label, row in zip(got["confusion"]["labels"], got["confusion"]["rows"], strict=True)]
        sections.append((f"Confusion, {split}, pictures", table(("truth, said", *got["confusion"]["labels"]), rows)))
    sections.append(("Parts", table(("class", "train", "validation", "test"), counts)))
    sections.append(("Good classes", paragraph(", ".join(good))))
    return page(f"{recipe.name} {recipe.version}", sections)


def claims(got: Document) -> list[str]:
    """What the figures allow a careful person to say, and what they do not."""
    escape, overkill = got["escape_rate"], got["overkill_rate"]
    missing = parts_needed(0.01)
    return [
        f"Of {escape['of']} defective test parts {escape['count']} would have been taken for good: with 95 % certainty "
        f"fewer than {100 * escape['high']:.1f} % of such parts escape. Of {overkill['of']} good ones "
        f"{overkill['count']} would have been called defective: fewer than {100 * overkill['high']:.1f} %.",
        f"This holds for parts, light and defects like those tested. To claim an escape rate below 1 % with no escape "
        f"seen, {missing} different defective parts are needed; there were {escape['of']}.",
    ]


def parts_needed(share: float, level: float = 0.95) -> int:
    """How many defective parts must all be caught before `share` escapes can be ruled out."""
    return math.ceil(math.log((1 - level) / 2) / math.log(1 - share)) if share < 1 else 1


def page(title: str, sections: Sequence[tuple[str, str]]) -> str:
    """A self-contained HTML page; each section is a heading and its HTML."""
    body = "\n".join(f"<h2>{escape(heading)}</h2>\n{html}" for heading, html in sections)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}</style>'
        f"<h1>{escape(title)}</h1>\n{body}\n</html>\n"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """An HTML table; values are escaped."""
    top = "".join(f"<th>{escape(each)}</th>" for each in head)
    lines = "".join("<tr>" + "".join(f"<td>{escape(_text(each))}</td>" for each in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{lines}</table>"


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph; `kind` is `bad`, `quiet` or empty."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


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
        for at, name, color in ((limits.pass_steps, "pass", "#1a7f37"), (limits.reject_steps, "reject", "#b3261e"))
    )
    return f'<svg viewBox="0 0 600 200" width="600" height="200" role="img">{bars}{lines}</svg>'


def rate_text(rate: Document) -> str:
    """`2 of 40 = 5.0 % (0.6 to 16.9 %)`."""
    if rate["rate"] is None:
        return "none to count"
    share, low, high = (100 * rate[key] for key in ("rate", "low", "high"))
    return f"{rate['count']} of {rate['of']} = {share:.1f} % ({low:.1f} to {high:.1f} %)"


def variants_table(metrics: Document, variants: Sequence[str]) -> str:
    """Every variant on every split, one line each."""
    head = ("variant, split", "accuracy", "precision", "recall", "F1", "escapes", "overkill", "kB", "ms")
    rows = []
    for variant in variants:
        for split, got in metrics.get(variant, {}).items():
            rates = (rate_text(got["escape_rate"]), rate_text(got["overkill_rate"]))
            cells = (got["accuracy"], got["precision"], got["recall"], got["f1"], *rates)
            rows.append((f"{variant}, {split}", *cells, round(got["bytes"] / 1000, 1), got["latency_ms"]))
    return table(head, rows)


def _baselines(metrics: Document) -> str:
    rows = []
    for split, methods in metrics["baselines"].items():
        got = metrics[CHOSEN][split]
        rows.append((f"{CHOSEN}, {split}", got["accuracy"], got["balanced_accuracy"], got["auroc"]))
        for name, its in methods.items():
            rows.append((f"{name}, {split}", its["accuracy"], its["balanced_accuracy"], its["auroc"]))
    return table(("method, split", "accuracy", "balanced accuracy", "AUROC"), rows) + paragraph(LOOK_UP, "quiet")


def _bars(counts: NDArray[np.int64], edges: NDArray[np.float64], tallest: int, x: Any, *, up: bool) -> str:
    color = "#1a7f37" if up else "#b3261e"
    shapes = []
    for count, left, right in zip(counts, edges[:-1], edges[1:], strict=True):
        if count:
            height = 80 * float(count) / tallest
            top = 100 - height if up else 100
            place = f'x="{x(left):.1f}" y="{top:.1f}" width="{x(right) - x(left):.1f}" height="{height:.1f}"'
            shapes.append(f'<rect {place} fill="{color}"/>')
    return "".join(shapes)


def _text(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
