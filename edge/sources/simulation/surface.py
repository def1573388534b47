"""The relief of a simulated part: where metal is, how high it stands, how it shines."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Field = NDArray[np.float64]

VANES = 7
BORE, HUB, RIM = 0.15, 0.35, 0.84
"""Radii of the ring's features as shares of its outer radius."""


@dataclass(slots=True, kw_only=True)
class Surface:
    """A square patch around a part's centre, worked on in place while the part is being made.

    All fields are float64 and as large as the patch; lengths in px, `rho` as a share of the radius.
    """

    radius_px: float
    x: Field
    y: Field
    rho: Field
    angle: Field
    """0 at three o'clock, turned with the part."""
    edge_px: Field
    """How far the metal reaches at this angle."""
    height: Field
    tone: Field
    """Share of light that comes back, 0 to 1."""
    cut: Field
    """1 where metal was taken away."""


def smoothstep(low: float, high: float, value: Field) -> Field:
    """0 below `low`, 1 above `high`, without a corner between."""
    share = value - low
    share *= 1.0 / (high - low)
    np.clip(share, 0.0, 1.0, out=share)
    shape = 3.0 - 2.0 * share
    shape *= share
    shape *= share
    return shape


def band(low: float, high: float, value: Field, soft: float) -> Field:
    """1 between two values, with soft flanks."""
    return smoothstep(low - soft, low + soft, value) * (1.0 - smoothstep(high - soft, high + soft, value))


def angle_between(angle: Field, center: float) -> Field:
    """The signed difference of two angles, between minus pi and pi."""
    return np.asarray((angle - center + math.pi) % (2 * math.pi) - math.pi)


def clouds(rng: Generator, size: int, sigma_px: float) -> Field:
    """Noise of mean 0 and spread 1 that varies over about `sigma_px`."""
    noise = cv2.GaussianBlur(rng.standard_normal((size, size)), (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT)
    return np.asarray(noise / max(float(noise.std()), 1e-9))


def blank(radius_px: float, rng: Generator) -> Surface:
    """A sound casting in a random turn: rim, curved vanes, hub and bore, no two alike."""
    half = math.ceil(radius_px * 1.22) + 4
    line = np.arange(2 * half, dtype=np.float64) + 0.5 - half
    x, y = np.meshgrid(line, line)
    turn = float(rng.uniform(0, 2 * math.pi))
    rho = np.hypot(x, y) / radius_px
    angle = np.arctan2(y, x) - turn
    soft = 1.0 / radius_px
    vanes = _vanes(rho, angle, soft, curl=1.5 + float(rng.uniform(-0.06, 0.06)))
    rim, hub = band(RIM, 0.975, rho, 1.6 * soft), band(BORE + 0.02, HUB, rho, 1.8 * soft)
    height = radius_px * (0.085 * rim + 0.105 * hub + 0.06 * vanes * (1 - rim) * (1 - hub))
    machined = np.clip(rim + hub, 0.0, 1.0)
    size = 2 * half
    cast = 0.43 + 0.028 * clouds(rng, size, 0.9) + 0.03 * clouds(rng, size, radius_px / 9) + 0.06 * vanes
    turned = 0.64 + 0.018 * np.sin(rho * radius_px * 2.4 + float(rng.uniform(0, 6))) + 0.012 * clouds(rng, size, 0.7)
    tone = (cast * (1 - machined) + turned * machined) * float(rng.uniform(0.93, 1.07))
    tone *= 1.0 - 0.88 * (1 - smoothstep(BORE - soft, BORE + soft, rho))
    surface = Surface(
        radius_px=radius_px,
        x=x,
        y=y,
        rho=rho,
        angle=angle,
        edge_px=np.full_like(rho, radius_px),
        height=height,
        tone=tone,
        cut=np.zeros_like(rho),
    )
    _harmless_marks(surface, rng)
    return surface


def _vanes(rho: Field, angle: Field, soft: float, curl: float) -> Field:
    phase = angle_between((angle + curl * (rho - HUB)) * VANES, 0.0) / VANES * rho
    width = 0.055 + 0.02 * rho
    return (1 - smoothstep(-1.4 * soft, 1.4 * soft, np.abs(phase) - width)) * band(HUB - 0.05, RIM + 0.03, rho, soft)


def _harmless_marks(surface: Surface, rng: Generator) -> None:
    """Stains of oil and handling that a sound part may carry: broad, faint and without relief."""
    for _ in range(int(rng.integers(0, 4))):
        away, where = float(rng.uniform(0.2, 0.95)) * surface.radius_px, float(rng.uniform(0, 2 * math.pi))
        reach = float(rng.uniform(0.08, 0.22)) * surface.radius_px
        square = (surface.x - away * math.cos(where)) ** 2 + (surface.y - away * math.sin(where)) ** 2
        surface.tone *= 1.0 - float(rng.uniform(-0.05, 0.09)) * np.exp(-square / (2 * reach * reach))
