"""From evidence on the unrolled belt to single parts: outlines, filled, and cut where two parts touch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8]
Evidence = NDArray[np.float32]

LITTLE, MUCH = 60.0, 140.0
"""Evidence (0 to 255) that a shape reaches out to, and that it must hold somewhere."""
OWN = 0.4
"""A shape ends where the evidence falls below this share of its own."""
NECK = 0.7
"""Two parts touch where the shape is narrower than this share of the thinner one."""
CRUMB = 0.25
"""What is smaller than this share of its neighbour, or of the usual part, is no part."""
THIN = 0.35
"""What is thinner than this share of the usual part is a seam or a scratch of the belt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """One shape; `shape` is its own little mask at `(left, top)`."""

    left: int
    top: int
    right: int
    bottom: int
    center: tuple[float, float]
    """Its centre of gravity, `(along, across)`."""
    area: int
    thickness: float
    """Diameter of the largest circle inside it."""
    shape: Mask

    def moved(self, along: int) -> Blob:
        """The same shape farther along."""
        center = self.center[0] + along, self.center[1]
        return replace(self, left=self.left + along, right=self.right + along, center=center)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """What parts were like so far; 0 where that is not known yet."""

    area: float = 0.0
    thickness: float = 0.0
    smallest: float = 4.0
    """What is shorter than this on its longer side is no part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A connected patch of evidence, before anyone asks how many parts it is."""

    rectangle: tuple[int, int, int, int]
    """Left, top, right, bottom."""
    contour: NDArray[Any]


def groups(evidence: Evidence, usual: Usual) -> list[Group]:
    """Every patch of evidence that is large enough to hold a part."""
    mask = cv2.threshold(evidence, LITTLE, 255, cv2.THRESH_BINARY)[1].astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    found = []
    for contour in contours:
        if len(contour) < 4:
            continue
        left, top, width, height = cv2.boundingRect(contour)
        if max(width, height) >= usual.smallest:
            found.append(Group(rectangle=(left, top, left + width, top + height), contour=contour))
    return found


def split(group: Group, evidence: Evidence, usual: Usual) -> list[Blob]:
    """The parts in a group: what stands out as much as the clearest of it, then what is left over."""
    left, top, right, bottom = group.rectangle
    inside: Mask = np.zeros((bottom - top, right - left), dtype=np.uint8)
    cv2.drawContours(inside, [group.contour], 0, 255, cv2.FILLED, offset=(-left, -top))
    here = cv2.bitwise_and(evidence[top:bottom, left:right], evidence[top:bottom, left:right], mask=inside)
    found: list[Blob] = []
    for _ in range(3):
        level = float(here.max())
        if level < MUCH:
            break
        strong = cv2.threshold(here, max(LITTLE, OWN * level), 255, cv2.THRESH_BINARY)[1].astype(np.uint8)
        shapes = _filled(strong)
        for shape, x, y in shapes:
            found.extend(each for each in _cut(shape, left + x, top + y, usual) if _is_part(each, usual))
        taken = cv2.dilate(strong, np.ones((5, 5), np.uint8))
        for shape, x, y in shapes:
            window = taken[y : y + shape.shape[0], x : x + shape.shape[1]]
            np.maximum(window, shape, out=window)
        here = cv2.bitwise_and(here, here, mask=cv2.bitwise_not(taken))
    largest = max((each.area for each in found), default=0)
    return [each for each in found if each.area >= CRUMB * largest]


def _filled(strong: Mask) -> list[tuple[Mask, int, int]]:
    """Each outline in a mask as a solid shape without thin tails, with the place of its corner."""
    closed = cv2.morphologyEx(strong, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    contours, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    found: list[tuple[Mask, int, int]] = []
    for contour in contours:
        left, top, width, height = cv2.boundingRect(contour)
        if min(width, height) < 3:
            continue
        solid: Mask = np.zeros((height + 2, width + 2), dtype=np.uint8)
        cv2.drawContours(solid, [contour], 0, 255, cv2.FILLED, offset=(1 - left, 1 - top))
        opened = cv2.morphologyEx(solid, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))[1:-1, 1:-1]
        if opened.any():
            found.append((np.ascontiguousarray(opened, dtype=np.uint8), left, top))
    return found


def _cut(shape: Mask, left: int, top: int, usual: Usual) -> list[Blob]:
    """Cut a shape at its necks; pieces too small to be parts stay with their neighbour."""
    padded = cv2.copyMakeBorder(shape, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 3)
    deepest = float(depth.max())
    whole = [_blob(shape, left, top, 2 * deepest)]
    if usual.area and whole[0].area < 1.3 * usual.area:
        return whole
    count, cores = cv2.connectedComponents((depth > NECK * deepest).astype(np.uint8))
    if count <= 2:
        return whole
    markers = np.asarray(cores, dtype=np.int32)
    markers[padded == 0] = count
    grown = cv2.watershed(cv2.cvtColor(padded, cv2.COLOR_GRAY2BGR), markers)[1:-1, 1:-1]
    pieces = [np.where(grown == each, 255, 0).astype(np.uint8) for each in range(1, count)]
    blobs = [_blob(piece, left, top, 2 * float(depth[cores == i + 1].max())) for i, piece in enumerate(pieces)]
    least = max(CRUMB * max(each.area for each in blobs), 0.4 * usual.area)
    return blobs if all(each.area >= least for each in blobs) else whole


def _is_part(blob: Blob, usual: Usual) -> bool:
    if max(blob.right - blob.left, blob.bottom - blob.top) < usual.smallest:
        return False
    return blob.area >= CRUMB * usual.area and blob.thickness >= THIN * usual.thickness


def _blob(shape: Mask, left: int, top: int, thickness: float) -> Blob:
    x, y, width, height = cv2.boundingRect(shape)
    own = np.ascontiguousarray(shape[y : y + height, x : x + width])
    moments = cv2.moments(own, True)
    area = max(1.0, moments["m00"])
    return Blob(
        left=left + x,
        top=top + y,
        right=left + x + width,
        bottom=top + y + height,
        center=(left + x + moments["m10"] / area + 0.5, top + y + moments["m01"] / area + 0.5),
        area=int(area),
        thickness=thickness,
        shape=own,
    )
