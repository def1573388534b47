"""What would have to change for the verdict to change: flaws moved onto good parts, and painted over on bad ones.

Good and defective parts are seldom photographed alike, and a network that learns the difference in light passes every
test on such pictures. A good part with a real flaw on it, and a defective one without, leave it nothing but the flaw.
All of this happens on registered parts: unrolled, where a row shows the same place of the part all the way round, or
on a template, where every good part shows the same at the same place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.bundle import ring
from trainer.augment import Image
from trainer.layout import Layout

Floats = NDArray[np.float32]
Mask = NDArray[np.float32]

USUAL = 99.5
"""Percentile of the differences on good parts that counts as usual at a row."""
CALMEST = 0.04
SURE = 97.0
"""Percentile of the loudest places on good parts above which a place is surely a flaw."""
PLACE_PX = 1.5
"""How far what good parts differ by at a place counts for its neighbours, too."""
FINE_PX = 6.0
"""Reach along the row of what a small flaw is compared with: light that varies slowly would hide it."""
EDGE = 0.45
"""Share of its peak down to which a flaw reaches."""
MARGIN = 7
"""Pixels around a flaw that its patch holds: for its soft edge, and to see what lies beside it."""
OFFERS = 32
LIBERAL = 0.55
"""Share of what is surely a flaw from which on a place is painted over: rather one too many than one left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """What differs on good parts, at two scales: against the row, and against what is close by in the row."""

    layout: Layout
    sure: tuple[Floats, Floats]
    """What is surely a flaw at each row (or place), in relative brightness, at either scale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """One place on an unrolled part that differs too much."""

    top: int
    left: int
    """Where its patch begins; a patch may run over the strip's end into its beginning."""
    mask: Mask
    """The patch: what belongs to the flaw, 0 to 1 with a soft edge."""
    peak: float
    """How much it differs, in units of what is surely a flaw."""

    def rows(self, drop: int = 0) -> slice:
        """The patch's rows in a strip, moved down by `drop`."""
        return slice(self.top + drop, self.top + drop + self.mask.shape[0])

    def columns(self, width: int, turn: int = 0) -> NDArray[np.int64]:
        """The patch's columns in a strip, turned by `turn`."""
        return (self.left + turn + np.arange(self.mask.shape[1])) % width


def usual(good: Sequence[Image], layout: Layout) -> Usual:
    """Measure good parts; `(height, width)` uint8 as `laid` gives them."""
    scales = list(zip(*(_scales(layout.difference(each), layout) for each in good), strict=True))
    return Usual(layout=layout, sure=(_sure(scales[0], layout), _sure(scales[1], layout)))


def _sure(differences: Sequence[Floats], layout: Layout) -> Floats:
    """Per row (or place), what hardly any good part exceeds anywhere."""
    if layout.wraps:
        rows = np.stack([np.percentile(np.abs(each), USUAL, axis=1) for each in differences])
        calm = cv2.GaussianBlur(np.median(rows, axis=0).astype(np.float32)[:, None], (1, 5), 1.0)
    else:
        off = np.abs(np.stack(differences))
        calm = cv2.GaussianBlur(off.mean(axis=0) + 2 * off.std(axis=0), (0, 0), PLACE_PX)
    scale = np.maximum(calm, CALMEST)
    loudest = [float(_smooth(np.abs(each) / scale, layout).max()) for each in differences]
    return np.asarray(scale * np.float32(max(1.5, float(np.percentile(loudest, SURE)))), dtype=np.float32)


