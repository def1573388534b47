"""How far the belt moves: learned from what changes, so that whatever stands still cannot speak."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.domain import Image

Profiles = NDArray[np.float32]
"""`(bands, along)`: the mean gray of each band of the belt, along the travel axis."""
Floats = NDArray[np.float64]
Spectrum = NDArray[np.complex128]

BANDS = 12
LAGS = (1, 2, 4)
FADE = 0.96
"""What was heard fades by this per look: about 25 looks decide how the belt runs."""
NOTICED = 4.5
"""A band has changed when it changed by more grey levels than this (a mean over many pixels hardly flickers)."""
SLOWEST = 0.3
"""Speeds below this, in small pixels per frame, are not told from standing still while learning."""


def profiles(planes: Sequence[Image]) -> Profiles:
    """Average across the belt within bands of each plane: what is left is quick to shift and compare along it."""
    return np.concatenate([_banded(plane) for plane in planes])


def _banded(plane: Image) -> Profiles:
    height, along = plane.shape
    bands = min(BANDS, height)
    rows = height // bands
    stacked = plane[: bands * rows].reshape(bands, rows, along)
    sums = stacked.sum(axis=1, dtype=np.uint16 if rows <= 257 else np.uint32)  # the smaller is twice as quick
    return np.asarray(sums / np.float32(rows), dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What the changes say about the motion along one axis."""

    speed: float
    """Small pixels per frame, signed."""
    score: float
    """How well shifting explains the changes: about 0 for chance, towards 1 for a clean belt."""
    margin: float
    """How much better than the best speed of the other sign."""
    against: float
    """The speed of bands that clearly go the other way, signed; 0 where there are none."""


