"""From a mask to single parts: outlines, filled, and cut where two parts touch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

NECK = 0.7
"""Two parts touch where the shape is narrower than this share of the thinner one's thickness."""


LITTLE, MUCH = 64.0, 150.0
"""Evidence (0 to 255) that a shape reaches out to, and that it must hold somewhere."""


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


def blobs(evidence: NDArray[np.float32], smallest: float) -> list[Blob]:
    """Every shape of at least `smallest` pixels, holes filled, touching ones cut apart.

    A shape reaches as far as there is some evidence, and needs some place with much.
    """
    mask = cv2.threshold(evidence, LITTLE, 255, cv2.THRESH_BINARY)[1].astype(np.uint8)
    closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    contours, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    found: list[Blob] = []
    for contour in contours:
        left, top, width, height = cv2.boundingRect(contour)
        if max(width, height) < smallest:
            continue
        if evidence[top : top + height, left : left + width].max() < MUCH:
            continue
        shape = np.zeros((height + 2, width + 2), dtype=np.uint8)
        cv2.drawContours(shape, [contour], 0, 255, cv2.FILLED, offset=(1 - left, 1 - top))
        opened = cv2.morphologyEx(shape, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))[1:-1, 1:-1]
        if opened.any():
            found.extend(_cut(np.ascontiguousarray(opened), left, top))
    return [each for each in found if each.right - each.left >= smallest and each.bottom - each.top >= smallest]


def _cut(shape: NDArray[np.uint8], left: int, top: int) -> list[Blob]:
    padded = cv2.copyMakeBorder(shape, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 3)
    deepest = float(depth.max())
    cores = (depth > NECK * deepest).astype(np.uint8)
    count, labels = cv2.connectedComponents(cores)
    if count <= 2:
        return [_blob(shape, left, top)]
    grown = cv2.watershed(
        cv2.cvtColor(padded, cv2.COLOR_GRAY2BGR), _markers(np.asarray(labels), np.asarray(padded), count)
    )
    pieces = [np.where(grown[1:-1, 1:-1] == each, 255, 0).astype(np.uint8) for each in range(1, count)]
    return [_blob(piece, left, top) for piece in pieces if piece.any()]


def _markers(labels: NDArray[Any], padded: NDArray[Any], count: int) -> NDArray[np.int32]:
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
