"""What would have to change for the verdict to change: flaws moved onto good parts, and painted over on bad ones.

Good and defective parts are seldom photographed alike, and a network that learns the difference in light passes every
test on such pictures. A good part with a real flaw on it, and a defective one without, leave it nothing but the flaw.
All of this happens on unrolled parts, where the same row shows the same place of the part all the way round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.bundle import ring
from trainer.augment import Image

Floats = NDArray[np.float32]
Mask = NDArray[np.float32]

USUAL = 99.5
"""Percentile of the differences on good parts that counts as usual at a row."""
CALMEST = 0.04
SURE = 97.0
"""Percentile of the loudest places on good parts above which a place is surely a flaw."""
EDGE = 0.45
"""Share of its peak down to which a flaw reaches."""
OFFERS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """What differs on good parts."""

    rows: Floats
    """Usual difference at each row, in relative brightness."""
    sure: float
    """How many times the usual a place must differ to be surely a flaw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """One place on an unrolled part that differs too much."""

    mask: Mask
    """Where it is, `(height, width)` of the strip, 0 to 1 with a soft edge."""
    peak: float
    """How many times the usual it differs."""


def usual(good: Sequence[Image]) -> Usual:
    """Measure good strips; `(height, width)` uint8 as `laid` gives them."""
    rows = np.stack([np.percentile(np.abs(_difference(each)), USUAL, axis=1) for each in good])
    scale = np.maximum(cv2.GaussianBlur(np.median(rows, axis=0).astype(np.float32)[:, None], (1, 5), 1.0), CALMEST)
    loudest = [float(_loudness(_difference(each), scale).max()) for each in good]
    return Usual(rows=scale[:, 0], sure=max(1.5, float(np.percentile(loudest, SURE))))


def flaws(strip: Image, level: Usual, share: float = 1.0) -> list[Flaw]:
    """The places that differ by more than `share` of what is sure, loudest first."""
    loud = _loudness(_difference(strip), level.rows[:, None])
    height, width = loud.shape
    shift = int(np.argmin(loud.max(axis=0)))
    turned = np.roll(loud, -shift, axis=1)
    found = []
    count, parts = cv2.connectedComponents((turned > EDGE * share * level.sure).astype(np.uint8))
    for number in range(1, count):
        inside = parts == number
        peak = float(turned[inside].max())
        if peak < share * level.sure:
            continue
        grown = cv2.dilate(inside.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7)))
        soft = cv2.GaussianBlur(grown.astype(np.float32), (0, 0), 1.0)
        found.append(Flaw(mask=np.asarray(np.roll(soft, shift, axis=1), dtype=np.float32), peak=peak))
    return sorted(found, key=lambda each: -each.peak)


def transplanted(
    good: Image, donor: Image, taken: Sequence[Flaw], random: np.random.Generator
) -> tuple[Image, Mask]:
    """The good strip with the donor's flaws at random angles of the same rows, and where they are."""
    theirs = _difference(donor)
    light, mine = _split(good)
    where = np.zeros(good.shape, np.float32)
    for flaw in taken:
        turn, mirrored, drop = int(random.integers(good.shape[1])), random.random() < 0.5, int(random.integers(-1, 2))
        mask, change = _carried(flaw.mask, turn, mirrored, drop), _carried(theirs, turn, mirrored, drop)
        mine = mine + mask * (change - mine)
        where = np.maximum(where, mask)
    return _lit(light, mine), where


def blank(good: Image, donor: Image, shapes: Sequence[Flaw], random: np.random.Generator) -> Image:
    """The good strip with places of the shapes of flaws swapped for others of its own: seams, but no flaw."""
    light, mine = _split(good)
    for flaw in shapes:
        mask = _carried(flaw.mask, int(random.integers(good.shape[1])), False, 0)
        other = np.roll(mine, int(random.integers(good.shape[1])), axis=1)
        mine = mine + mask * (other - mine)
    return _lit(light, mine)


def healed(strip: Image, taken: Sequence[Flaw], random: np.random.Generator) -> Image | None:
    """The strip with these flaws painted over from the same rows; None where no clean place is left to take from."""
    light, mine = _split(strip)
    spoilt = np.max([each.mask for each in taken], axis=0) if taken else np.zeros(strip.shape, np.float32)
    for flaw in taken:
        inside = flaw.mask > 0.02
        border = (cv2.dilate(inside.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0) & ~inside & (spoilt < 0.02)
        best, least = None, np.inf
        for turn in random.permutation(strip.shape[1])[:OFFERS]:
            if np.roll(spoilt, turn, axis=1)[inside].max() > 0.02:
                continue
            offered = np.roll(mine, turn, axis=1)
            off = float(np.abs(offered[border] - mine[border]).mean()) if border.any() else 0.0
            if off < least:
                best, least = offered, off
        if best is None:
            return None
        mine = mine + flaw.mask * (best - mine)
    return _lit(light, mine)


def contrast(before: Image, after: Image) -> int:
    """The largest change between two strips, in grey levels."""
    return int(np.abs(before.astype(np.int16) - after.astype(np.int16)).max())


def _difference(strip: Image) -> Floats:
    return ring.relative(strip)[:, ring.WRAP_PX : -ring.WRAP_PX]


def _loudness(difference: Floats, rows: Floats) -> Floats:
    padded = cv2.copyMakeBorder(np.abs(difference), 0, 0, 4, 4, cv2.BORDER_WRAP)
    return np.asarray(cv2.GaussianBlur(padded, (0, 0), 0.7)[:, 4:-4] / rows, dtype=np.float32)


def _split(strip: Image) -> tuple[Floats, Floats]:
    """Logarithm of the light around, and the difference from it."""
    mine = _difference(strip)
    return np.log(strip.astype(np.float32) + np.float32(ring.DARK)) - mine, mine


def _lit(light: Floats, difference: Floats) -> Image:
    return np.asarray(np.clip(np.exp(light + difference) - ring.DARK + 0.5, 0, 255), dtype=np.uint8)


def _carried(field: Floats, turn: int, mirrored: bool, drop: int) -> Floats:
    moved = np.roll(field[:, ::-1] if mirrored else field, turn, axis=1)
    if drop:
        moved = np.roll(moved, drop, axis=0)
        moved[0 if drop > 0 else -1] = 0
    return np.asarray(moved, dtype=np.float32)