class Listener:
    """Phase-correlates successive temporal differences over several lags and sums: static scenery cancels."""

    def __init__(self) -> None:
        self.heard = 0
        """Looks in which something moved; silence confirms nothing."""
        self._recent: deque[Profiles] = deque(maxlen=2 * max(LAGS) + 1)
        self._changes: dict[int, deque[tuple[Spectrum | None, Floats]]] = {lag: deque(maxlen=lag + 1) for lag in LAGS}
        self._sums: dict[int, Spectrum] = {}
        self._energies: dict[int, Floats] = {}

    def hear(self, profile: Profiles) -> None:
        """Take the profile of one more look."""
        self._recent.append(profile)
        size = _fft_size(profile)
        for lag in LAGS:
            if len(self._recent) <= lag:
                continue
            change = _changed(profile - self._recent[-1 - lag])
            energy: Floats = np.asarray((change * change).sum(axis=1), dtype=np.float64)
            changes = self._changes[lag]
            changes.append((np.fft.rfft(change, size) if energy.any() else None, energy))
            self._add(lag, changes, profile.shape[0], size)

    def _add(self, lag: int, changes: deque[tuple[Spectrum | None, Floats]], bands: int, size: int) -> None:
        if lag not in self._sums:
            self._sums[lag] = np.zeros((bands, size // 2 + 1), dtype=np.complex128)
            self._energies[lag] = np.zeros(bands)
        self._sums[lag] *= FADE
        self._energies[lag] *= FADE
        if len(changes) == lag + 1:
            (before, its_energy), (now, energy) = changes[0], changes[-1]
            if before is not None and now is not None:
                self._sums[lag] += now * np.conj(before)
                self._energies[lag] += np.sqrt(energy * its_energy)
                self.heard += lag == LAGS[0]

    def learned(self) -> Learned:
        """What the changes so far say."""
        if not self._sums or sum(each.sum() for each in self._energies.values()) < 1:
            return STILL
        along = self._recent[-1].shape[1]
        size = _fft_size(self._recent[-1])
        speeds = np.arange(-0.45 * along, 0.45 * along + 0.1, 0.25)
        total: Floats = np.zeros((self._recent[-1].shape[0], len(speeds)))
        for lag, spectrum in self._sums.items():
            correlation = np.fft.fftshift(np.fft.irfft(spectrum, size), axes=1)
            shifts = speeds * lag
            near = np.abs(shifts) < 0.9 * along
            total[:, near] += _between(correlation, shifts[near], size // 2)
        weight: Floats = np.asarray(sum(self._energies.values()), dtype=np.float64)
        return _best(total, weight, np.asarray(speeds, dtype=np.float64))


PAIRS, FAR_ENOUGH_PX = 24, 4.0
"""So many pairs of looks, between which the belt moved at least so far, tell which rows go with it."""
CLEAR = 12.0
"""A pixel has changed clearly when it changed by more grey levels than this."""


def carried(looks: Sequence[Image], times: Sequence[float], speed: float) -> NDArray[np.float32]:
    """For each row of `(across, along)` looks how well `speed` (small pixels per second) explains what changed there.

    1: entirely. 0 or less: no better than standing still, as where nothing moves, or where scenery shakes.
    """
    changed, wrong = np.zeros(looks[0].shape[0]), np.zeros(looks[0].shape[0])
    for first, second, shift in _pairs(times, speed, looks[0].shape[1]):
        before, after = looks[first], looks[second]
        here, there = (after[:, shift:], before[:, :-shift]) if shift > 0 else (after[:, :shift], before[:, -shift:])
        was = before[:, shift:] if shift > 0 else before[:, :shift]
        still = cv2.threshold(cv2.absdiff(here, was), CLEAR, 0, cv2.THRESH_TOZERO)[1]
        changed += _row_sums(still)
        wrong += _row_sums(cv2.min(cv2.absdiff(here, there), cv2.add(still, still)))
    return np.asarray((changed - wrong) / np.maximum(changed, looks[0].shape[1] / 8), dtype=np.float32)


def _row_sums(picture: NDArray[Any]) -> Floats:
    return np.asarray(cv2.reduce(picture, 1, cv2.REDUCE_SUM, dtype=cv2.CV_64F)[:, 0], dtype=np.float64)


def _pairs(times: Sequence[float], speed: float, along: int) -> list[tuple[int, int, int]]:
    """Looks `(before, after, shift)` between which the belt moved some pixels, but not out of the picture."""
    found = []
    second = 0
    for first in range(len(times)):
        second = max(second, first + 1)
        while second < len(times) and abs(speed) * (times[second] - times[first]) < FAR_ENOUGH_PX:
            second += 1
        if second < len(times):
            shift = round(speed * (times[second] - times[first]))
            if 0 < abs(shift) < 0.8 * along:
                found.append((first, second, shift))
    return found[:: max(1, len(found) // PAIRS)]


SWITCH = 6.0
"""Rows that must clearly go the other way before a stretch of them is believed to."""


def stretches(ahead: NDArray[np.float32]) -> list[tuple[int, int, bool]]:
    """Cut the rows where those that go with the belt (above 0) meet those that go the other way (below 0).

    `(first, last + 1, whether they go the other way)`; the cheapest way through the rows, where a switch costs.
    """
    cost = np.zeros(2)
    came: list[NDArray[np.intp]] = []
    for each in ahead:
        other = cost[::-1] + SWITCH
        came.append(np.where(other < cost, [1, 0], [0, 1]))
        cost = np.minimum(cost, other) + np.array([-each, each])
    ways = [int(np.argmin(cost))]
    for before in reversed(came[1:]):
        ways.append(int(before[ways[-1]]))
    ways.reverse()
    edges = [0, *(row for row in range(1, len(ways)) if ways[row] != ways[row - 1]), len(ways)]
    return [(first, last, ways[first] == 1) for first, last in pairwise(edges)]


STILL = Learned(speed=0.0, score=0.0, margin=0.0, against=0.0)


def _fft_size(profile: Profiles) -> int:
    return int(cv2.getOptimalDFTSize(2 * profile.shape[1]))


def _best(total: Floats, weight: Floats, speeds: Floats) -> Learned:
    total[:, np.abs(speeds) < SLOWEST] = 0
    best = int(np.argmax(total.sum(axis=0)))
    back = np.sign(speeds) == -np.sign(speeds[best])
    contrary = _contrary(total, weight, best, back)
    # Bands that clearly go the other way do not speak against those that go this way.
    together = total[~contrary].sum(axis=0) / weight[~contrary].sum()
    other = total[contrary].sum(axis=0) * back
    return Learned(
        speed=float(speeds[best]),
        score=float(together[best]),
        margin=float(together[best] - max(0.0, together[back].max())),
        against=float(speeds[int(np.argmax(other))]) if contrary.any() else 0.0,
    )


def _contrary(total: Floats, weight: Floats, best: int, back: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The bands that clearly go the other way; they need not go as fast."""
    own = total[:, best] / np.maximum(weight, 1e-9)
    other = total[:, back].max(axis=1) / np.maximum(weight, 1e-9)
    return np.asarray((weight > 0.02 * weight.sum()) & (other > own + 0.2) & (other > 0.3))


def _between(rows: Floats, places: Floats, middle: int) -> Floats:
    """As `np.interp` in all rows at once, at places that count from the column `middle`."""
    first = np.floor(places)
    column = first.astype(np.intp) + middle
    before = rows[:, column]
    return np.asarray((rows[:, column + 1] - before) * (places - first) + before, dtype=np.float64)


def _changed(change: Profiles) -> Profiles:
    # As `np.median`, which takes three times as long.
    ordered, along = np.sort(change, axis=1), change.shape[1]
    middle = (ordered[:, (along - 1) // 2, None] + ordered[:, along // 2, None]) / np.float32(2)
    change = np.asarray(change - middle, dtype=np.float32)
    return np.where(np.abs(change) > NOTICED, change, np.float32(0))
