"""Parts that are known to lie on the belt tell how far it went, whatever else moves over it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from edge.tracking.motion import Profiles

Costs = NDArray[np.floating]

INSIDE = 0.6
"""So much of a part must stay in the picture to be compared."""
CRISP = 0.3
"""A part lies where it leaves less than this share of what it leaves elsewhere, in the middle of all places."""
DULL = 3.0
"""Where it leaves fewer grey levels than this elsewhere, it has nothing to know its place by."""
AGREE_PX = 1.0
"""Parts that ride together have gone equally far, but for so many pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """Where a part was in the look before, in small pixels."""

    left: float
    right: float
    top: float
    bottom: float
    height: int
    """Rows of the whole look."""

    def rows(self, bands: int, count: int) -> NDArray[np.intp]:
        """Which rows of a profile of `count` rows it is in, `bands` for each plane."""
        step = self.height // bands
        first, last = int(self.top // step), min(bands, int(-(-self.bottom // step)))
        own = np.arange(first, max(first + 1, last))
        return np.asarray((own[None, :] + np.arange(0, count, bands)[:, None]).ravel(), dtype=np.intp)


@dataclass(frozen=True, slots=True, kw_only=True)
class Testimony:
    """What can be asked when the picture as a whole leaves a doubt how far the belt went."""

    parts: Sequence[Witness] = ()
    disturbed: bool = False
    """Whether something lies over the belt that does not go with it."""


def shift_of(
    witnesses: Iterable[Witness], bands: int, key: Profiles, now: Profiles, shifts: NDArray[np.intp], since_key: float
) -> float | None:
    """How far they went since `key`, of which `since_key` until the look before; `None` if none can tell.

    Nor when they disagree.
    """
    found = []
    for each in witnesses:
        costs = _costs(each, bands, key, now, shifts, since_key)
        heard = costs[np.isfinite(costs)]
        if not len(heard):
            continue
        best, usual = int(np.argmin(costs)), float(np.median(heard))
        if usual > DULL and costs[best] < CRISP * usual and 0 < best < len(shifts) - 1:
            found.append(shifts[best] + vertex(costs, shifts, best))
    if not found:
        return None
    middle = median(found)
    agree = sum(abs(each - middle) <= AGREE_PX for each in found)
    return float(middle) if 2 * agree > len(found) else None


def _costs(
    each: Witness, bands: int, key: Profiles, now: Profiles, shifts: NDArray[np.intp], since_key: float
) -> Costs:
    """For each shift the mean difference between the part in `key` and what lies there now; infinite: it is out."""
    along = key.shape[1]
    left, right = max(0, round(each.left - since_key) - 2), min(along, round(each.right - since_key) + 2)
    if right - left < 4:
        return np.full(len(shifts), np.inf)
    rows = each.rows(bands, key.shape[0])
    columns = np.arange(left, right)
    places = columns + shifts[:, None]
    inside = (places >= 0) & (places < along)
    part = key[np.ix_(rows, columns)]
    there = now[rows].take(places, axis=1, mode="clip")
    wrong = (np.abs(there - part[:, None, :]) * inside).sum(axis=(0, 2))
    share = inside.mean(axis=1)
    return np.where(share >= INSIDE, wrong / np.maximum(1, inside.sum(axis=1) * len(rows)), np.inf)


def vertex(costs: Costs, shifts: NDArray[np.intp], best: int) -> float:
    """The lowest point of the parabola through a minimum and its neighbours, -0.5 to 0.5."""
    if not 0 < best < len(costs) - 1 or shifts[best + 1] - shifts[best - 1] != 2:
        return 0.0
    left, middle, right = (float(costs[best + i]) for i in (-1, 0, 1))
    bend = left - 2 * middle + right
    return min(0.5, max(-0.5, 0.5 * (left - right) / bend)) if 0 < bend < np.inf else 0.0
