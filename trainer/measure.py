"""Numbers about a classifier, counted over parts: what escapes, what is thrown away for nothing, how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from trainer.dataset import Picture
from trainer.limits import Limits, evidence

Floats = NDArray[np.float64]
Document = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Evidence per part: the mean over its pictures, as the device fuses views."""

    names: tuple[tuple[str, str], ...]
    """`(group, label)` of each part."""
    steps: Floats
    defective: NDArray[np.bool_]
    views: NDArray[np.int64]


def fuse(pictures: Sequence[Picture], steps: Floats, good: Sequence[str]) -> Parts:
    """Gather pictures into parts."""
    names = sorted({each.part for each in pictures})
    number = {name: index for index, name in enumerate(names)}
    where = np.array([number[each.part] for each in pictures], dtype=np.int64)
    views = np.bincount(where, minlength=len(names))
    sums = np.bincount(where, weights=steps, minlength=len(names))
    return Parts(
        names=tuple(names),
        steps=sums / np.maximum(views, 1),
        defective=np.array([label not in good for _, label in names], dtype=bool),
        views=views,
    )


def interval(hits: int, count: int, level: float = 0.95) -> tuple[float, float]:
    """Clopper and Pearson's exact interval for a share of `hits` in `count`."""
    if count == 0:
        return 0.0, 1.0
    tail = (1 - level) / 2
    low = 0.0 if hits == 0 else float(beta.ppf(tail, hits, count - hits + 1))
    high = 1.0 if hits == count else float(beta.ppf(1 - tail, hits + 1, count - hits))
    return low, high


def rate(hits: int, count: int) -> Document:
    """A share with its 95 % interval, ready for `metrics.json`."""
    low, high = interval(hits, count)
    return {
        "count": hits,
        "of": count,
        "rate": round(hits / count, 5) if count else None,
        "low": round(low, 5),
        "high": round(high, 5),
    }


def binary(flagged: NDArray[np.bool_], defective: NDArray[np.bool_]) -> Document:
    """Yes or no against the truth; precision, recall and F1 are those of the defect class."""
    caught = int((flagged & defective).sum())
    missed, spoilt = int((~flagged & defective).sum()), int((flagged & ~defective).sum())
    passed = int((~flagged & ~defective).sum())
    count = len(flagged)
    recall, specificity = _share(caught, caught + missed), _share(passed, passed + spoilt)
    precision = _share(caught, caught + spoilt)
    f1 = None if not precision or not recall else 2 * precision * recall / (precision + recall)
    return {
        "count": count,
        "accuracy": _round(_share(caught + passed, count)),
        "balanced_accuracy": _round(None if recall is None or specificity is None else (recall + specificity) / 2),
        "precision": _round(precision),
        "recall": _round(recall),
        "f1": _round(f1 if f1 is not None else (0.0 if caught + missed else None)),
        "auroc": _round(auroc(flagged.astype(float), defective)),
    }


def auroc(score: Floats, defective: NDArray[np.bool_]) -> float | None:
    """The chance that a defective one scores above a good one, ties counted half; None without both kinds."""
    bad, fine = score[defective], score[~defective]
    if not len(bad) or not len(fine):
        return None
    order = np.sort(fine)
    below, through = np.searchsorted(order, bad, "left"), np.searchsorted(order, bad, "right")
    return float((below + through).sum() / (2 * len(bad) * len(fine)))


def assess(
    pictures: Sequence[Picture],
    outputs: NDArray[np.generic],
    labels: Sequence[str],
    good: Sequence[str],
    limits: Limits,
) -> Document:
    """Everything `metrics.json` says about one variant on one split."""
    good_columns = np.array([each in good for each in labels], dtype=bool)
    steps = evidence(outputs, good_columns)
    parts = fuse(pictures, steps, good)
    defective = np.array([each.label not in good for each in pictures], dtype=bool)
    flagged = parts.steps > limits.cut_steps
    rejected, passed = parts.steps >= limits.reject_steps, parts.steps <= limits.pass_steps
    bad, fine = int(parts.defective.sum()), int((~parts.defective).sum())
    by_part = binary(flagged, parts.defective) | {"auroc": _round(auroc(parts.steps, parts.defective))}
    by_picture = binary(steps > limits.cut_steps, defective) | {"auroc": _round(auroc(steps, defective))}
    kinds = told_apart(pictures, outputs, labels)
    if not fine:
        by_part, by_picture = by_part | kinds, by_picture | {"accuracy": kinds["accuracy_by_picture"]}
    return {
        "kinds": kinds,
        **{key: by_part[key] for key in ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "auroc")},
        "escape_rate": rate(int((~flagged & parts.defective).sum()), bad),
        "overkill_rate": rate(int((flagged & ~parts.defective).sum()), fine),
        "at_limits": at_limits(parts.defective, passed, rejected),
        "by_picture": by_picture,
        "confusion": confusion(pictures, outputs, labels),
        "recall_by_label": {
            label: rate(int((flagged & mine).sum()), int(mine.sum()))
            for label in labels
            if label not in good
            for mine in [np.array([name[1] == label for name in parts.names], dtype=bool)]
        },
        "parts": len(parts.steps),
        "pictures": len(pictures),
        "wrong_parts": [
            {"part": group, "label": label, "evidence": round(float(step), 2)}
            for (group, label), step, said, truth in zip(
                parts.names, parts.steps, flagged, parts.defective, strict=True
            )
            if said != truth
        ],
    }


def at_limits(defective: NDArray[np.bool_], passed: NDArray[np.bool_], rejected: NDArray[np.bool_]) -> Document:
    """What limits make of parts: escapes and overkill, and what neither passes nor is rejected, as rates."""
    return {
        "escape_rate": rate(int((passed & defective).sum()), int(defective.sum())),
        "overkill_rate": rate(int((rejected & ~defective).sum()), int((~defective).sum())),
        "review_rate": rate(int((~passed & ~rejected).sum()), len(defective)),
    }


def told_apart(pictures: Sequence[Picture], outputs: NDArray[np.generic], labels: Sequence[str]) -> Document:
    """How well classes are told apart, over parts, whose outputs are the mean of their pictures'; mean over classes."""
    names = sorted({each.part for each in pictures})
    rows = np.asarray(outputs, dtype=np.float64)
    mine = {name: [place for place, each in enumerate(pictures) if each.part == name] for name in names}
    said = np.array([int(rows[mine[name]].mean(axis=0).argmax()) for name in names])
    true = np.array([labels.index(label) for _, label in names])
    present = [binary(said == kind, true == kind) for kind in np.unique(true)]
    means = {key: _mean([each[key] or 0.0 for each in present]) for key in ("precision", "recall", "f1")}
    each_picture = rows.argmax(axis=1) == np.array([labels.index(each.label) for each in pictures])
    return {"accuracy": _mean(said == true), "accuracy_by_picture": _mean(each_picture), **means}


def _mean(values: Sequence[float] | NDArray[np.bool_]) -> float:
    return round(float(np.mean(values)), 5)


def confusion(pictures: Sequence[Picture], outputs: NDArray[np.generic], labels: Sequence[str]) -> Document:
    """Rows are true classes, columns what the network called loudest, counted over pictures."""
    table = np.zeros((len(labels), len(labels)), dtype=int)
    for each, row in zip(pictures, outputs, strict=True):
        table[labels.index(each.label), int(np.argmax(row))] += 1
    return {"labels": list(labels), "rows": table.tolist()}


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 5)
