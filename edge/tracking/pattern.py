"""What parts look like when all are alike: fitted into a heap of them, it tells how many there are and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8]
Field = NDArray[np.float32]

AGREE = 0.8
"""Parts are alike when they cover their common shape this well, overlap over union, on average."""
FITS = 0.5
"""A part lies where at least this share of the shape is filled, beside the parts that were found before."""
EXPLAINED = 0.8
"""What was found must cover at least this share of a heap, or it is not believed."""
CROWDED = 0.3
"""How much what lies right beside a place speaks against it: a heap is filled from its ends."""
MOST = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """The common shape, with its centre of gravity in the middle; sides are odd."""

    core: Mask
    """1 inside."""
    kernel: Field
    """Correlated with a mask it gives the share that is filled, less what lies right beside it."""

    def cut(self, shape: Mask) -> list[Mask]:
        """The pieces of a heap, one for each part, as masks of the size of `shape`; empty when it is not understood."""
        half = self.core.shape[0] // 2
        rest: Field = np.pad((shape > 0).astype(np.float32), half)
        centers: list[tuple[int, int]] = []
        while len(centers) < MOST:
            center = self._best(rest)
            if center is None:
                break
            centers.append(center)
            self._window(rest, center)[self.core > 0] = 0
        inside = shape > 0
        explained = 1 - np.count_nonzero(rest[half:-half, half:-half][inside]) / max(1, np.count_nonzero(inside))
        if len(centers) < 2 or explained < EXPLAINED:
            return []
        nearest = self._nearest(shape.shape, centers, half)
        return [np.where(inside & (nearest == each), 255, 0).astype(np.uint8) for each in range(len(centers))]

    def likeness(self, shape: Mask) -> float:
        """Overlap over union with one shape, 0 to 1."""
        other = _centered(shape, max(self.core.shape[0], 2 * (max(shape.shape) // 2 + 2) + 1))
        room = (other.shape[0] - self.core.shape[0]) // 2
        own = np.pad(self.core, room)
        return float(np.count_nonzero(own & other) / max(1, np.count_nonzero(own | other)))

    def _best(self, rest: Field) -> tuple[int, int] | None:
        """`(row, column)` in the padded heap where the next part lies."""
        fit = cv2.filter2D(rest, cv2.CV_32F, self.kernel, borderType=cv2.BORDER_CONSTANT)
        half = self.core.shape[0] // 2
        column, row = cv2.minMaxLoc(fit[half:-half, half:-half])[3]
        center = row + half, column + half
        filled = float(self._window(rest, center)[self.core > 0].mean())
        return center if filled >= FITS else None

    def _window(self, padded: Field, center: tuple[int, int]) -> Field:
        half = self.core.shape[0] // 2
        return padded[center[0] - half : center[0] + half + 1, center[1] - half : center[1] + half + 1]

    @staticmethod
    def _nearest(size: tuple[int, ...], centers: list[tuple[int, int]], half: int) -> NDArray[np.intp]:
        rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
        away = [(rows - row + half) ** 2 + (columns - column + half) ** 2 for row, column in centers]
        return np.asarray(np.argmin(np.stack(away), axis=0))


def pattern_of(shapes: Sequence[Mask]) -> Pattern | None:
    """The common shape of parts, if they are alike enough to have one."""
    side = 2 * (max(max(shape.shape) for shape in shapes) // 2 + 2) + 1
    centered = np.stack([_centered(shape, side) for shape in shapes])
    core = np.asarray(2 * centered.sum(axis=0, dtype=np.int32) > len(shapes), dtype=np.uint8)
    if not core.any():
        return None
    within, either = (_counted(each) for each in (centered & core, centered | core))
    agreement = np.mean(within / either)
    if agreement < AGREE:
        return None
    around = cv2.dilate(core, np.ones((5, 5), np.uint8)) - core
    kernel = core / core.sum() - CROWDED * around / max(1, int(around.sum()))
    return Pattern(core=core, kernel=kernel.astype(np.float32))


def _counted(stack: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How many pixels of each mask in `(masks, rows, columns)` are 1."""
    return np.asarray(stack.sum(axis=(1, 2), dtype=np.int64))


def _centered(shape: Mask, side: int) -> Mask:
    moments = cv2.moments(shape, True)
    area = max(1.0, moments["m00"])
    left = side // 2 - round(moments["m10"] / area)
    top = side // 2 - round(moments["m01"] / area)
    canvas = np.zeros((side, side), dtype=np.uint8)
    rows, columns = (
        slice(max(0, top), min(side, top + shape.shape[0])),
        slice(max(0, left), min(side, left + shape.shape[1])),
    )
    canvas[rows, columns] = shape[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] > 0
    return canvas
