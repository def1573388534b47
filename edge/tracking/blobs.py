"""A patch of evidence on the unrolled belt, and one shape that may be a part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.tracking.pattern import Pattern

Mask = NDArray[np.uint8]
Evidence = NDArray[np.float32]
LITTLE = 60.0
"""Evidence (0 to 255) that a shape reaches out to."""
LUMP = 1.35
"""Only what is larger than the usual part by this factor may be several parts."""
CRUMB = 0.25
"""What is smaller than this share of its neighbour, or of the usual part, is no part."""

SQUARE = np.ones((3, 3), np.uint8)


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
    beside: bool = False
    """Whether the patch it was cut from reaches a side of the belt, as an arm does."""
    several: bool = False
    """Whether it may be several parts; nobody knows while the usual size is unknown."""

    def moved(self, along: int) -> Blob:
        """The same shape farther along."""
        return Blob(  # `replace` takes twice as long, and this is done for every shape
            left=self.left + along,
            top=self.top,
            right=self.right + along,
            bottom=self.bottom,
            center=(self.center[0] + along, self.center[1]),
            area=self.area,
            thickness=self.thickness,
            shape=self.shape,
            beside=self.beside,
            several=self.several,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """What parts were like so far; 0 where that is not known yet."""

    area: float = 0.0
    thickness: float = 0.0
    uniform: bool = False
    """Whether they were all about equally large."""
    settled: bool = False
    """Whether enough parts were seen to rely on it for cutting."""
    pattern: Pattern | None = None
    """Their common shape, when they have one."""
    smallest: float = 4.0
    """What is shorter than this on its longer side is no part."""


class Group(NamedTuple):
    """A connected patch of evidence, before anyone asks how many parts it is."""

    rectangle: tuple[int, int, int, int]
    """Left, top, right, bottom."""
    contour: NDArray[Any]


def groups(evidence: Evidence, usual: Usual) -> list[Group]:
    """Every patch of evidence that is large enough to hold a part."""
    mask = np.greater(evidence, LITTLE).view(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    found = []
    for contour in contours:
        if len(contour) < 4:
            continue
        left, top, width, height = cv2.boundingRect(contour)
        if max(width, height) >= usual.smallest:
            found.append(Group(rectangle=(left, top, left + width, top + height), contour=contour))
    return found


def filled(group: Group) -> Mask:
    """The patch without holes, in its own rectangle."""
    left, top, right, bottom = group.rectangle
    inside: Mask = np.zeros((bottom - top, right - left), dtype=np.uint8)
    cv2.drawContours(inside, [group.contour], 0, 255, cv2.FILLED, offset=(-left, -top))
    return inside


def blob_of(shape: Mask, left: int, top: int, thickness: float) -> Blob:
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


def measured(piece: Mask, left: int, top: int) -> Blob:
    depth = cv2.distanceTransform(cv2.copyMakeBorder(piece, 1, 1, 1, 1, cv2.BORDER_CONSTANT), cv2.DIST_L2, 3)
    return blob_of(piece, left, top, 2 * float(depth.max()))


def white(chosen: NDArray[np.bool_]) -> Mask:
    """255 where chosen. OpenCV's `compare` would take a picture of one or four pixels for a number."""
    return chosen.view(np.uint8) * np.uint8(255)
