"""How far light, focus, noise and compression may drift before parts are judged wrongly; how repeatable a verdict is.

Every change is made to the crop, before the device's own preprocessing, as on a line. Counted over parts, on the file
that ships.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.bundle import InputSpec, Ring
from trainer.augment import Image, compressed, moved
from trainer.dataset import Picture
from trainer.limits import Limits
from trainer.measure import Parts, fuse
from trainer.recipe import Augment

Document = dict[str, Any]
Evidence = Callable[[Image], float]
"""Int8 steps of evidence for one crop, preprocessing included; NaN where the part is not found in it."""

ESCAPES_RED, OVERKILL_RED = 0.05, 0.10
GRID: tuple[tuple[str, str, tuple[float, ...]], ...] = (
    ("gain", "×", (0.7, 0.8, 0.9, 1.1, 1.2, 1.3)),
    ("offset", "grey levels", (-40.0, -25.0, -10.0, 10.0, 25.0, 40.0)),
    ("blur", "σ, px of the network's input", (0.5, 1.0, 1.5, 2.0)),
    ("motion", "px of the network's input, along the belt", (2.0, 4.0)),
    ("noise", "σ, grey levels", (4.0, 8.0, 12.0)),
    ("jpeg", "quality", (90.0, 70.0, 50.0, 30.0)),
)
JITTER = Augment(
    rotation_deg=3, flip=False, shift=0.02, scale=0.02, gain=0.05, offset=5, gradient=5, blur_px=0.3, noise=2, drawn=0
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Crops of test parts with what they are, few enough to be asked many times."""

    pictures: tuple[Picture, ...]
    crops: tuple[Image, ...]
    good: tuple[str, ...]

    def parts(self, steps: Sequence[float], limits: Limits) -> Parts:
        """Evidence gathered over each part's crops; a part that was found in none of them goes to review."""
        values = np.array(steps, dtype=np.float64)
        nowhere = {each.part for each in self.pictures}
        nowhere -= {each.part for each, value in zip(self.pictures, values, strict=True) if not np.isnan(value)}
        lost = np.array([each.part in nowhere for each in self.pictures])
        use = ~np.isnan(values) | lost
        kept = tuple(each for each, used in zip(self.pictures, use, strict=True) if used)
        return fuse(kept, np.where(lost, limits.reject_steps - 0.5, values)[use], self.good)


def choose(pictures: Sequence[Picture], at_most: int) -> list[int]:
    """Places of at most about `at_most` pictures: every part keeps some, all parts as many, in order."""
    seen: dict[tuple[str, str], int] = {}
    turn = []
    for index, each in enumerate(pictures):
        seen[each.part] = seen.get(each.part, 0) + 1
        turn.append((seen[each.part], index))
    first = sorted(turn)[: max(at_most, len(seen))]
    return sorted(index for _, index in first)


def grid(sample: Sample, evidence: Evidence, limits: Limits, side_px: int, seed: int) -> Document:
    """Escapes and overkill in every cell, beside those of the unchanged crops; `side_px` is the network's input."""
    rows = []
    for kind, unit, values in GRID:
        for value in values:
            random = np.random.default_rng(seed)
            steps = [evidence(changed(crop, kind, value, side_px, random)) for crop in sample.crops]
            rows.append({"kind": kind, "unit": unit, "value": value, **_cell(sample.parts(steps, limits), limits)})
    parts = sample.parts([evidence(crop) for crop in sample.crops], limits)
    return {
        "pictures": len(sample.crops),
        "parts": len(parts.steps),
        "unchanged": _cell(parts, limits),
        "cells": rows,
        "worst_escape_rate": max((row["escape_rate"] or 0.0 for row in rows), default=0.0),
        "worst_overkill_rate": max((row["overkill_rate"] or 0.0 for row in rows), default=0.0),
        "red": sum(row["red"] for row in rows),
    }


def side_px(spec: InputSpec) -> int:
    """How many of the network's pixels the shorter side of a crop has: of unrolled parts, along the radius."""
    ring = spec.registration
    if not isinstance(ring, Ring):
        return min(spec.height, spec.width)
    return round(spec.height / ((ring.outer - ring.inner) * 0.5 * (ring.radius[0] + ring.radius[1])))


def changed(crop: Image, kind: str, value: float, side_px: int, random: np.random.Generator) -> Image:
    """The crop under another light, focus or camera."""
    fine = crop.shape[0] / side_px
    if kind == "jpeg":
        return compressed(crop, value)
    if kind == "blur":
        return np.asarray(cv2.GaussianBlur(crop, (0, 0), value * fine), dtype=np.uint8)
    if kind == "motion":
        reach = max(1, round(value * fine))
        return np.asarray(cv2.blur(crop, (reach, 1)), dtype=np.uint8)
    light = crop.astype(np.float32)
    if kind == "gain":
        light *= value
    elif kind == "offset":
        light += value
    else:
        light += random.standard_normal(light.shape, dtype=np.float32) * np.float32(value)
    return np.asarray(np.clip(light + 0.5, 0, 255), dtype=np.uint8)


def repeatability(sample: Sample, evidence: Evidence, limits: Limits, seed: int, views: int = 8) -> Document:
    """The same part seen again and again, slightly moved and relit: how far its evidence and its verdict wander."""
    from trainer.augment import relit

    random = np.random.default_rng(seed)
    spreads: list[float] = []
    flips = verdicts = 0
    first = {each.part: index for index, each in reversed(list(enumerate(sample.pictures)))}
    for index in sorted(first.values()):
        crop = sample.crops[index]
        flat = crop.ndim == 2
        shown = [relit(np.atleast_3d(moved(crop, JITTER, random)), JITTER, random) for _ in range(views)]
        steps = np.array([evidence(each[:, :, 0] if flat else each) for each in shown])
        steps = np.where(np.isnan(steps), limits.reject_steps - 0.5, steps)
        spreads.append(float(steps.std(ddof=1)))
        flips += len(set(steps > limits.cut_steps)) > 1
        verdicts += len(set(zip(steps <= limits.pass_steps, steps >= limits.reject_steps, strict=True))) > 1
    return {
        "parts": len(spreads),
        "views": views,
        "median_std_steps": round(float(np.median(spreads)), 2),
        "p95_std_steps": round(float(np.percentile(spreads, 95)), 2),
        "review_band_steps": limits.reject_steps - limits.pass_steps,
        "parts_that_cross_the_cut": flips,
        "parts_with_more_than_one_verdict": verdicts,
    }


def _cell(parts: Parts, limits: Limits) -> Document:
    flagged = parts.steps > limits.cut_steps
    escapes, overkill = _share(~flagged, parts.defective), _share(flagged, ~parts.defective)
    return {
        "escape_rate": escapes,
        "overkill_rate": overkill,
        "escape_rate_at_limits": _share(parts.steps <= limits.pass_steps, parts.defective),
        "overkill_rate_at_limits": _share(parts.steps >= limits.reject_steps, ~parts.defective),
        "review_rate": _share(
            (parts.steps > limits.pass_steps) & (parts.steps < limits.reject_steps), np.ones_like(parts.defective)
        ),
        "red": (escapes or 0.0) > ESCAPES_RED or (overkill or 0.0) > OVERKILL_RED,
    }


def _share(hit: NDArray[np.bool_], among: NDArray[np.bool_]) -> float | None:
    return round(float(hit[among].mean()), 5) if among.any() else None
