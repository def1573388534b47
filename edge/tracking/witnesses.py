"""Parts that are known to lie on the belt tell how far it went, whatever else moves over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from edge.tracking.motion import Profiles

Costs = NDArray[np.floating]

MARGIN = 2
"""So many pixels of belt on either side belong to what a part is known by."""
INSIDE = 0.6
"""So much of a part must be in the picture to be found there."""
CRISP = 0.35
"""A part lies where it leaves less than this share of what it leaves elsewhere, in the middle of all places."""
DULL = 3.0
"""Where it leaves fewer grey levels than this elsewhere, it has nothing to know its place by."""
AROUND, OFF_PX, THERE = 24, 4, 0.7
"""What rides is looked for so many pixels around its place, found no farther from it than that, and leaves less than
this share of what it leaves around."""
AGREE_PX = 1.5
"""Parts that ride together have gone equally far, but for so many pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """What a part that surely lay on the belt looked like along it, and where, in small pixels."""

    rows: NDArray[np.intp]
    """Of the profile."""
    column: int
    seen: Profiles
    """Those rows, from that column on."""
    position: float
    """Of the belt then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry:
    """What can be asked when the picture as a whole leaves a doubt how far the belt went."""

    witnesses: Sequence[Witness] = ()
    position: float = 0.0
    """Of the belt at the look before, in small pixels."""
    disturbed: bool = False
    """Whether something lies over the belt that does not go with it."""


def witness_of(
    profile: Profiles, bands: int, rows: tuple[float, float], columns: tuple[float, float], position: float
) -> Witness | None:
    """What a profile shows of a part; `rows` in bands. `None` when too little of it is in the picture."""
    first, last = min(int(rows[0]), bands - 1), min(bands, int(-(-rows[1] // 1)))  # the last rows may be in no band
    own = np.arange(first, max(first + 1, last))
    own = (own[None, :] + np.arange(0, profile.shape[0], bands)[:, None]).ravel()
    left, right = max(0, round(columns[0]) - MARGIN), min(profile.shape[1], round(columns[1]) + MARGIN)
    if right - left < 2 * MARGIN + 2:
        return None
    return Witness(rows=own, column=left, seen=profile[own, left:right].copy(), position=position)


def moved(inquiry: Inquiry, now: Profiles, steps: NDArray[np.intp]) -> tuple[float | None, bool]:
    """How far the belt went since the look before, one of `steps` or between, `None` if nobody can tell; and whether
    something lies over the belt: a part that must be in the picture is not to be seen."""
    found, hidden = [], False
    for each in inquiry.witnesses:
        went = inquiry.position - each.position
        whole = round(went)
        costs = _costs(each, now, steps + whole)
        heard = costs[np.isfinite(costs)]
        if 2 * len(heard) < len(costs):
            continue
        best, usual = int(np.argmin(costs)), median(heard.tolist())
        if usual > DULL and costs[best] < CRISP * usual and 0 < best < len(steps) - 1:
            found.append(steps[best] + vertex(costs, steps, best) + whole - went)
        else:
            hidden |= costs[best] > THERE * usual and float(np.abs(each.seen).mean()) > DULL
    disturbed = inquiry.disturbed or (hidden and not found)
    if not found:
        return None, disturbed
    middle = median(found)
    agree = sum(abs(each - middle) <= AGREE_PX for each in found)
    return (float(middle) if 2 * agree > len(found) else None), disturbed


def is_there(each: Witness, now: Profiles, position: float) -> bool:
    """Whether what is seen goes with the belt, which is at `position` now: it is found there rather than beside."""
    around = np.arange(-AROUND, AROUND + 1)
    costs = _costs(each, now, around + round(position - each.position))
    heard = costs[np.isfinite(costs)]
    if not len(heard):
        return False
    best = int(np.argmin(costs))
    return bool(abs(around[best]) <= OFF_PX and costs[best] < THERE * median(heard.tolist()))


def shows(each: Witness, now: Profiles, position: float) -> float:
    """How much stands out in its place, as a share of what it showed; 1 where its place is out of the picture."""
    first = each.column + round(position - each.position)
    there = now[each.rows, max(0, first) : max(0, first + each.seen.shape[1])]
    if not there.size:
        return 1.0
    here = float(np.abs(there).mean())
    return here / max(1e-6, float(np.abs(each.seen).mean()))


def _costs(each: Witness, now: Profiles, shifts: NDArray[np.intp]) -> Costs:
    """For each shift the mean difference between what the part looked like and what lies there; infinite: it is out."""
    places = np.arange(each.column, each.column + each.seen.shape[1]) + shifts[:, None]
    inside = (places >= 0) & (places < now.shape[1])
    there = now[each.rows].take(places, axis=1, mode="clip")
    wrong = (np.abs(there - each.seen[:, None, :]) * inside).sum(axis=(0, 2))
    count = inside.sum(axis=1)
    return np.where(count >= INSIDE * places.shape[1], wrong / np.maximum(1, count * len(each.rows)), np.inf)


def vertex(costs: Costs, shifts: NDArray[np.intp], best: int) -> float:
    """The lowest point of the parabola through a minimum and its neighbours, -0.5 to 0.5."""
    if not 0 < best < len(costs) - 1 or shifts[best + 1] - shifts[best - 1] != 2:
        return 0.0
    left, middle, right = (float(costs[best + i]) for i in (-1, 0, 1))
    bend = left - 2 * middle + right
    return min(0.5, max(-0.5, 0.5 * (left - right) / bend)) if 0 < bend < np.inf else 0.0
