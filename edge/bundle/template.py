"""Parts of any outline, laid onto a reference: the median of good parts.

What is left is given as the difference from the reference, in units of what good parts differ by: flaws stay, the part
itself is gone. `pose.py` finds how a part lies.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.bundle import pose
from edge.bundle.pose import Warp
from edge.bundle.ring import Unregistered, logarithm

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

COARSER = 4
"""How much smaller than the reference the map of its spread is."""
EVEN_PX = 12.0
"""Differences that reach farther than this are light, not flaws."""
FLOOR = 0.06
"""Relative brightness that any two pictures differ by; keeps the quietest places from shouting."""
GAIN = 14.0
"""Grey levels for each time the usual spread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A good part to lay others onto. Immutable, so that what is worked out from it can be kept."""

    height: int
    width: int
    pixels: bytes
    """The reference, `(height, width)` grey levels."""
    spread: bytes
    """How far good parts stray from it, in thousandths of relative brightness, at most 255; a quarter of the size."""
    turns: bool
    """Whether parts lie any way round; else all lie nearly as the reference does."""
    projective: bool
    """Whether the fit may be in perspective; else it is affine."""
    least: float
    """Agreement (correlation, at most 1) below which a part counts as not found."""


def find(gray: Image, template: Template) -> Warp:
    """Where the reference lies in a gray crop; raises `Unregistered`."""
    warp, agreement = fit(gray, template)
    if agreement < template.least:
        raise Unregistered("no part that looks like those this model was trained on")
    return warp


def fit(gray: Image, template: Template) -> tuple[Warp, float]:
    """The best fit and how well it agrees; raises `Unregistered` where nothing can be fitted at all."""
    looks = _known(template).looks
    return pose.fitted(gray, looks, turns=template.turns, projective=template.projective)


def straighten(image: Image, warp: Warp, height: int, width: int) -> Image:
    """A gray or BGR crop as the reference lies, `(height, width)` and channels; what lies outside repeats the edge."""
    scale = float(np.sqrt(abs(np.linalg.det(warp[:2, :2]))))
    if scale >= 2:
        factor = 1.25 / scale
        size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        warp = np.asarray(pose.scaling(factor) @ warp, dtype=np.float32)
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    if abs(warp[2, 0]) + abs(warp[2, 1]) > 0:
        laid = cv2.warpPerspective(image, warp, (width, height), flags=how, borderMode=cv2.BORDER_REPLICATE)
    else:
        laid = cv2.warpAffine(image, warp[:2], (width, height), flags=how, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(laid, dtype=np.uint8)


def even(laid: Image, template: Template) -> Image:
    """Each place against the reference, in units of what good parts differ by there; 128 is "as on a good part"."""
    return np.asarray(np.clip(deviation(laid, template) * GAIN + 128.5, 0, 255), dtype=np.uint8)


def deviation(laid: Image, template: Template) -> Floats:
    """The difference from the reference in usual spreads, `(height, width)` and channels."""
    known = _known(template)
    spread = known.spread if laid.ndim == 2 else known.spread[:, :, None]
    return np.asarray(relative(laid, template) / spread, dtype=np.float32)


def relative(laid: Image, template: Template) -> Floats:
    """Logarithm of brightness minus the reference's, without what changes slowly across the part."""
    light = _known(template).light
    off = logarithm(laid) - (light if laid.ndim == 2 else light[:, :, None])
    return np.asarray(off - _slow(off), dtype=np.float32)


def _slow(off: Floats) -> Floats:
    """What changes slowly: worked out on a quarter of the size, and blind to what stands out."""
    height, width = off.shape[:2]
    calm = np.clip(off, -0.5, 0.5)
    small = cv2.resize(calm, (width // COARSER, height // COARSER), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small, (0, 0), EVEN_PX / COARSER, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32).reshape(
        off.shape
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What is worked out once from a template."""

    looks: pose.Looks
    light: Floats
    spread: Floats


@lru_cache(maxsize=4)
def _known(template: Template) -> _Known:
    size = (template.height, template.width)
    full = np.frombuffer(template.pixels, np.uint8).reshape(size)
    coarse = np.frombuffer(template.spread, np.uint8).reshape(template.height // COARSER, template.width // COARSER)
    spread = cv2.resize(coarse.astype(np.float32) / 1000, size[::-1], interpolation=cv2.INTER_LINEAR)
    return _Known(
        looks=pose.Looks.of(full),
        light=logarithm(full),
        spread=spread + np.float32(FLOOR),
    )
