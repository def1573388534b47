"""Flaws drawn onto good parts: where they are is known, so a network can be shown the place, and asked for it later."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Mask = NDArray[np.float32]

KINDS = ("spot", "scratch", "shade")
TRIES, FAINTEST = 4, 18
"""How often a flaw is drawn anew that does not show, and the grey levels by which it must."""
PART = (0.08, 0.85)
"""Share of a picture that a part covers, for it to be told from what it lies on."""
REACH = 0.40
"""How far from the middle a flaw may lie, as a share of the crop's shorter side: parts are cut out with a margin."""


def flawed(
    crop: Image, random: np.random.Generator, *, unrolled: bool = False, subtle: bool = False
) -> tuple[Image, Mask]:
    """A copy of a `(height, width)` or BGR crop with one to three flaws, and where they are, 0 to 1.

    They are drawn where the part is, if it stands out from the picture's edge, and where they can be seen. An unrolled
    part fills its picture: there any place will do. `subtle` ones are mostly small and faint.
    """
    spoilt, where = _drawn(crop, random, subtle=subtle)
    part = None if unrolled else standing_out(crop)
    for _ in range(0 if unrolled else TRIES):
        if _shows(crop, spoilt, where, part):
            break
        spoilt, where = _drawn(crop, random, subtle=subtle)
    return spoilt, where


def _drawn(crop: Image, random: np.random.Generator, *, subtle: bool) -> tuple[Image, Mask]:
    height, width = crop.shape[:2]
    light, where = crop.astype(np.float32), np.zeros((height, width), np.float32)
    kind = KINDS[random.integers(len(KINDS))]
    for _ in range(int(random.choice([1, 1, 1, 2, 3]))):
        change, mask = {"spot": _spot, "scratch": _scratch, "shade": _shade}[kind]((height, width), random, subtle)
        light += change if crop.ndim == 2 else change[:, :, None]
        where = np.maximum(where, mask)
    return np.asarray(np.clip(light + 0.5, 0, 255), dtype=np.uint8), where


def standing_out(crop: Image) -> NDArray[np.bool_] | None:
    """Where a part lies in its picture, by what differs from the picture's edge; None where that says nothing."""
    gray = crop if crop.ndim == 2 else crop.mean(axis=2).astype(np.uint8)
    edge = np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]]).astype(np.float32)
    ground = float(np.median(edge))
    noise = 1.5 * float(np.median(np.abs(edge - ground)))
    part = np.abs(cv2.blur(gray, (5, 5)).astype(np.float32) - ground) > 3 * noise + 10
    return part if PART[0] <= float(part.mean()) <= PART[1] else None


def _shows(crop: Image, spoilt: Image, where: Mask, part: NDArray[np.bool_] | None) -> bool:
    core = where > 0.5
    if not core.any() or (part is not None and float(part[core].mean()) < 0.5):
        return False
    change = np.abs(spoilt[core].astype(np.int16) - crop[core].astype(np.int16))
    return float(change.max()) >= FAINTEST


def hole(crop: Image, radius_px: float, random: np.random.Generator) -> Image:
    """A copy of the crop with one plain dark hole: the test that a net which sees defects must pass."""
    across, down = _place((crop.shape[0], crop.shape[1]), random)
    return hole_at(crop, (across, down), radius_px)


def hole_at(crop: Image, at: tuple[float, float], radius_px: float) -> Image:
    """The same at a place `(x, y)`."""
    height, width = crop.shape[:2]
    mask = _disc((height, width), at, (radius_px, radius_px), 0.0)
    keep = 1 - 0.85 * (mask if crop.ndim == 2 else mask[:, :, None])
    return np.asarray(crop * keep, dtype=np.uint8)


