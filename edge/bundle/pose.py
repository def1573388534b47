"""Where a part of any outline lies in a picture, against a reference of such parts.

A picture is reduced, the part's turn is found on rays from its middle, its place by phase correlation, and an affine or
projective fit is refined until fine structure agrees best.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.bundle.ring import Unregistered, logarithm

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
Warp = NDArray[np.float32]
"""3 × 3: from pixels of the reference to pixels of the crop."""

SIDE_PX = 72
"""Shorter side of the pictures in which a part is looked for."""
ANGLES, RADII, TURNS = 128, 32, 1024
"""Samples of the rays; turns are told apart more finely than rays lie."""
TRIED = 3
"""Turns that are followed up."""
APART = 40
"""Of `TURNS`, by how many two turns differ at least to be two."""
STEPS, ENOUGH = 10, 3e-4
"""Steps of refinement at most, and the gain in agreement below which it ends."""
SLENDER = 4
"""Longer side of a crop against its shorter one, beyond which nothing is looked for."""
CERTAIN = 0.9
"""Agreement from which no other turn is tried."""
STRETCH = 1.2
"""How far a fit may change the part's size, or its width against its height, before it is none."""
LIGHT_PX = 21
"""Structure that reaches farther than this, in the small picture, is light."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """What is worked out once from a reference, to find parts by."""

    fine: Floats
    shrunk: float
    middle: tuple[float, float]
    reach: float
    waves: NDArray[np.complex64]
    pivot: tuple[float, float]
    """About what it looks most like itself when turned."""
    pivoted: NDArray[np.complex64]
    """Its waves about that."""

    @classmethod
    def of(cls, gray: Image) -> Looks:
        """Those of a gray reference."""
        small, shrunk = _reduced(gray)
        fine = _fine(small)
        middle, reach = _middle(small)
        pivot = _pivot(fine, middle, reach)
        return cls(
            fine=fine,
            shrunk=shrunk,
            middle=middle,
            reach=reach,
            waves=_waves(fine, middle, reach),
            pivot=pivot,
            pivoted=_waves(fine, pivot, reach),
        )


def fitted(gray: Image, known: Looks, *, turns: bool, projective: bool) -> tuple[Warp, float]:
    """The best fit of the reference in a gray crop and how well it agrees (correlation, at most 1).

    Raises `Unregistered` where nothing can be fitted at all.
    """
    if max(gray.shape) > SLENDER * min(gray.shape):
        raise Unregistered("the crop is too slender to find a part in")
    small, shrunk = _reduced(gray)
    fine = _fine(small)
    begun = _turned(small, fine, known) if turns else _placed(fine, known, np.eye(3, dtype=np.float32))[0]
    warp, agreement = _settled(fine, known, begun, projective=projective)
    other = _otherwise(fine, known, warp) if turns else None
    if other is not None:
        again = _settled(fine, known, other, projective=projective)
        warp, agreement = max((warp, agreement), again, key=lambda each: each[1])
    if not _plausible(warp, known.fine.shape):
        raise Unregistered("the part is not of the shape that this model was trained on")
    return np.asarray(scaling(1 / shrunk) @ warp @ scaling(known.shrunk), dtype=np.float32), agreement


def _reduced(gray: Image) -> tuple[Image, float]:
    """The picture at `SIDE_PX`, and by how much it was shrunk."""
    height, width = gray.shape
    factor = SIDE_PX / min(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(gray, size, interpolation=how), dtype=np.uint8), factor


def _fine(small: Image) -> Floats:
    """Relative brightness without what changes slowly: light that falls off says nothing of how a part is turned."""
    light = logarithm(small)
    soft = cv2.blur(light, (LIGHT_PX, LIGHT_PX), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(light - cv2.blur(soft, (LIGHT_PX, LIGHT_PX), borderType=cv2.BORDER_REPLICATE), dtype=np.float32)


def scaling(factor: float) -> Warp:
    """Pixels' middles lie half a pixel in, before as after."""
    off = 0.5 * factor - 0.5
    return np.array([[factor, 0, off], [0, factor, off], [0, 0, 1]], dtype=np.float32)


def _middle(small: Image) -> tuple[tuple[float, float], float]:
    """The middle and the reach (root of the mean square) of what differs from the picture's edge."""
    edge = np.concatenate([small[0], small[-1], small[:, 0], small[:, -1]]).astype(np.float32)
    ground = float(np.median(edge))
    noise = float(np.median(np.abs(edge - ground)))
    there = np.abs(cv2.blur(small, (3, 3)).astype(np.float32) - ground) - (3 * noise + 8)
    # Capped: a glint would otherwise pull the middle towards it.
    weight = np.clip(there, 0, 24)
    moments = cv2.moments(weight)
    if moments["m00"] < 24 * 9:
        height, width = small.shape
        return ((width - 1) / 2, (height - 1) / 2), min(height, width) / 4
    x, y = moments["m10"] / moments["m00"], moments["m01"] / moments["m00"]
    spread = (moments["mu20"] + moments["mu02"]) / moments["m00"]
    return (x, y), float(np.sqrt(max(spread, 4.0)))


def _waves(fine: Floats, middle: tuple[float, float], reach: float) -> NDArray[np.complex64]:
    """The part on rays from its middle, as waves along the angle; length 1. A turn is a shift of phase."""
    rays = cv2.warpPolar(fine, (RADII, ANGLES), middle, 1.8 * reach, cv2.INTER_LINEAR | cv2.WARP_FILL_OUTLIERS)
    rays = (rays - rays.mean(axis=0)) * np.sqrt(np.arange(1, RADII + 1, dtype=np.float32) / RADII)
    waves = np.fft.rfft(rays / (np.linalg.norm(rays) + 1e-6), axis=0)
    return np.asarray(waves, dtype=np.complex64)


