"""From a mask to single parts: outlines, filled, and cut where two parts touch."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

NECK = 0.7
"""Two parts touch where the shape is narrower than this share of the thinner one's thickness."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """One shape, in pixels of the mask; `shape` is its own little mask at `(left, top)`."""

    left: int
    top: int
    right: int
    bottom: int
    area: int
    shape: NDArray[np.uint8]

    @property
    def center(self) -> tuple[float, float]:
        """Middle of its extent, `(along, across)`."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2


def blobs(mask: NDArray[np.uint8], smallest: float) -> list[Blob]:
    """Every shape of at least `smallest` pixels across, holes filled, touching ones cut apart."""
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    found: list[Blob] = []
    for contour in contours:
        left, top, width, height = cv2.boundingRect(contour)
        if max(width, height) < smallest:
            continue
        shape = np.zeros((height, width), dtype=np.uint8)
        cv2.drawContours(shape, [contour], 0, 255, cv2.FILLED, offset=(-left, -top))
        found.extend(_cut(shape, left, top))
    return [each for each in found if each.right - each.left >= smallest / 2 and each.bottom - each.top >= smallest / 2]


def _cut(shape: NDArray[np.uint8], left: int, top: int) -> list[Blob]:
    padded = cv2.copyMakeBorder(shape, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 3)
    deepest = float(depth.max())
    cores = (depth > NECK * deepest).astype(np.uint8)
    count, labels = cv2.connectedComponents(cores)
    if count <= 2:
        return [_blob(shape, left, top)]
    grown = cv2.watershed(cv2.cvtColor(padded, cv2.COLOR_GRAY2BGR), _markers(labels, padded, count))
    pieces = [np.where(grown[1:-1, 1:-1] == each, 255, 0).astype(np.uint8) for each in range(1, count)]
    return [_blob(piece, left, top) for piece in pieces if piece.any()]


def _markers(labels: NDArray[np.int32], padded: NDArray[np.uint8], count: int) -> NDArray[np.int32]:
    markers = labels.astype(np.int32)
    markers[padded == 0] = count
    return markers


def _blob(shape: NDArray[np.uint8], left: int, top: int) -> Blob:
    x, y, width, height = cv2.boundingRect(shape)
    own = shape[y : y + height, x : x + width]
    return Blob(
        left=left + x,
        top=top + y,
        right=left + x + width,
        bottom=top + y + height,
        area=int(cv2.countNonZero(own)),
        shape=own,
    )
