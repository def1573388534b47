"""Whether nearly all pictures show one ring that the part's structure runs around, and which: measured, not asked."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.bundle import Ring, Unregistered
from edge.bundle import ring as rings
from trainer.augment import Image

LEVELS = (0.1, 0.16, 0.22, 0.3, 0.4, 0.5, 0.6, 0.7)
WIDEST = (0.12, 0.48)
ENOUGH = 0.98
"""Share of the pictures that must be registered; fewer, and the data are taken as they are."""
STRAIGHT = 0.85
"""Share of a strip's structure that runs along its rows; less, and the part is round but has no rings."""
TRIED = 48
SPREAD = 1.35
RIM_FROM, RIM_TO = 1.2, 2.4
STEEP = 4.0
"""Grey levels per sample of the radius that make an edge worth fitting."""
INMOST = 0.05


def choose(pictures: Sequence[Image], seed: int) -> tuple[Ring | None, str]:
    """The ring that nearly all of these gray pictures show, or None, and the reason in words."""
    random = np.random.default_rng(seed)
    some = [pictures[i] for i in random.permutation(len(pictures))]
    candidates = [each for inside in ("dark", "bright") if (each := _coarse(some[:TRIED], inside)) is not None]
    fitting = [each for each in candidates if found(some[:TRIED], each) >= ENOUGH]
    outlined = [_with_rim(some[:TRIED], each) for each in fitting]
    lasting = [(straight(some[:TRIED], each), each) for each in outlined if found(some, each) >= ENOUGH]
    best = max(lasting, key=lambda each: each[0], default=None)
    if best is None:
        return None, f"fewer than {100 * ENOUGH:.0f} % of the pictures show one ring"
    said = f"{100 * best[0]:.0f} % of the structure runs around it"
    if best[0] < STRAIGHT:
        return None, f"there is a ring, but only {said} (needed: {100 * STRAIGHT:.0f} %)"
    return best[1], f"nearly all pictures show a ring, and {said}"


def found(pictures: Sequence[Image], ring: Ring) -> float:
    """The share of the pictures in which the ring is found."""
    return float(np.mean([_shows(each, ring) for each in pictures]))


def _shows(picture: Image, ring: Ring) -> bool:
    try:
        rings.find(picture, ring)
    except Unregistered:
        return False
    return True


def straight(pictures: Iterable[Image], ring: Ring) -> float:
    """How much of the structure in the unrolled pictures runs along the rows, 0 to 1."""
    shares = []
    for each in pictures:
        try:
            strip = rings.straighten(each, rings.find(each, ring), ring, 64, 256 + 2 * rings.WRAP_PX)
        except Unregistered:
            continue
        left = rings.relative(strip).astype(np.float64)
        shares.append(1 - left.var() / max(float(np.log(strip + rings.DARK).var()), 1e-6))
    return float(np.median(shares)) if shares else 0.0


def _coarse(pictures: Sequence[Image], inside: str) -> Ring | None:
    """The level and the radius at which most pictures show a whole ellipse."""
    wide = Ring(inside=inside, levels=LEVELS, radius=WIDEST, rim=0.0, rim_rises=False, inner=0.1, outer=1.1)
    hits = [_hits(each, wide) for each in pictures]
    radii = np.array([radius for each in hits for _, radius in each])
    if not len(radii):
        return None

    def share(middle: float, level: float | None = None) -> float:
        low, high = middle / np.sqrt(SPREAD), middle * np.sqrt(SPREAD)
        return float(np.mean([any(low <= r <= high and level in (None, at) for at, r in each) for each in hits]))

    grid = np.geomspace(*WIDEST, 40)
    shares = np.array([share(each) for each in grid])
    # Of rings that are found equally often the largest explains most of the part.
    middle = float(grid[np.flatnonzero(shares >= shares.max() - 0.01)[-1]])
    near = radii[(radii > middle / SPREAD) & (radii < middle * SPREAD)]
    middle = float(np.median(near))
    levels = sorted(LEVELS, key=lambda level: -share(middle, level))[:4]
    radius = (round(middle / SPREAD, 4), round(min(0.5, middle * SPREAD), 4))
    return dataclasses.replace(wide, levels=tuple(levels), radius=radius)


def _hits(picture: Image, wide: Ring) -> list[tuple[float, float]]:
    """`(level, radius)` of every whole ellipse in a picture."""
    small = _small(picture)
    low, high = np.percentile(small[::2, ::2], [1, 97])
    hits = []
    for level in wide.levels:
        for outline in rings._outlines(small, low + level * (high - low), wide):
            fitted = rings._ellipse(outline)
            if fitted is not None and fitted[0] >= 0.9:
                hits.append((level, float(np.sqrt(np.linalg.det(fitted[2]))) / min(small.shape)))
    return hits


def _small(picture: Image) -> Image:
    height, width = picture.shape
    scale = rings.SIDE_PX / min(height, width)
    size = (round(width * scale), round(height * scale))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8) if scale < 1 else picture


def _with_rim(pictures: Sequence[Image], ring: Ring) -> Ring:
    """The ring with the strongest edge around it, when that is found as surely; else the ring and what it holds."""
    alone = dataclasses.replace(ring, inner=INMOST, outer=1.08)
    profile, reach = _profile(pictures, ring)
    for at in _peaks(profile, reach):
        rim = float(reach[at])
        tried = dataclasses.replace(ring, rim=round(rim, 4), rim_rises=bool(profile[at] > 0))
        if found(pictures, tried) >= ENOUGH:
            # A little of what lies beyond both edges: chips are there.
            return dataclasses.replace(tried, inner=0.95, outer=round(1.07 * rim, 4))
    return alone


def _peaks(profile: NDArray[np.float64], reach: NDArray[np.float64]) -> list[int]:
    """Where the profile has an edge worth fitting, outermost first."""
    steep = np.abs(profile)
    inside = np.arange(1, len(steep) - 1)
    allowed = (reach[inside] >= RIM_FROM) & (reach[inside] <= RIM_TO)
    peak = allowed & (steep[inside] >= steep[inside - 1]) & (steep[inside] > steep[inside + 1])
    if not peak.any():
        return []
    least = max(STEEP, 0.5 * float(steep[inside[peak]].max()))
    return [int(i) for i in inside[peak][::-1] if steep[i] >= least]


def _profile(pictures: Sequence[Image], ring: Ring) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The usual slope of brightness at each radius, and the radii."""
    far = dataclasses.replace(ring, rim=RIM_TO)
    slopes = []
    for each in pictures:
        small = _small(each)
        try:
            center, axes = rings._coarse(small, ring)
        except Unregistered:
            continue
        slopes.append(np.median(rings._rays(small, center, axes, far), axis=0))
    mean = np.mean(slopes, axis=0).astype(np.float64)
    return mean, 0.5 + rings.STEP * np.arange(len(mean))
