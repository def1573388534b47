"""Plain dark holes where the model looks: what any eye for flaws must see, whatever else it has learned."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.bundle import InputSpec, Ring, Unregistered, template
from edge.bundle import ring as rings
from trainer.augment import Image
from trainer.drawn import hole, hole_at

HOLE_PX = 2.5
BRIGHT = 90
"""Grey level from which a dark hole can be seen."""


def drilled(crop: Image, spec: InputSpec, random: np.random.Generator) -> Image | None:
    """The crop with a hole where the model looks and where it can be seen; None where there is no such place."""
    known, radius = spec.registration, HOLE_PX * max(1.0, min(crop.shape[:2]) / (2 * min(spec.height, spec.width)))
    if known is None:
        return hole(crop, radius, random)
    gray = np.asarray(crop if crop.ndim == 2 else crop.max(axis=2), dtype=np.uint8)
    try:
        if isinstance(known, Ring):
            return _drilled_ring(crop, gray, known, random)
        return _drilled_part(crop, gray, template.find(gray, known), (spec.height, spec.width), radius, random)
    except Unregistered:
        return None


def _drilled_part(
    crop: Image,
    gray: Image,
    warp: NDArray[np.float32],
    size: tuple[int, int],
    radius: float,
    random: np.random.Generator,
) -> Image | None:
    """On the part, which is what differs from the picture's edge, and where it is bright."""
    ground = float(np.median(np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])))
    for _ in range(200):
        x, y, w = warp @ (random.uniform(0.08, 0.92) * size[1], random.uniform(0.08, 0.92) * size[0], 1.0)
        row, column = (min(max(int(at / w), 0), most - 1) for at, most in zip((y, x), gray.shape, strict=True))
        if gray[row, column] >= BRIGHT and abs(float(gray[row, column]) - ground) > 25:
            return hole_at(crop, (float(x / w), float(y / w)), radius)
    return None


def _drilled_ring(crop: Image, gray: Image, ring: Ring, random: np.random.Generator) -> Image | None:
    pose = rings.find(gray, ring)
    # On the part, not beyond its edges, and not in a shadow, where a dark hole is nothing to be seen.
    low, high = (max(ring.inner, 1.03), 0.97 * ring.rim) if ring.rim else (ring.inner, 0.95)
    for _ in range(50):
        x, y = rings.point(pose, ring, float(random.uniform(0, 2 * np.pi)), float(random.uniform(low, high)))
        row, column = min(max(int(y), 0), gray.shape[0] - 1), min(max(int(x), 0), gray.shape[1] - 1)
        if gray[row, column] >= BRIGHT:
            return hole_at(crop, (x, y), HOLE_PX)
    return None