def _turned(small: Image, fine: Floats, known: Looks) -> Warp:
    """The likeliest pose: turned about the part's middle, then put into place."""
    middle, reach = _middle(small)
    likeness = _likeness(_waves(fine, middle, reach), known.waves)
    size = min(max(reach / known.reach, 1 / STRETCH**2), STRETCH**2)
    best: tuple[Warp, float] | None = None
    for _ in range(TRIED):
        turn = int(np.argmax(likeness))
        tried = _placed(fine, known, _pose(known.middle, middle, turn * 2 * np.pi / TURNS, size))
        best = tried if best is None or tried[1] > best[1] else best
        if best[1] >= CERTAIN:
            break
        likeness[(turn + np.arange(-APART, APART + 1)) % TURNS] = -np.inf
    return best[0] if best is not None else np.eye(3, dtype=np.float32)


def _settled(fine: Floats, known: Looks, begun: Warp, *, projective: bool) -> tuple[Warp, float]:
    """A pose refined until fine structure agrees best; raises `Unregistered`."""
    ends = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, STEPS, ENOUGH)
    start = np.ascontiguousarray(begun[:2])
    try:
        agreement, found = cv2.findTransformECC(known.fine, fine, start, cv2.MOTION_AFFINE, ends)
        warp = np.vstack([np.asarray(found, dtype=np.float32), np.array([[0, 0, 1]], dtype=np.float32)])
        if projective:
            # From the affine fit on: begun with all at once, it strays.
            agreement, found = cv2.findTransformECC(known.fine, fine, warp, cv2.MOTION_HOMOGRAPHY, ends)
            warp = np.asarray(found, dtype=np.float32)
    except cv2.error:
        raise Unregistered("the part does not settle on the reference") from None
    return warp, float(agreement)


def _otherwise(fine: Floats, known: Looks, warp: Warp) -> Warp | None:
    """Another turn that agrees better, now that the middle is known well: of a wheel, the right one of its teeth."""
    height, width = known.fine.shape
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    laid = cv2.warpPerspective(fine, warp, (width, height), flags=how, borderMode=cv2.BORDER_REPLICATE)
    waves = _waves(np.asarray(laid, dtype=np.float32), known.pivot, known.reach)
    best = int(np.argmax(_likeness(waves, known.pivoted)))
    if min(best, TURNS - best) < APART:
        return None
    return np.asarray(warp @ _pose(known.pivot, known.pivot, best * 2 * np.pi / TURNS, 1.0), dtype=np.float32)


def _likeness(waves: NDArray[np.complex64], others: NDArray[np.complex64]) -> Floats:
    """How alike two pictures are at every turn of the first."""
    return np.asarray(np.fft.irfft((waves * np.conj(others)).sum(axis=1), n=TURNS), dtype=np.float32)


def _pivot(fine: Floats, middle: tuple[float, float], reach: float) -> tuple[float, float]:
    """The point near the middle about which a turn changes the part least: of a wheel, its axle."""

    def itself(at: tuple[float, float]) -> float:
        waves = _waves(fine, at, reach)
        return float(_likeness(waves, waves)[APART:-APART].max())

    for step in (1.0, 0.25):
        offsets = step * np.arange(-4, 5)
        middle = max(((middle[0] + x, middle[1] + y) for x in offsets for y in offsets), key=itself)
    return middle


def _pose(source: tuple[float, float], target: tuple[float, float], angle: float, size: float) -> Warp:
    """Takes `source` onto `target`, turned by `angle` and `size` times as large."""
    a, b = size * np.cos(angle), size * np.sin(angle)
    (x, y), (u, v) = source, target
    return np.array([[a, -b, u - a * x + b * y], [b, a, v - b * x - a * y], [0, 0, 1]], dtype=np.float32)


def _placed(fine: Floats, known: Looks, pose: Warp) -> tuple[Warp, float]:
    """A pose shifted to where it agrees best, and how well it agrees there."""
    height, width = known.fine.shape
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    laid = cv2.warpAffine(fine, pose[:2], (width, height), flags=how, borderMode=cv2.BORDER_REPLICATE)
    # It multiplies what it is given by the window, in place, where no padding is needed: so it is given a copy.
    (x, y), _ = cv2.phaseCorrelate(known.fine.copy(), laid.copy(), _window(height, width))
    if abs(x) > 0.25 * width or abs(y) > 0.25 * height:
        x = y = 0.0
    moved = pose @ np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], dtype=np.float32)
    laid = cv2.warpAffine(fine, moved[:2], (width, height), flags=how, borderMode=cv2.BORDER_REPLICATE)
    return moved, float(cv2.matchTemplate(laid, known.fine, cv2.TM_CCOEFF_NORMED)[0, 0])


@lru_cache(maxsize=4)
def _window(height: int, width: int) -> Floats:
    return np.asarray(cv2.createHanningWindow((width, height), cv2.CV_32F), dtype=np.float32)


def _plausible(warp: Warp, size: tuple[int, ...]) -> bool:
    """Whether a fit leaves the part about its size and shape, looked at in the middle of the reference's `size`."""
    if not np.isfinite(warp).all():
        return False
    x, y, w = (float(each) for each in warp @ np.array([size[1] / 2, size[0] / 2, 1.0], dtype=np.float32))
    if not 0.5 < w < 2:
        return False
    local = (warp[:2, :2] - np.outer([x / w, y / w], warp[2, :2])) / w
    large, little = np.linalg.svd(local, compute_uv=False)
    kept = little > STRETCH**-3 and large < STRETCH**3 and large < STRETCH * little
    return bool(kept and np.linalg.det(local) > 0)
