"""How far the belt moves: learned from what changes, so that whatever stands still cannot speak."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.domain import Image

Profiles = NDArray[np.float32]
"""`(bands, along)`: the mean gray of each band of the belt, along the travel axis."""

BANDS = 12
LAGS = (1, 2, 4)


def profiles(small: Image) -> Profiles:
    """Average across the belt within bands: what is left is quick to shift and compare along it."""
    height, width = small.shape
    band = max(1, height // BANDS)
    rows = height // band
    sums = small[: rows * band].reshape(rows, band, width).mean(axis=1, dtype=np.float32)
    return np.asarray(sums, dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What the changes say about the motion along one axis."""

    speed: float
    """Small pixels per frame, signed."""
    score: float
    """How well shifting explains the changes: about 0 for chance, towards 1 for a clean belt."""
    margin: float
    """How much better than the best speed of the other sign."""


def learn(history: list[Profiles], noise: float = 1.5) -> Learned:
    """Phase-correlate successive temporal differences over several lags and sum: static scenery cancels."""
    along = history[0].shape[1]
    size = cv2.getOptimalDFTSize(2 * along)
    speeds = np.arange(-along * 0.45, along * 0.45 + 0.1, 0.25)
    total = np.zeros(speeds.shape)
    used = 0
    for lag in LAGS:
        correlation, energy = _correlation(history, lag, size, noise)
        if energy <= 0:
            continue
        shifts = speeds * lag
        inside = np.abs(shifts) < along * 0.9
        values = np.interp(shifts, np.arange(-(size // 2), size - size // 2), correlation / energy)
        total += np.where(inside, values, 0.0)
        used += 1
    if not used:
        return Learned(speed=0.0, score=0.0, margin=0.0)
    total /= used
    total[np.abs(speeds) < 0.3] = 0
    best = int(np.argmax(total))
    other = total[np.sign(speeds) == -np.sign(speeds[best])]
    return Learned(
        speed=float(speeds[best]), score=float(total[best]), margin=float(total[best] - max(0.0, other.max()))
    )


def _correlation(history: list[Profiles], lag: int, size: int, noise: float) -> tuple[NDArray[np.float64], float]:
    changes = [_changed(history[i] - history[i - lag], noise) for i in range(lag, len(history))]
    spectra = [np.fft.rfft(each, size) for each in changes]
    energies = [float((each * each).sum()) for each in changes]
    total = np.zeros(size // 2 + 1, dtype=complex)
    energy = 0.0
    for i in range(lag, len(changes)):
        total += (spectra[i] * np.conj(spectra[i - lag])).sum(axis=0)
        energy += np.sqrt(energies[i] * energies[i - lag])
    return np.fft.fftshift(np.fft.irfft(total, size)), energy


def _changed(change: Profiles, noise: float) -> Profiles:
    change = change - np.median(change, axis=1, keepdims=True)
    return np.where(np.abs(change) > 3 * noise, change, np.float32(0))


def displacement(before: Profiles, now: Profiles, expected: float, reach: float) -> tuple[float, float]:
    """How far `before` must be shifted to explain `now`, within `reach` of `expected`; and how sure that is.

    Both are profiles with the empty belt taken off. Only what changed is compared.
    Sureness is 0 when nothing changed, towards 1 when the shift explains all of it.
    """
    changed = np.abs(now - before) > 4.0
    if changed.sum() < 6:
        return 0.0, 0.0
    columns = np.flatnonzero(changed.any(axis=0))
    low = int(np.floor(expected - reach))
    shifts = np.arange(low, int(np.ceil(expected + reach)) + 1)
    weights = changed[:, columns].astype(np.float32)
    sources = columns[None, :] - shifts[:, None]
    visible = (sources >= 0) & (sources < now.shape[1])
    shifted = before[:, np.clip(sources, 0, now.shape[1] - 1)]
    wrong = np.abs(now[:, columns][:, None, :] - shifted) * weights[:, None, :]
    counts = (weights[:, None, :] * visible).sum(axis=(0, 2))
    costs = (wrong * visible).sum(axis=(0, 2)) / np.maximum(counts, 1)
    costs[counts < 0.3 * weights.sum()] = np.inf
    best = int(np.argmin(costs))
    still = float((np.abs(now - before) * changed).sum() / changed.sum())
    if not np.isfinite(costs[best]) or still <= 0:
        return 0.0, 0.0
    return float(shifts[best]) + _vertex(costs, best), max(0.0, 1.0 - float(costs[best]) / still)


def _vertex(costs: NDArray[np.floating], best: int) -> float:
    """The lowest point of the parabola through a minimum and its neighbours, -0.5 to 0.5."""
    if not 0 < best < len(costs) - 1 or not np.isfinite(costs[best - 1 : best + 2]).all():
        return 0.0
    left, middle, right = (float(costs[best + i]) for i in (-1, 0, 1))
    bend = left - 2 * middle + right
    return 0.0 if bend <= 0 else float(np.clip(0.5 * (left - right) / bend, -0.5, 0.5))
