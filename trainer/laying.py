"""Whether good parts lie alike once they are laid onto one of them, and the reference that comes of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.bundle import Template, Unregistered
from edge.bundle import template as templates

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

FEWEST, ASKED = 6, 48
"""Good parts that are needed, and that are asked at most."""
ENOUGH = 0.98
"""Share of the parts that must be laid onto the reference."""
ALIKE = 0.6
"""Agreement below which a part does not lie on the reference while it is being made."""
EXPLAINED = 0.7
"""Share of a part's inner structure that the reference must account for; less, and parts of this kind differ."""
WORTH = 0.9
"""A search over all turns, or a fit in perspective, must leave less than this share of what goes without."""
STRICTEST = 0.8
"""Agreement that is always enough: other light, focus or a large flaw shall not send parts to review."""
ROUNDS = 2
SMOOTH_PX = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Laid:
    """What came of laying parts onto a reference."""

    template: Template
    found: float
    """Share of the parts that lie on it."""
    explained: float
    """Share of their inner structure that it accounts for, on parts that it was not made of."""
    left: float
    """What it does not account for, in relative brightness."""


def choose(good: Sequence[Image], size: tuple[int, int], seed: int) -> tuple[Laid | None, str]:
    """The reference of these gray pictures of good parts at `(height, width)`, or none, and the reason in words."""
    order = np.random.default_rng(seed).permutation(len(good))[:ASKED]
    some = [good[i] for i in order]
    if len(some) < FEWEST:
        return None, f"{len(some)} good parts are too few to make a reference of"
    lying, turned = (_tried(some, size, turns=turns, projective=False) for turns in (False, True))
    best = (
        turned
        if turned.found > lying.found or (turned.found == lying.found and turned.left < WORTH * lying.left)
        else lying
    )
    said = f"{100 * best.found:.0f} % of the good parts lie on a reference that explains {100 * best.explained:.0f} %"
    if best.found < ENOUGH or best.explained < EXPLAINED:
        return None, f"{said} of their structure (needed: {100 * ENOUGH:.0f} and {100 * EXPLAINED:.0f} %)"
    leaning = _tried(some, size, turns=best.template.turns, projective=True)
    best = leaning if leaning.found >= best.found and leaning.left < WORTH * best.left else best
    whole = made(some, size, turns=best.template.turns, projective=best.template.projective)
    return dataclasses.replace(best, template=whole), f"{said} of their structure"


def _tried(some: Sequence[Image], size: tuple[int, int], *, turns: bool, projective: bool) -> Laid:
    """A reference made of one half of the parts, and how the other half lies on it."""
    template = made(some[::2], size, turns=turns, projective=projective)
    laid = [each for picture in some[1::2] if (each := _laid(picture, template)) is not None]
    shares = [_explained(each, template) for each in laid]
    return Laid(
        template=template,
        found=len(laid) / len(some[1::2]),
        explained=float(np.median([share for share, _ in shares])) if shares else 0.0,
        left=float(np.median([left for _, left in shares])) if shares else np.inf,
    )


def made(good: Sequence[Image], size: tuple[int, int], *, turns: bool, projective: bool) -> Template:
    """The median of good parts, laid onto the first that most of the others agree with; every part passes it."""
    firsts = good[:: max(1, len(good) // 3)][:3]
    begun = [_reference(_shrunk(each, size), turns=turns, projective=projective) for each in firsts]
    template = max(begun, key=lambda each: float(np.median([agreement(one, each) for one in good[:12]])))
    for _ in range(ROUNDS):
        laid = [each for picture in good if (each := _laid(picture, template)) is not None]
        if len(laid) < 3:
            break
        middle = np.median(np.stack(laid), axis=0).astype(np.uint8)
        template = _reference(middle, turns=turns, projective=projective)
        template = dataclasses.replace(template, spread=_spread(laid, template))
    return template


def agreement(picture: Image, template: Template) -> float:
    """How well a gray picture agrees with the reference; 0 where it cannot be laid onto it at all."""
    try:
        return templates.fit(picture, template)[1]
    except Unregistered:
        return 0.0


def least(pictures: Sequence[Image], template: Template) -> float:
    """The agreement that tells these parts, good or bad, from others: well below what nearly all of them reach."""
    reached = np.array([agreement(each, template) for each in pictures])
    low = float(np.quantile(reached[reached > ALIKE], 0.02)) if (reached > ALIKE).any() else ALIKE
    return round(min(STRICTEST, max(0.3, low - 0.5 * (1 - low))), 3)


def _laid(picture: Image, template: Template) -> Image | None:
    try:
        warp, agrees = templates.fit(picture, template)
    except Unregistered:
        return None
    return templates.straighten(picture, warp, template.height, template.width) if agrees >= ALIKE else None


def _shrunk(picture: Image, size: tuple[int, int]) -> Image:
    return np.asarray(cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _reference(picture: Image, *, turns: bool, projective: bool) -> Template:
    height, width = picture.shape
    flat = np.full((height // templates.COARSER, width // templates.COARSER), 40, np.uint8)
    return Template(
        height=height,
        width=width,
        pixels=picture.tobytes(),
        spread=flat.tobytes(),
        turns=turns,
        projective=projective,
        least=0.0,
    )


def _spread(laid: Sequence[Image], template: Template) -> bytes:
    """How far good parts stray at each place: robust, and smooth, because they are few."""
    off = np.stack([np.abs(templates.relative(each, template)) for each in laid])
    usual = cv2.GaussianBlur(1.48 * np.median(off, axis=0) + 0.5 * off.std(axis=0), (0, 0), SMOOTH_PX)
    small = (template.width // templates.COARSER, template.height // templates.COARSER)
    coarse = cv2.resize(usual, small, interpolation=cv2.INTER_AREA)
    return np.asarray(np.clip(1000 * coarse + 0.5, 0, 255), dtype=np.uint8).tobytes()


def _explained(laid: Image, template: Template) -> tuple[float, float]:
    """The share of the fine structure that the reference accounts for, and the spread of what is left."""
    flat = _reference(np.full_like(laid, 128), turns=False, projective=False)
    whole, left = templates.relative(laid, flat), templates.relative(laid, template)
    return 1 - float(left.var()) / max(1e-6, float(whole.var())), float(left.std())
