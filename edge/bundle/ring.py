"""Round parts, laid out straight: an ellipse is fitted to the part's ring, and the ring is unrolled into a strip.

In the strip a turn of the part is a shift, a tilt of the camera is gone, and whatever belongs to the ring is a
straight row. So the mean along the rows is what the part should look like there, and the strip is given as the
difference from it, in relative brightness: a shadow or another lamp changes little, a flaw stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

SIDE_PX = 128
"""Shorter side of the picture in which the ring is looked for."""
ANGLES = 128
STEP = 0.02
"""Distance between the samples along a radius, as a share of the ring's own."""
SLACK = 0.03
"""How far an edge may lie off the fitted curve and still speak for it, as a share of the radius."""
FEWEST = 0.5
"""Share of the angles that must speak for an edge. Chips and burrs cover less."""
WINDOW = 0.12
FAINTEST = 1.0
"""Grey levels per sample below which there is no edge at an angle."""
WRAP_PX = 16
"""What follows the strip's end and precedes its beginning, so that a flaw at the seam is seen whole."""
SIGMA_PX = 18.0
DARK = 16.0
GAIN = 110.0
_CELL_PX = 8


class Unregistered(ValueError):
    """The part could not be found in its picture the way the model needs it; it must go to review."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """What to look for and how much around it to unroll; radii are in units of the ring's own."""

    inside: str
    """`dark` or `bright`: what the ring surrounds, against what lies outside it."""
    levels: tuple[float, ...]
    """Grey levels at which to cut, from the darkest (0) to the brightest (1) of a picture; the first that fits."""
    radius: tuple[float, float]
    """Smallest and largest radius, as a share of the picture's shorter side."""
    rim: float
    """Radius of a second edge farther out, fitted as well; 0 where there is none."""
    rim_rises: bool
    """Whether the second edge goes from dark to bright, seen from the middle."""
    inner: float
    outer: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """Where a ring lies in a picture."""

    center: tuple[float, float]
    axes: NDArray[np.float64]
    """Symmetric 2 × 2 matrix that takes the unit circle onto the ellipse, in pixels."""
    near: Floats
    """Radius of the ring at each of `ANGLES` angles, in units of the ellipse."""
    far: Floats
    """The same for the second edge; a multiple of `near` where there is none."""


def find(gray: Image, ring: Ring) -> Pose:
    """Fit the ring in a gray picture; raises `Unregistered`."""
    height, width = gray.shape
    scale = SIDE_PX / min(height, width)
    size = (round(width * scale), round(height * scale))
    small = np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), dtype=np.uint8) if scale < 1 else gray
    factor = small.shape[1] / width
    center, axes = _coarse(small, ring)
    strip = _rays(small, center, axes, ring)
    near, share = _edge(strip, 1.0, 1.0 if ring.inside == "dark" else -1.0)
    if share < FEWEST:
        raise Unregistered("the ring's edge is not to be seen all round")
    far = near * np.float32(max(ring.rim, 2.0))
    if ring.rim:
        far, share = _edge(strip, ring.rim, 1.0 if ring.rim_rises else -1.0)
        if share < FEWEST:
            raise Unregistered("the outer edge is not to be seen all round")
    # A pixel's middle lies half a pixel in, in the small picture as in the large one.
    middle = ((center[0] + 0.5) / factor - 0.5, (center[1] + 0.5) / factor - 0.5)
    return Pose(center=middle, axes=axes / factor, near=near, far=far)


def straighten(image: Image, pose: Pose, ring: Ring, height: int, width: int) -> Image:
    """Unroll: row 0 lies at `ring.inner`, the last at `ring.outer`, column 0 at three o'clock, clockwise.

    `image` may be gray or BGR; the strip is `width` minus twice `WRAP_PX` wide.
    """
    columns = width - 2 * WRAP_PX
    cos, sin, rows = _table(height, columns, ring.inner, ring.outer)
    second = ring.rim or 2.0
    share = (rows - 1) / np.float32(second - 1)
    near, far = _spread(pose.near, columns), _spread(pose.far, columns)
    reach = near[None, :] + share[:, None] * (far - near)[None, :]
    (a, b), (_, d) = pose.axes
    across = (reach * (a * cos + b * sin).astype(np.float32)[None, :] + np.float32(pose.center[0])).astype(np.float32)
    down = (reach * (b * cos + d * sin).astype(np.float32)[None, :] + np.float32(pose.center[1])).astype(np.float32)
    return np.asarray(cv2.remap(image, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), dtype=np.uint8)


