"""Drawn parts that are not round, lying any way round on a belt; where they were put is known."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

Image = np.ndarray
FULL_PX = 640
"""Side of the drawing that a part is made from."""


def grain(random: np.random.Generator, size: tuple[int, int], reach: float, depth: float) -> Image:
    """Smooth noise around zero, `depth` grey levels strong."""
    noise = cv2.GaussianBlur(random.standard_normal(size).astype(np.float32), (0, 0), reach)
    return noise * np.float32(depth / max(1e-6, float(noise.std())))


def finished(light: Image) -> Image:
    """A picture as a camera gives it."""
    return np.clip(light + 0.5, 0, 255).astype(np.uint8)


def bracket(seed: int, kind: str, side: int = 160, *, turned: bool = True) -> tuple[Image, Image]:
    """A stamped bracket, gray, lying any way round on a belt, and where its flaw is."""
    image, mask, _ = posed(seed, kind, bracket_shape, side, turned=turned)
    return image, mask


def gear(seed: int, kind: str, side: int = 160) -> tuple[Image, Image]:
    """A toothed wheel with a keyway, which alone says how it is turned."""
    image, mask, _ = posed(seed, kind, gear_shape, side, turned=True)
    return image, mask


def posed(
    seed: int, kind: str, outline: Callable[[np.random.Generator], Image], side: int, *, turned: bool
) -> tuple[Image, Image, Image]:
    """A part drawn four times as large, marked, and put on a belt: picture, mask, and where it was put (2 × 3)."""
    random = np.random.default_rng(seed)
    large = outline(random)
    full = large.shape[0]
    metal, flaw = large[:, :, 0].astype(np.float32), np.zeros((full, full), np.uint8)
    inside = np.argwhere(cv2.erode((large[:, :, 1] > 0).astype(np.uint8), np.ones((41, 41), np.uint8)) > 0)
    row, column = inside[random.integers(len(inside))]
    if kind == "pit":
        cv2.circle(flaw, (int(column), int(row)), int(random.integers(9, 17)), 255, -1, cv2.LINE_AA)
        metal -= flaw / 255 * random.uniform(60, 100)
    elif kind == "scratch":
        way = random.uniform(0, 2 * np.pi)
        end = (int(column + 90 * np.cos(way)), int(row + 90 * np.sin(way)))
        cv2.line(flaw, (int(column), int(row)), end, 255, 6, cv2.LINE_AA)
        flaw[large[:, :, 1] == 0] = 0
        metal += flaw / 255 * 55
    angle, scale = random.uniform(0, 360) if turned else random.uniform(-2, 2), side / full * random.uniform(0.97, 1.03)
    pose = cv2.getRotationMatrix2D(((full - 1) / 2, (full - 1) / 2), angle, scale)
    pose[:, 2] += side / 2 - full / 2 + random.uniform(-0.04, 0.04, 2) * side
    how = {"dsize": (side, side), "flags": cv2.INTER_AREA}
    soft = cv2.GaussianBlur(np.dstack([metal, large[:, :, 1].astype(np.float32)]), (0, 0), 0.4 * full / side)
    laid = cv2.warpAffine(soft, pose, **how)
    cover = laid[:, :, 1] / 255
    light = (50 + grain(random, (side, side), 1.5, 3)) * (1 - cover) + laid[:, :, 0] * cover
    light = light * random.uniform(0.85, 1.15) + random.uniform(-8, 8)
    light += np.linspace(-1, 1, side, dtype=np.float32)[None] * random.uniform(-10, 10)
    return finished(light + random.normal(0, 2, light.shape)), cv2.warpAffine(flaw, pose, **how), pose


def bracket_shape(random: np.random.Generator) -> Image:
    full = FULL_PX
    shape, metal = np.zeros((full, full), np.uint8), np.full((full, full), 150, np.float32)
    outline = [(90, 140), (550, 140), (550, 300), (300, 300), (250, 350), (250, 520), (90, 520)]
    cv2.fillPoly(shape, [np.array(outline, np.int32)], 255, cv2.LINE_AA)
    for x, y, radius in ((160, 210, 36), (470, 220, 46), (170, 440, 30)):
        cv2.circle(metal, (x, y), radius + 16, 185, -1, cv2.LINE_AA)
        cv2.circle(shape, (x, y), radius, 0, -1, cv2.LINE_AA)
    cv2.rectangle(metal, (270, 170), (400, 190), 110, -1)
    metal += grain(random, (full, full), 6, 4)
    return np.dstack([finished(metal), shape])


def gear_shape(random: np.random.Generator) -> Image:
    full = FULL_PX
    shape, metal = np.zeros((full, full), np.uint8), np.full((full, full), 160, np.float32)
    angles = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    reach = 235 + 30 * np.tanh(4 * np.sin(14 * angles))
    outline = 320 + np.stack([reach * np.cos(angles), reach * np.sin(angles)], axis=1)
    cv2.fillPoly(shape, [np.rint(outline).astype(np.int32)], 255, cv2.LINE_AA)
    cv2.circle(metal, (320, 320), 150, 120, -1, cv2.LINE_AA)
    cv2.circle(metal, (320, 320), 100, 175, -1, cv2.LINE_AA)
    cv2.circle(shape, (320, 320), 60, 0, -1, cv2.LINE_AA)
    cv2.rectangle(shape, (370, 300), (400, 340), 0, -1)
    metal += grain(random, (full, full), 6, 4)
    return np.dstack([finished(metal), shape])
