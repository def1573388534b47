"""Plain sentences: what may be claimed from the figures of a run, what must not, and how many more parts it takes."""

from __future__ import annotations

import math
from typing import Any

Document = dict[str, Any]

CHOSEN = "int8_ptq"
"""The variant that ships."""


def claims(got: Document) -> list[str]:
    """What the figures allow a careful person to say, and what they do not."""
    escape, overkill = got["escape_rate"], got["overkill_rate"]
    if not overkill["of"]:
        return [
            f"No class of the data is good. The model tells kinds of defects apart, rightly for "
            f"{100 * got['kinds']['accuracy']:.1f} % of {got['parts']} parts that it was not trained on, and passes "
            "nothing. It says nothing about whether a part is defective: for that it needs pictures of good parts."
        ]
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


def warnings(metrics: Document) -> list[str]:
    """What must not be claimed from these figures, as far as the figures themselves can tell."""
    got, data = metrics[CHOSEN]["grouped"], metrics.get("data", {})
    said, apart = labels_told(data), data.get("listed_apart") or []
    if apart:
        said.append(
            f"Training and test are not wholly apart: {sum(map(len, apart))} groups of groups.csv show only "
            f"{len(apart)} parts between them, by near-copies (e.g. {', '.join(apart[0][:4])}). Figures counted over "
            "listed groups flatter; split.join_copies: true joins such groups."
        )
    if not got["overkill_rate"]["of"]:
        return said
    best = max(metrics["baselines"]["grouped"].items(), key=lambda each: each[1]["balanced_accuracy"] or 0.0)
    mine, theirs = got["balanced_accuracy"] or 0.0, best[1]["balanced_accuracy"] or 0.0
    if theirs >= mine - 0.05:
        said.append(
            f"It must not be claimed that the network sees defects: a look-up without an eye for them "
            f"({best[0].replace('_', ' ')}) reaches a balanced accuracy of {theirs:.3f}, the network {mine:.3f}."
        )
    if "robustness" in metrics and metrics["robustness"]["red"]:
        worst = max(
            (cell for cell in metrics["robustness"]["cells"] if cell["red"]),
            key=lambda cell: max(cell["escape_rate"] or 0.0, cell["overkill_rate"] or 0.0),
        )
        said.append(
            f"It must not be used in other light than it was trained in: {metrics['robustness']['red']} of "
            f"{len(metrics['robustness']['cells'])} tried changes make it err too often, the worst being "
            f"{worst['kind']} {worst['value']:g} ({100 * (worst['escape_rate'] or 0):.0f} % escapes, "
            f"{100 * (worst['overkill_rate'] or 0):.0f} % overkill)."
        )
    if got["overkill_rate"]["of"] < 30:
        said.append(
            f"Little is known about overkill: there were {got['overkill_rate']['of']} good test parts. More good parts "
            "cost least and say most."
        )
    return said


def labels_told(data: Document) -> list[str]:
    """What must be known of labels that were decided, or are still to be."""
    said, open_ones = [], data.get("contradictory") or {}
    if data.get("decided"):
        said.append(f"Labels were decided by a person: {'; '.join(data['decided'])}.")
    if open_ones:
        said.append(
            f"{len(open_ones)} parts carry more than one label ({', '.join(list(open_ones)[:6])}), so that whatever is "
            "said of them is wrong once. A person should look, and settle them with `decided:` in the recipe."
        )
    return said


def official(metrics: Document) -> str:
    """The row that other papers print, and what it is worth."""
    got, leak = metrics[CHOSEN]["official"], metrics["leakage"].get("official", {})
    text = (
        f"On the data's own test pictures {got['by_picture']['accuracy']:.4f} are decided rightly, "
        f"{got['escape_rate']['count']} of {got['escape_rate']['of']} defective parts escape."
    )
    if leak.get("with_a_copy_in_train"):
        text += (
            f" This measures memory: {leak['with_a_copy_in_train']} of {leak['test_pictures']} test pictures "
            f"({100 * leak['rate']:.0f} %) show a part that is in its training folder too. It is for comparison only."
        )
    return text


def rate_text(rate: Document) -> str:
    """`2 of 40 = 5.0 % (0.6 to 16.9 %)`."""
    if rate["rate"] is None:
        return "none to count"
    share, low, high = (100 * rate[key] for key in ("rate", "low", "high"))
    return f"{rate['count']} of {rate['of']} = {share:.1f} % ({low:.1f} to {high:.1f} %)"


def at_limits(got: Document) -> str:
    """What the line would have done with the parts, in words; `got` as `measure.at_limits` gives it."""
    named = (("escape_rate", "escapes"), ("overkill_rate", "overkill"), ("review_rate", "review"))
    return "At the limits: " + ", ".join(f"{name} {rate_text(got[key])}" for key, name in named)


def without_twins(got: Document) -> str:
    """What is left when parts that another fold holds near-copies of are not counted, in words."""
    return (
        f"Without the parts of which another fold holds near-copies: balanced accuracy {got['balanced_accuracy']}, "
        f"escapes {rate_text(got['escape_rate'])}, overkill {rate_text(got['overkill_rate'])}"
    )
