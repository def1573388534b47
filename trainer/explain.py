"""Why a picture was judged as it was: the network's own map, and occlusion of the very file that ships."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.bundle import InputSpec
from trainer.augment import Image, seen
from trainer.backend import keras
from trainer.drawn import flawed
from trainer.fit import defect_map

Heat = NDArray[np.float32]


def cam(model: Any, pictures: Image) -> Heat:
    """The defect map of each `(height, width, channels)` picture: `(n, rows, columns)`, the loudest defect per cell."""
    asked = keras.Model(model.input, defect_map(model))
    return np.asarray(asked(pictures.astype(np.float32), training=False)).max(axis=3)


def occlusion(evidence: Callable[[Image], float], picture: Image, patch_px: int = 12, stride_px: int = 6) -> Heat:
    """How much the evidence of a defect falls when a patch is painted over with its surroundings' mean.

    Works on any model, the int8 file above all: it is asked, not looked into.
    """
    height, width = picture.shape[:2]
    tops, lefts = range(0, height - patch_px + 1, stride_px), range(0, width - patch_px + 1, stride_px)
    before, heat = evidence(picture), np.zeros((len(tops), len(lefts)), np.float32)
    for row, top in enumerate(tops):
        for column, left in enumerate(lefts):
            covered = picture.copy()
            around = picture[max(0, top - 4) : top + patch_px + 4, max(0, left - 4) : left + patch_px + 4]
            covered[top : top + patch_px, left : left + patch_px] = np.rint(around.mean(axis=(0, 1))).astype(np.uint8)
            heat[row, column] = before - evidence(covered)
    return heat


def points_at(heat: Heat, mask: NDArray[np.float32], reach_px: float = 8.0) -> bool:
    """Whether the hottest place lies within `reach_px` of a known flaw; `mask` is `(height, width)`, 0 to 1."""
    height, width = mask.shape
    row, column = np.unravel_index(int(np.argmax(heat)), heat.shape)
    y, x = (row + 0.5) * height / heat.shape[0], (column + 0.5) * width / heat.shape[1]
    away = cv2.distanceTransform((mask < 0.4).astype(np.uint8), cv2.DIST_L2, 5)
    return bool(away[min(height - 1, int(y)), min(width - 1, int(x))] <= reach_px)


def pointing(model: Any, crops: list[Image], spec: InputSpec, seed: int, at_most: int = 200) -> tuple[int, int]:
    """Of flaws drawn onto good crops, how many the map points at; and how many were drawn."""
    random, hits, asked = np.random.default_rng(seed), 0, crops[:at_most]
    for crop in asked:
        spoilt, mask = flawed(crop, random)
        small = cv2.resize(mask, (spec.width, spec.height), interpolation=cv2.INTER_LINEAR)
        hits += points_at(cam(model, seen(spoilt, spec)[None])[0], small)
    return hits, len(asked)


def overlay(picture: Image, heat: Heat) -> NDArray[np.uint8]:
    """The picture with the heat above it in red, BGR, side by side with the plain picture."""
    height, width = picture.shape[:2]
    plain = picture if picture.shape[2] == 3 else cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
    warm = np.clip((heat - np.median(heat)) / max(1e-6, float(heat.max() - np.median(heat))), 0, 1)
    strength = cv2.resize(warm.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)[:, :, None]
    red = plain * (1 - 0.6 * strength) + np.array([0, 0, 255], np.float32) * 0.6 * strength
    return np.hstack([plain, np.clip(red, 0, 255).astype(np.uint8)])