def cells(mask: Mask, rows: int, columns: int) -> NDArray[np.float32]:
    """Which cells of a network's map hold a flaw: 1 inside, 0 well away, -1 (no matter) beside one."""
    fine = cv2.resize(mask, (columns * 8, rows * 8), interpolation=cv2.INTER_LINEAR)
    peaks = fine.reshape(rows, 8, columns, 8).max(axis=(1, 3))
    core = peaks > 0.4
    if not core.any() and peaks.max() > 0:
        core = peaks == peaks.max()
    beside = cv2.dilate(np.maximum(core, peaks > 0.05).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return np.where(core, 1.0, np.where(beside, -1.0, 0.0)).astype(np.float32)


def _place(size: tuple[int, int], random: np.random.Generator) -> tuple[float, float]:
    height, width = size
    angle, reach = random.uniform(0, 2 * np.pi), REACH * min(size) * np.sqrt(random.random())
    return float((width - 1) / 2 + reach * np.cos(angle)), float((height - 1) / 2 + reach * np.sin(angle))


def _disc(
    size: tuple[int, int], at: tuple[float, float], radii: tuple[float, float], turn_deg: float
) -> NDArray[np.float32]:
    """An ellipse with a soft edge of about one pixel, placed between pixels."""
    mask = np.zeros(size, np.uint8)
    centre = (round(at[0] * 16), round(at[1] * 16))
    axes = (max(8, round(radii[0] * 16)), max(8, round(radii[1] * 16)))
    cv2.ellipse(mask, centre, axes, turn_deg, 0, 360, 255, -1, cv2.LINE_AA, 4)
    return np.asarray(cv2.GaussianBlur(mask, (3, 3), 0), dtype=np.float32) / 255


def _between(low: float, high: float, random: np.random.Generator, subtle: bool) -> float:
    """Any value alike or, of subtle flaws, each doubling alike, so that most are small."""
    return float(np.exp(random.uniform(np.log(low), np.log(high))) if subtle else random.uniform(low, high))


def _depth(random: np.random.Generator, dark: float, subtle: bool) -> float:
    size = _between(FAINTEST if subtle else 25, 110, random, subtle)
    return -size if random.random() < dark else size


def _spot(size: tuple[int, int], random: np.random.Generator, subtle: bool) -> tuple[Mask, Mask]:
    unit = min(size) / 100
    radius = _between(1.0, 4.5, random, subtle) * unit
    radii = (radius, float(radius * random.uniform(0.5, 1.0)))
    mask = _disc(size, _place(size, random), radii, float(random.uniform(0, 180)))
    return mask * _depth(random, 0.8, subtle), mask


def _scratch(size: tuple[int, int], random: np.random.Generator, subtle: bool) -> tuple[Mask, Mask]:
    unit = min(size) / 100
    start, angle = np.array(_place(size, random)), random.uniform(0, 2 * np.pi)
    bend, length = random.uniform(-0.15, 0.15), random.uniform(6, 30) * unit
    angles = angle + bend * np.arange(6)
    steps = length / 6 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    line = np.rint((start + np.concatenate([[[0, 0]], np.cumsum(steps, axis=0)])) * 16).astype(np.int32)
    mask = np.zeros(size, np.uint8)
    cv2.polylines(mask, [line], False, 255, 1 if random.random() < 0.7 else 2, cv2.LINE_AA, 4)
    soft = np.asarray(cv2.GaussianBlur(mask, (3, 3), 0.6), dtype=np.float32) / 255
    peak = float(soft.max())
    soft = soft / peak if peak > 0 else soft
    return soft * _depth(random, 0.4, subtle), soft


def _shade(size: tuple[int, int], random: np.random.Generator, subtle: bool) -> tuple[Mask, Mask]:
    """A shallow dent or bump: one side of it is lit more, the other less."""
    unit = min(size) / 100
    at, spread = _place(size, random), random.uniform(2.0, 6.0) * unit
    across, down = np.arange(size[1]) - at[0], np.arange(size[0]) - at[1]
    hill = np.exp(-(across[None, :] ** 2 + down[:, None] ** 2) / (2 * spread**2)).astype(np.float32)
    angle = random.uniform(0, 2 * np.pi)
    slope = (across[None, :] * np.cos(angle) + down[:, None] * np.sin(angle)) / spread
    change = (hill * slope * _between(25, 80, random, subtle) * 1.6).astype(np.float32)
    return change, np.asarray(hill, dtype=np.float32)
