"""What every possible cut would have done, and whether a score of 0.9 means nine of ten."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from trainer.limits import Limits
from trainer.measure import auroc

Floats = NDArray[np.float64]
Document = dict[str, Any]

POINTS = 101
BINS = 10


def assess(steps: Floats, defective: NDArray[np.bool_], limits: Limits, scale: float) -> Document:
    """ROC, precision-recall and reliability of the evidence `steps` (in int8 steps of `scale`) of parts or pictures."""
    if defective.all() or not defective.any():
        return {"roc": [], "pr": [], "auroc": None, "average_precision": None, "calibration": None}
    points, precision = _sweep(steps, defective)
    area = auroc(steps, defective)
    return {
        "roc": _thinned(points[:, [0, 1]]),
        "pr": _thinned(points[1:, [1, 2]]),
        "auroc": None if area is None else round(area, 5),
        "average_precision": round(precision, 5),
        "calibration": calibration(shown_score(steps, limits, scale), defective),
    }


def shown_score(steps: Floats, limits: Limits, scale: float) -> Floats:
    """The probability that the device writes into a verdict for this evidence."""
    return np.asarray(expit(np.clip(steps * scale / limits.temperature, -60, 60)), dtype=np.float64)


def calibration(score: Floats, defective: NDArray[np.bool_], bins: int = BINS) -> Document:
    """Reliability in equal bins of the score, the expected calibration error (Naeini and others, 2015), and Brier's."""
    place = np.minimum((score * bins).astype(int), bins - 1)
    rows = []
    for each in range(bins):
        mine = place == each
        if mine.any():
            said, true = float(score[mine].mean()), float(defective[mine].mean())
            rows.append({"said": round(said, 4), "true": round(true, 4), "count": int(mine.sum())})
    error = sum(row["count"] * abs(row["said"] - row["true"]) for row in rows) / len(score)
    return {"ece": round(error, 4), "brier": round(float(np.mean((score - defective) ** 2)), 4), "bins": rows}


def _sweep(steps: Floats, defective: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
    """Rows `(false alarms, recall, precision)` from flagging nothing to flagging all; the average precision."""
    order = np.argsort(-steps, kind="stable")
    last = np.append(np.flatnonzero(np.diff(steps[order])), len(order) - 1)
    caught = np.cumsum(defective[order])[last]
    spoilt = np.cumsum(~defective[order])[last]
    recall, alarms, precision = caught / defective.sum(), spoilt / (~defective).sum(), caught / (caught + spoilt)
    average = float(np.sum(np.diff(recall, prepend=0.0) * precision))
    return np.vstack([[0.0, 0.0, 1.0], np.column_stack([alarms, recall, precision])]), average


def _thinned(points: NDArray[np.float64]) -> list[list[float]]:
    keep = np.unique(np.linspace(0, len(points) - 1, min(POINTS, len(points))).round().astype(int))
    return [[round(float(x), 4), round(float(y), 4)] for x, y in points[keep]]