def flaws(strip: Image, level: Usual, share: float = 1.0) -> list[Flaw]:
    """The places that differ by more than `share` of what is sure, loudest first."""
    layout = level.layout
    pairs = zip(_scales(layout.difference(strip), layout), level.sure, strict=True)
    loud = np.maximum(*(_smooth(np.abs(each) / sure, layout) for each, sure in pairs))
    shift = int(np.argmin(loud.max(axis=0))) if layout.wraps else 0
    turned = np.roll(loud, -shift, axis=1)
    found = []
    _, parts = cv2.connectedComponents((turned > EDGE * share).astype(np.uint8))
    for number in np.unique(parts[turned >= share]):
        inside = parts == number
        found.append(_patch(inside, shift, 7, float(turned[inside].max())))
    return sorted(found, key=lambda each: -each.peak)


def given(mask: Mask, layout: Layout) -> list[Flaw]:
    """The flaws of a mask that was given, 0 to 1, laid out as its part; largest first. All of them are sure."""
    shift = int(np.argmin(mask.max(axis=0))) if layout.wraps else 0
    _, parts = cv2.connectedComponents((np.roll(mask, -shift, axis=1) > 0.4).astype(np.uint8))
    places = [parts == number for number in range(1, int(parts.max()) + 1)]
    return [_patch(each, shift, 3, 1.0) for each in sorted(places, key=lambda each: -int(each.sum()))]


def _patch(inside: NDArray[np.bool_], shift: int, edge_px: int, peak: float) -> Flaw:
    """A flaw from the places it covers on a strip that was turned back by `shift`, with a soft edge around it."""
    height, width = inside.shape
    down, across = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    rows = slice(max(0, down[0] - MARGIN), min(height, down[-1] + 1 + MARGIN))
    columns = slice(max(0, across[0] - MARGIN), min(width, across[-1] + 1 + MARGIN))
    round_edge = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (edge_px, edge_px))
    mask = cv2.GaussianBlur(cv2.dilate(inside[rows, columns].astype(np.float32), round_edge), (0, 0), 1.0)
    left = (int(columns.start) + shift) % width
    return Flaw(top=int(rows.start), left=left, mask=np.asarray(mask, dtype=np.float32), peak=peak)


def transplanted(
    good: Image, donor: Image, taken: Sequence[Flaw], layout: Layout, random: np.random.Generator
) -> tuple[Image, Mask]:
    """The good part with the donor's flaws at like places (any angle of the same rows), and where they are."""
    theirs, (light, mine) = layout.difference(donor), _split(good, layout)
    height, width = good.shape
    where = np.zeros(good.shape, np.float32)
    for flaw in taken:
        step = slice(None, None, -1 if random.random() < 0.5 else 1)
        drop = int(np.clip(random.integers(-1, 2), -flaw.top, height - flaw.top - flaw.mask.shape[0]))
        turn = layout.turn(flaw.left, flaw.mask.shape[1], width, random)
        here, there = flaw.columns(width, turn), flaw.columns(width)
        mask, change = flaw.mask[:, step], theirs[flaw.rows()][:, there[step]]
        mine[flaw.rows(drop), here] += mask * (change - mine[flaw.rows(drop), here])
        where[flaw.rows(drop), here] = np.maximum(where[flaw.rows(drop), here], mask)
    return _lit(light, mine), where


def blank(
    good: Image, shapes: Sequence[Flaw], spare: Image, layout: Layout, random: np.random.Generator
) -> tuple[Image, Mask]:
    """The good part with places of the shapes of flaws swapped for like ones: seams, no flaw; and where.

    They are its own, from farther around, or the same ones of another good part, `spare`.
    """
    light, mine = _split(good, layout)
    theirs = mine.copy() if layout.wraps else layout.difference(spare)
    width, where = good.shape[1], np.zeros(good.shape, np.float32)
    for flaw in shapes:
        moved = [int(random.integers(width)) if layout.wraps else 0 for _ in range(2)]
        here, there = (flaw.columns(width, turn) for turn in moved)
        mine[flaw.rows(), here] += flaw.mask * (theirs[flaw.rows(), there] - mine[flaw.rows(), here])
        where[flaw.rows(), here] = np.maximum(where[flaw.rows(), here], flaw.mask)
    return _lit(light, mine), where


