"""The part against a good one: what differs from the mean good part, and by how much good parts differ themselves.

The simplest of all inspections, and the one to beat. It sees well what is always in the same place, and is blind to
where a part lies and to what parts vary in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from trainer.augment import Image
from trainer.dataset import Picture
from trainer.measure import auroc, fuse

Floats = NDArray[np.float32]

FLOOR_LEVELS = 6.0
"""Grey levels that sensors and light differ by anyway; keeps the quietest places from shouting."""
LOUDEST = 0.995


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The mean good part and how far good parts stray from it, `(height, width)` grey levels each."""

    mean: Floats
    spread: Floats
    pictures: int

    def difference(self, picture: Image) -> Floats:
        """How many times the usual spread each place of a `(height, width, channels)` picture is off."""
        gray = _even(_gray(picture), self.mean)
        return np.asarray(np.abs(gray - self.mean) / (self.spread + FLOOR_LEVELS), dtype=np.float32)

    def score(self, picture: Image) -> float:
        """One number for a picture: the difference that only one place in two hundred exceeds."""
        return float(np.quantile(cv2.GaussianBlur(self.difference(picture), (0, 0), 1.0), LOUDEST))


def build(good: Sequence[Image]) -> Reference:
    """From pictures of good parts as the network is shown them."""
    stack = np.stack([_gray(each) for each in good])
    mean = stack.mean(axis=0)
    even = np.stack([_even(each, mean) for each in stack])
    return Reference(mean=even.mean(axis=0), spread=even.std(axis=0), pictures=len(stack))


def assess(reference: Reference, shown: Image, pictures: Sequence[Picture], good: Sequence[str]) -> dict[str, Any]:
    """How well the difference alone tells good from defective, over parts and over pictures."""
    scores = np.array([reference.score(each) for each in shown])
    parts = fuse(pictures, scores, good)
    truth = np.array([each.label not in good for each in pictures], dtype=bool)
    areas = {"auroc": auroc(parts.steps, parts.defective), "auroc_by_picture": auroc(scores, truth)}
    return {
        "good_pictures": reference.pictures,
        **{name: None if area is None else round(area, 5) for name, area in areas.items()},
    }


def side_by_side(reference: Reference, picture: Image) -> NDArray[np.uint8]:
    """The mean good part, the part, and where they differ (in red): BGR, three pictures wide."""
    difference = np.clip(self_scaled(reference.difference(picture)), 0, 1)[:, :, None]
    plain, mean = (
        cv2.cvtColor(np.clip(each, 0, 255).astype(np.uint8), cv2.COLOR_GRAY2BGR)
        for each in (_gray(picture), reference.mean)
    )
    red = plain * (1 - 0.8 * difference) + np.array([32, 32, 235], np.float32) * 0.8 * difference
    return np.hstack([mean, plain, red.astype(np.uint8)])


def self_scaled(difference: Floats) -> Floats:
    """From two spreads (nothing) to eight (all red)."""
    return np.asarray((difference - 2) / 6, dtype=np.float32)


def _gray(picture: Image) -> Floats:
    flat = picture[:, :, 0] if picture.shape[2] == 1 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return np.asarray(flat, dtype=np.float32)


def _even(gray: Floats, like: Floats) -> Floats:
    """The picture in the light of another one: same mean, same contrast."""
    return np.asarray((gray - gray.mean()) * (like.std() / max(1.0, float(gray.std()))) + like.mean(), dtype=np.float32)
