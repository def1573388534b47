"""Parts that touch all round and hide most of the belt, as eggs do: known by the gaps between them."""

from __future__ import annotations

from statistics import median

import cv2
import numpy as np

from edge.tracking.blobs import CRUMB, LUMP, Blob, Mask, Usual, white
from edge.tracking.necks import grown, row_of_equals, summits

FIELD, FEWEST, GAPS = 0.2, 4, 0.03
"""A field of parts that touch all round takes up at least this share of the picture, holds so many, and leaves gaps of
this share between them."""
MANY = 6
"""While the usual part is unknown they must be so many: one part with vanes or ribs has some that are alike, too."""
HOLLOW, SPECK = 0.65, 6
"""A gap fills less than this share of its hull, and has more pixels than a speck."""


def field_of(strong: Mask, left: int, top: int, usual: Usual, picture: int) -> list[Blob]:
    """The parts of a field of them that touch all round, as eggs do; empty when it is none."""
    if strong.size < FIELD * picture:
        return []
    filled, gaps = _without_holes(strong)
    if gaps < GAPS * cv2.countNonZero(filled):
        return []
    # The smallest gaps look like holes, and holes like gaps: whichever makes equal parts is right.
    return equals(strong, left, top, usual) or equals(filled, left, top, usual)


def equals(shape: Mask, left: int, top: int, usual: Usual) -> list[Blob]:
    """The parts of a field, if nearly all of it falls into equal ones."""
    padded = np.asarray(cv2.copyMakeBorder(shape, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0), dtype=np.uint8)
    depth = np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, 3), dtype=np.float32)
    pieces = grown(padded, depth, *summits(depth), left, top)
    alike = row_of_equals(pieces)
    area = median(each.area for each in alike) if alike else 0
    if len(alike) < (FEWEST if usual.settled else MANY):
        return []
    if usual.settled and not usual.area < LUMP * area < LUMP * LUMP * usual.area:
        return []
    return [each for each in pieces if each.area >= CRUMB * area]


def _without_holes(strong: Mask) -> tuple[Mask, int]:
    """The mask with its holes filled, but for those with hollow sides, which are gaps between parts that touch; and
    how many pixels those have."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(cv2.bitwise_not(strong), connectivity=4)
    filled, gaps = strong.copy(), 0
    for each in range(1, count):
        left, top, width, height, area = (int(number) for number in stats[each])
        window = np.s_[top : top + height, left : left + width]
        hole = white(labels[window] == each)
        if area > SPECK and area < HOLLOW * _hull(hole):
            gaps += area
        elif left > 0 and top > 0 and left + width < strong.shape[1] and top + height < strong.shape[0]:
            filled[window] |= hole
    return filled, gaps


def _hull(shape: Mask) -> int:
    """Pixels of the smallest shape without hollow sides around this one."""
    corners = cv2.convexHull(np.vstack(cv2.findContours(shape, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]))
    return int(cv2.countNonZero(cv2.fillConvexPoly(np.zeros_like(shape), corners, 255)))
