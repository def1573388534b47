"""A simulated part as light and shadow, ready to be laid on any place of a belt.

Shapes are worked out once per part in double precision; what happens per frame is whole numbers only,
so that the same seed gives the same picture on every machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from edge.sources.simulation.defects import DEFECTS
from edge.sources.simulation.surface import HUB, RIM, Field, Surface, band, blank

Plane = NDArray[np.uint16]

PHASES = 8
"""A part is placed to an eighth of a pixel."""

_LIGHT = (-0.52, -0.62, 0.59)
"""Where the lamp stands, as a unit vector: upper left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sprite:
    """One part seen from above; its centre is the middle of the planes, which have even sides."""

    light: Plane
    """Grey level times 16, already weighted by how much the part covers."""
    through: Plane
    """How much of the belt shows, 0 to 256."""
    outline_px: tuple[float, float, float, float]
    """Left, top, right, bottom of the metal, relative to the centre."""

    @property
    def half_px(self) -> int:
        return self.light.shape[0] // 2


def render(label: str, diameter_px: float, rng: Generator) -> Sprite:
    """Make a part: `label` is "ok" or one of `DEFECTS`."""
    surface = blank(diameter_px / 2, rng)
    if label != "ok":
        DEFECTS[label](surface, rng)
    metal = np.clip(0.5 + surface.edge_px - surface.rho * surface.radius_px, 0.0, 1.0) * (1 - surface.cut)
    grey = _shaded(surface)
    blur = (0, 0), 0.55
    covered = cv2.GaussianBlur(metal, *blur)
    lit = cv2.GaussianBlur(metal * grey, *blur)
    shadow = _shadow(metal, surface.radius_px)
    belt = (1 - covered) * (1 - shadow)
    return Sprite(
        light=np.rint(lit * 16).astype(np.uint16),
        through=np.rint(belt * 256).astype(np.uint16),
        outline_px=_outline(metal),
    )


def lay(sprite: Sprite, canvas: NDArray[np.uint8], x_px: float, y_px: float) -> None:
    """Put a part onto a gray picture with its centre at `(x_px, y_px)`; it may reach beyond the edges."""
    left, shift_x = divmod(round((x_px - sprite.half_px) * PHASES), PHASES)
    top, shift_y = divmod(round((y_px - sprite.half_px) * PHASES), PHASES)
    light = _shifted(sprite.light, shift_x, shift_y, 0)
    through = _shifted(sprite.through, shift_x, shift_y, 256)
    height, width = canvas.shape
    rows = slice(max(0, -top), min(light.shape[0], height - top))
    columns = slice(max(0, -left), min(light.shape[1], width - left))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    place = canvas[top + rows.start : top + rows.stop, left + columns.start : left + columns.stop]
    mixed = place.astype(np.uint16)
    mixed *= through[rows, columns]
    mixed += light[rows, columns] * np.uint16(16)
    mixed += 128
    mixed >>= 8
    place[:] = mixed


def _shifted(plane: Plane, right: int, down: int, outside: int) -> Plane:
    """Moved by eighths of a pixel to the right and down, onto a plane one pixel larger."""
    size = plane.shape[0] + 1
    wide = np.full((size, size), outside, np.uint16)
    wide[:-1, :-1] = plane
    return _blended(_blended(wide, right, outside).T, down, outside).T


def _blended(plane: Plane, right: int, outside: int) -> Plane:
    if right == 0:
        return plane
    moved = plane * np.uint16(PHASES - right)
    moved[:, 1:] += plane[:, :-1] * np.uint16(right)
    moved[:, 0] += np.uint16(outside * right)
    moved += np.uint16(PHASES // 2)
    moved //= np.uint16(PHASES)
    return moved


def _shaded(surface: Surface) -> Field:
    """Grey levels of a relief under one lamp and a diffuse dome."""
    relief = cv2.GaussianBlur(surface.height, (0, 0), 0.6)
    down, right = np.gradient(relief)
    length = np.sqrt(1 + down * down + right * right)
    facing = (-right * _LIGHT[0] - down * _LIGHT[1] + _LIGHT[2]) / length
    machined = band(RIM, 0.975, surface.rho, 0.02) + band(0.17, HUB, surface.rho, 0.03)
    facing = np.clip(facing, 0, 1)
    # Turned metal shines in two fans that point to the lamp, whichever way the part lies.
    toward = (surface.x * _LIGHT[0] + surface.y * _LIGHT[1]) / math.hypot(_LIGHT[0], _LIGHT[1])
    fans = _squared(toward / (surface.rho * surface.radius_px), 3) * machined
    gloss = _squared(facing, 2) * _squared(facing, 3)
    light = 0.30 + 1.12 * facing + 0.28 * fans + 0.5 * gloss
    return np.asarray(np.clip(surface.tone * light * 225, 12, 243))


def _squared(value: Field, times: int) -> Field:
    for _ in range(times):
        value = value * value
    return value


def _shadow(metal: Field, radius_px: float) -> Field:
    """How much of the lamp the part keeps from the belt beside it."""
    away = max(1, round(radius_px * 0.04))
    cast = np.roll(metal, (away, away), axis=(0, 1))
    return np.asarray(0.5 * cv2.GaussianBlur(cast, (0, 0), max(1.0, radius_px * 0.035)))


def _outline(metal: Field) -> tuple[float, float, float, float]:
    half = metal.shape[0] / 2
    columns, rows = (np.flatnonzero((metal > 0.5).any(axis=axis)) for axis in (0, 1))
    left, right = float(columns[0]) - half, float(columns[-1]) + 1 - half
    return left, float(rows[0]) - half, right, float(rows[-1]) + 1 - half