def covered(taken: Sequence[Flaw], shape: tuple[int, ...]) -> Mask:
    """Where flaws are on a strip of this shape, 0 to 1."""
    where = np.zeros(shape[:2], np.float32)
    for flaw in taken:
        columns = flaw.columns(shape[1])
        where[flaw.rows(), columns] = np.maximum(where[flaw.rows(), columns], flaw.mask)
    return where


def healed(strip: Image, taken: Sequence[Flaw], spare: Image, layout: Layout, random: np.random.Generator) -> Image:
    """The part with these flaws painted over from like places, its own or, where none is clean, a good part's."""
    light, mine = _split(strip, layout)
    width, theirs = strip.shape[1], layout.difference(spare)
    spoilt = covered(taken, strip.shape) > 0.02
    for flaw in taken:
        here, rows = flaw.columns(width), flaw.rows()
        before = mine[rows, here]
        rim = ~spoilt[rows, here]
        offers = np.stack([flaw.columns(width, int(turn)) for turn in layout.turns(width, random)[:OFFERS]])
        clean = ~spoilt[rows][:, offers].any(axis=(0, 2))
        patches = mine[rows][:, offers[clean]] if clean.any() else theirs[rows][:, offers]
        off = (np.abs(patches - before[:, None]) * rim[:, None]).sum(axis=(0, 2))
        mine[rows, here] += flaw.mask * (patches[:, int(np.argmin(off))] - before)
    return _lit(light, mine)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A defective part's two counterfactuals."""

    healed: Image
    transplanted: Image
    levels: int
    """How much the transplanted flaw changes the good part, in grey levels at its peak."""


def pair(
    donor: Image,
    good: Sequence[Image],
    level: Usual,
    random: np.random.Generator,
    known: Sequence[Flaw] | None = None,
) -> Pair | None:
    """Heal a defective part, and move its loudest flaw onto one of the good ones; None where no flaw is sure.

    `known` are its flaws, where somebody has marked them.
    """
    maybe = flaws(donor, level, LIBERAL) if known is None else known
    if not maybe or maybe[0].peak < 1.0:
        return None
    whole = good[int(random.integers(len(good)))]
    spoilt, _ = transplanted(whole, donor, maybe[:1], level.layout, random)
    clean = healed(donor, maybe, whole, level.layout, random)
    return Pair(healed=clean, transplanted=spoilt, levels=contrast(whole, spoilt))


def contrast(before: Image, after: Image) -> int:
    """The largest change between two strips, in grey levels."""
    return int(np.abs(before.astype(np.int16) - after.astype(np.int16)).max())


def _scales(difference: Floats, layout: Layout) -> tuple[Floats, Floats]:
    """The difference from what is expected, and from what is close by: along the row, or all around."""
    reach = round(3 * FINE_PX)
    across = 0.01 if layout.wraps else FINE_PX
    padded = layout.padded(difference, reach)
    size = (2 * reach + 1, 1 if layout.wraps else 2 * reach + 1)
    close = cv2.GaussianBlur(padded, size, sigmaX=FINE_PX, sigmaY=across)[:, reach:-reach]
    return difference, np.asarray(difference - close, dtype=np.float32)


def _smooth(loud: Floats, layout: Layout) -> Floats:
    return np.asarray(cv2.GaussianBlur(layout.padded(loud, 4), (0, 0), 0.7)[:, 4:-4], dtype=np.float32)


def _split(strip: Image, layout: Layout) -> tuple[Floats, Floats]:
    """Logarithm of the light that is expected, and the difference from it."""
    mine = layout.difference(strip)
    return np.log(strip.astype(np.float32) + np.float32(ring.DARK)) - mine, mine


def _lit(light: Floats, difference: Floats) -> Image:
    return np.asarray(np.clip(np.exp(light + difference) - ring.DARK + 0.5, 0, 255), dtype=np.uint8)