def point(pose: Pose, ring: Ring, angle: float, radius: float) -> tuple[float, float]:
    """Where a place of the strip lies in the picture: `(x, y)`; angle in radians, radius in the ring's units."""
    at = angle / (2 * np.pi) * ANGLES
    near, far = (
        float(np.interp(at, np.arange(ANGLES + 1), np.append(each, each[0]))) for each in (pose.near, pose.far)
    )
    reach = near + (radius - 1) / ((ring.rim or 2.0) - 1) * (far - near)
    x, y = pose.axes @ (reach * np.array([np.cos(angle), np.sin(angle)]))
    return float(x) + pose.center[0], float(y) + pose.center[1]


def even(strip: Image) -> Image:
    """Each place against the mean of its row around it, in relative brightness; 128 is "as around", both ends wrapped.

    The result is wider than `strip` by twice `WRAP_PX`.
    """
    return quantized(relative(strip))


def relative(strip: Image) -> Floats:
    """Logarithm of brightness minus its mean along the row, `(height, width + 2 * WRAP_PX)` and channels."""
    light = logarithm(strip)
    height, width = light.shape[:2]
    coarse = cv2.resize(light, (width // _CELL_PX, height), interpolation=cv2.INTER_AREA)
    cells = int(np.ceil(3 * SIGMA_PX / _CELL_PX))
    edge = cells + WRAP_PX // _CELL_PX + 1
    padded = cv2.copyMakeBorder(coarse, 0, 0, edge, edge, cv2.BORDER_WRAP)
    smooth = cv2.GaussianBlur(padded, (2 * cells + 1, 1), sigmaX=SIGMA_PX / _CELL_PX, sigmaY=0.01)
    wide = cv2.resize(smooth, (padded.shape[1] * _CELL_PX, height), interpolation=cv2.INTER_LINEAR)
    start = edge * _CELL_PX - WRAP_PX
    around = cv2.copyMakeBorder(light, 0, 0, WRAP_PX, WRAP_PX, cv2.BORDER_WRAP)
    return np.asarray(around - wide[:, start : start + width + 2 * WRAP_PX], dtype=np.float32)


def quantized(difference: Floats) -> Image:
    """Relative brightness as grey levels around 128."""
    return np.asarray(cv2.convertScaleAbs(np.maximum(difference * GAIN + 128, 0)), dtype=np.uint8)


def logarithm(image: Image) -> Floats:
    """Logarithm of brightness plus `DARK`, of the shape of `image`: a difference of two is relative brightness."""
    return np.asarray(cv2.LUT(image, _logarithms()), dtype=np.float32)


@lru_cache(maxsize=1)
def _logarithms() -> Floats:
    return np.asarray(np.log(np.arange(256, dtype=np.float32) + np.float32(DARK)))


@lru_cache(maxsize=8)
def _table(height: int, columns: int, inner: float, outer: float) -> tuple[Floats, Floats, Floats]:
    angles = np.arange(columns, dtype=np.float32) * np.float32(2 * np.pi / columns)
    return np.cos(angles), np.sin(angles), np.linspace(inner, outer, height, dtype=np.float32)


@lru_cache(maxsize=1)
def _harmonics() -> tuple[Floats, Floats, NDArray[np.float64]]:
    """Cosine and sine of the angles, and the curves that an ellipse moved and tilted a little is made of."""
    angles = np.arange(ANGLES) * (2 * np.pi / ANGLES)
    curves = np.stack([np.ones(ANGLES), np.cos(angles), np.sin(angles), np.cos(2 * angles), np.sin(2 * angles)], axis=1)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32), curves


def _spread(radii: Floats, columns: int) -> Floats:
    at = np.arange(columns) * (ANGLES / columns)
    return np.asarray(np.interp(at, np.arange(ANGLES + 1), np.append(radii, radii[0])), dtype=np.float32)


def _coarse(small: Image, ring: Ring) -> tuple[tuple[float, float], NDArray[np.float64]]:
    """The best ellipse among the outlines at the given levels; raises `Unregistered`."""
    low, high = np.percentile(small[::2, ::2], [1, 97])
    best: tuple[float, tuple[float, float], NDArray[np.float64]] | None = None
    for level in ring.levels:
        for outline in _outlines(small, low + level * (high - low), ring):
            found = _ellipse(outline)
            if found is None:
                continue
            share, center, axes = found
            radius = float(np.sqrt(np.linalg.det(axes))) / min(small.shape)
            if ring.radius[0] <= radius <= ring.radius[1] and (best is None or share > best[0]):
                best = share, center, axes
        if best is not None and best[0] >= 0.9:
            break
    if best is None or best[0] < FEWEST:
        raise Unregistered("no ring of the size that this model was trained on")
    return best[1], best[2]


def _outlines(small: Image, level: float, ring: Ring) -> list[Floats]:
    how = cv2.THRESH_BINARY_INV if ring.inside == "dark" else cv2.THRESH_BINARY
    _, cut = cv2.threshold(small, level, 255, how)
    lines, _ = cv2.findContours(cut, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    height, width = small.shape
    shortest = 1.4 * ring.radius[0] * min(height, width)
    kept = []
    for line in lines:
        if len(line) < 2 * shortest:
            continue
        x, y, w, h = cv2.boundingRect(line)
        if min(w, h) >= shortest and x > 0 and y > 0 and x + w < width and y + h < height:
            kept.append(line[:, 0].astype(np.float32))
    return kept


def _ellipse(outline: Floats) -> tuple[float, tuple[float, float], NDArray[np.float64]] | None:
    """An ellipse through an outline with chips: `(share of the angles on it, center, axes)`."""
    points = outline
    share, center, axes = 0.0, (0.0, 0.0), np.eye(2)
    for _ in range(2):
        center, axes = _matrix(cv2.fitEllipseDirect(points))
        if not np.isfinite(axes).all() or np.linalg.det(axes) < 1:
            return None
        unit = (outline - np.array(center)) @ np.linalg.inv(axes)
        off = np.abs(np.hypot(unit[:, 0], unit[:, 1]) - 1) * np.sqrt(np.linalg.det(axes))
        angles = np.arctan2(unit[:, 1], unit[:, 0])[off < 1.5]
        share = len(np.unique((angles * (36 / np.pi)).astype(np.int64))) / 71
        points = outline[off < max(1.5, 1.5 * float(np.median(off)))]
        if len(points) < 20:
            break
    return share, center, axes


def _matrix(
    box: tuple[Sequence[float], Sequence[float], float],
) -> tuple[tuple[float, float], NDArray[np.float64]]:
    (x, y), (first, second), turn_deg = box
    turn = np.deg2rad(turn_deg)
    along = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return (x, y), along @ np.diag([first / 2, second / 2]) @ along.T


def _rays(small: Image, center: tuple[float, float], axes: NDArray[np.float64], ring: Ring) -> Floats:
    """Slope of brightness along each ray, `(ANGLES, steps)`, from 0.5 to a little beyond the outermost edge."""
    cos, sin, _ = _harmonics()
    reach = np.arange(0.5, (ring.rim or 1.0) * (1 + 2 * WINDOW) + 0.2, STEP, dtype=np.float32)
    across = np.outer(axes[0, 0] * cos + axes[0, 1] * sin, reach) + center[0]
    down = np.outer(axes[1, 0] * cos + axes[1, 1] * sin, reach) + center[1]
    rays = cv2.remap(
        small, across.astype(np.float32), down.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    soft = cv2.GaussianBlur(rays.astype(np.float32), (0, 0), sigmaX=1.5, sigmaY=0.8)
    return np.asarray(cv2.Sobel(soft, cv2.CV_32F, 1, 0, ksize=1), dtype=np.float32)


def _edge(slopes: Floats, at: float, sign: float) -> tuple[Floats, float]:
    """The edge near radius `at`: its radius at every angle, and the share of the angles that speak for it."""
    _, _, curves = _harmonics()
    half = WINDOW * at
    first, last = int((at - half - 0.5) / STEP), int((at + half - 0.5) / STEP) + 1
    steepest = np.argmax(sign * slopes[:, first:last], axis=1)
    clear = np.take_along_axis(sign * slopes, first + steepest[:, None], axis=1)[:, 0] >= FAINTEST
    radii = 0.5 + STEP * (first + steepest)
    off = np.zeros(ANGLES)
    middle = np.median(radii)
    weights = (np.abs(radii - middle) < 2 * SLACK * at).astype(np.float64) + 1e-3
    for _ in range(4):
        pulled = curves * weights[:, None]
        fitted = curves @ np.linalg.solve(pulled.T @ curves + 1e-6 * np.eye(5), pulled.T @ radii)
        off = np.abs(radii - fitted)
        weights = np.maximum(1 - (off / (1.5 * SLACK * at)) ** 2, 0) ** 2 + 1e-4
    return fitted.astype(np.float32), float((clear & (off < SLACK * at)).mean())
