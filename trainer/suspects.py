"""Labels that a person should look at again: pictures whose nearest relatives, near-copies aside, all say otherwise."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

NEIGHBOURS = 7
DOUBT = 0.85
SIDE_PX = 24


def describe(gray: NDArray[np.uint8]) -> Floats:
    """A picture as one row of numbers that a turn by a quarter and other light hardly change."""
    small = cv2.resize(gray, (2 * SIDE_PX, 2 * SIDE_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    small -= cv2.GaussianBlur(small, (0, 0), SIDE_PX / 3)
    small /= float(small.std()) + 4.0
    turns = [np.rot90(small, turn) for turn in range(4)]
    even = np.mean([*turns, *(turn[:, ::-1] for turn in turns)], axis=0)
    strength = np.sort(np.abs(small).reshape(SIDE_PX, 2, SIDE_PX, 2).max(axis=(1, 3)).ravel())[::-1][: 4 * SIDE_PX]
    row = np.concatenate([cv2.resize(even, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA).ravel(), 0.5 * strength])
    return np.asarray(row, dtype=np.float32)


def doubts(rows: Floats, labels: Sequence[str], groups: Sequence[str]) -> Floats:
    """For each picture the share of its nearest pictures of other parts that carry another label, 0 to 1."""
    names, parts = np.array(labels), np.array(groups)
    usual = {name: float(np.mean(names == name)) for name in set(labels)}
    lengths = (rows**2).sum(axis=1)
    found = np.zeros(len(rows), np.float32)
    for index, row in enumerate(rows):
        away = lengths - 2 * (rows @ row)
        away[parts == parts[index]] = np.inf
        count = min(NEIGHBOURS, int(np.isfinite(away).sum()))
        if not count:
            continue
        nearest = np.argpartition(away, count - 1)[:count]
        # A rare label always has strangers around it: a neighbour counts by how rare its own label is.
        weights = np.array([1 / usual[name] for name in names[nearest]])
        found[index] = float(weights[names[nearest] != names[index]].sum() / weights.sum())
    return found
