"""Parts of any outline, laid onto a reference: turned, shifted and fitted until they lie as the good part does.

The reference is the median of good parts. A crop is reduced, its turn is found on rays from the part's middle, its
place by phase correlation, and an affine or projective fit is refined until fine structure agrees best. What is left is
given as the difference from the reference, in units of what good parts differ by: flaws stay, the part itself is gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.bundle.ring import DARK, Unregistered

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
COARSER = 4
"""How much smaller than the reference the map of its spread is."""
CERTAIN = 0.9
"""Agreement from which no other turn is tried."""
STRETCH = 1.2
"""How far a fit may change the part's size, or its width against its height, before it is none."""
LIGHT_PX = 21
"""Structure that reaches farther than this, in the small picture, is light."""
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
    if max(gray.shape) > SLENDER * min(gray.shape):
        raise Unregistered("the crop is too slender to find a part in")
    known = _known(template)
    small, shrunk = _reduced(gray)
    fine = _fine(small)
    begun = _turned(small, fine, known) if template.turns else _placed(fine, known, np.eye(3, dtype=np.float32))[0]
    warp, agreement = _settled(fine, known, begun, projective=template.projective)
    other = _otherwise(fine, known, warp) if template.turns else None
    if other is not None:
        again = _settled(fine, known, other, projective=template.projective)
        warp, agreement = max((warp, agreement), again, key=lambda each: each[1])
    if not _plausible(warp, known.fine.shape):
        raise Unregistered("the part is not of the shape that this model was trained on")
    return np.asarray(_scaling(1 / shrunk) @ warp @ _scaling(known.shrunk), dtype=np.float32), agreement


def straighten(image: Image, warp: Warp, height: int, width: int) -> Image:
    """A gray or BGR crop as the reference lies, `(height, width)` and channels; what lies outside repeats the edge."""
    scale = float(np.sqrt(abs(np.linalg.det(warp[:2, :2]))))
    if scale >= 2:
        factor = 1.25 / scale
        size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        warp = np.asarray(_scaling(factor) @ warp, dtype=np.float32)
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
    off = cv2.LUT(laid, _logarithms()) - (light if laid.ndim == 2 else light[:, :, None])
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

    fine: Floats
    shrunk: float
    middle: tuple[float, float]
    reach: float
    waves: NDArray[np.complex64]
    pivot: tuple[float, float]
    """About what it looks most like itself when turned."""
    pivoted: NDArray[np.complex64]
    """Its waves about that."""
    light: Floats
    spread: Floats


@lru_cache(maxsize=4)
def _known(template: Template) -> _Known:
    size = (template.height, template.width)
    full = np.frombuffer(template.pixels, np.uint8).reshape(size)
    coarse = np.frombuffer(template.spread, np.uint8).reshape(template.height // COARSER, template.width // COARSER)
    spread = cv2.resize(coarse.astype(np.float32) / 1000, size[::-1], interpolation=cv2.INTER_LINEAR)
    small, shrunk = _reduced(full)
    fine = _fine(small)
    middle, reach = _middle(small)
    pivot = _pivot(fine, middle, reach)
    return _Known(
        fine=fine,
        shrunk=shrunk,
        middle=middle,
        reach=reach,
        waves=_waves(fine, middle, reach),
        pivot=pivot,
        pivoted=_waves(fine, pivot, reach),
        light=np.asarray(cv2.LUT(full, _logarithms()), dtype=np.float32),
        spread=spread + np.float32(FLOOR),
    )


def _reduced(gray: Image) -> tuple[Image, float]:
    """The picture at `SIDE_PX`, and by how much it was shrunk."""
    height, width = gray.shape
    factor = SIDE_PX / min(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(gray, size, interpolation=how), dtype=np.uint8), factor


def _fine(small: Image) -> Floats:
    """Relative brightness without what changes slowly: light that falls off says nothing of how a part is turned."""
    light = cv2.LUT(small, _logarithms())
    soft = cv2.blur(light, (LIGHT_PX, LIGHT_PX), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(light - cv2.blur(soft, (LIGHT_PX, LIGHT_PX), borderType=cv2.BORDER_REPLICATE), dtype=np.float32)


def _scaling(factor: float) -> Warp:
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


def _turned(small: Image, fine: Floats, known: _Known) -> Warp:
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


def _settled(fine: Floats, known: _Known, begun: Warp, *, projective: bool) -> tuple[Warp, float]:
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


def _otherwise(fine: Floats, known: _Known, warp: Warp) -> Warp | None:
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


def _placed(fine: Floats, known: _Known, pose: Warp) -> tuple[Warp, float]:
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


@lru_cache(maxsize=1)
def _logarithms() -> Floats:
    return np.asarray(np.log(np.arange(256, dtype=np.float32) + np.float32(DARK)))


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
