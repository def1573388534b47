"""From a patch of evidence to single parts: outlines, filled, and cut where two parts touch."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np

from edge.tracking.blobs import (
    CRUMB,
    LITTLE,
    LUMP,
    SQUARE,
    Blob,
    Evidence,
    Group,
    Mask,
    Usual,
    blob_of,
    measured,
    white,
)
from edge.tracking.field import FEWEST, equals, field_of
from edge.tracking.necks import ALIKE, NECK, at_necks, at_valleys, row_of_equals

MUCH = 140.0
"""Evidence (0 to 255) that a shape must hold somewhere."""
OWN = 0.4
"""A shape ends where the evidence falls below this share of its own."""
DEEP_NECK = 0.5
"""Before the usual size is known, parts touch where a shape is narrower than this share of its thickness."""
SURELY_SEVERAL = 1.6
"""Where all parts are equal, what is larger by this factor is cut even without a neck."""
THIN = 0.35
"""What is thinner than this share of the usual part is a seam, a scratch of the belt or a reflection."""
HOLE = 0.05
"""Holes are filled up to the size of the usual part, or to this share of the picture while that is unknown."""


def split(group: Group, inside: Mask, evidence: Evidence, usual: Usual) -> list[Blob]:
    """The parts in a group, of which `inside` is the filled patch: what stands out as much as the clearest of it."""
    left, top, right, bottom = group.rectangle
    window = evidence[top:bottom, left:right]
    here = cv2.bitwise_and(window, window, mask=inside)
    level = cv2.minMaxLoc(here)[1]
    if level < MUCH:
        return []
    beside = top == 0 or bottom == evidence.shape[0]
    if beside:
        # An arm reaches in from a side; it must not be cut into parts because it is as large as some.
        usual = replace(usual, uniform=False, pattern=None)
    strong = white(here > max(LITTLE, OWN * level))
    if field := field_of(strong, left, top, usual, evidence.size):
        return field
    solid = _solid(strong, usual.area if usual.settled else HOLE * evidence.size, usual.thickness)
    shapes = [blob for shape, x, y in _pieces(solid) for blob in cut(shape, left + x, top + y, usual)]
    found = [each for each in shapes if _is_part(each, usual)]
    largest = max((each.area for each in found), default=0)
    found = [each for each in found if each.area >= CRUMB * largest]
    return [replace(each, beside=True) for each in found] if beside else found


def _solid(strong: Mask, hole: float, thickness: float) -> Mask:
    """The mask with its holes filled up to `hole` pixels, and without anything thin."""
    grown = cv2.copyMakeBorder(strong, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    closed = cv2.morphologyEx(grown, cv2.MORPH_CLOSE, SQUARE)
    contours, tree = cv2.findContours(closed, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    if len(contours) > 1:
        for index, parent in enumerate(tree[0, :, 3].tolist()):
            if parent >= 0 and cv2.contourArea(contours[index]) <= hole:
                cv2.drawContours(closed, contours, index, 255, cv2.FILLED)
    opened = cv2.morphologyEx(closed, cv2.MORPH_OPEN, _square(max(3, round(THIN * thickness))))
    return np.ascontiguousarray(opened[1:-1, 1:-1], dtype=np.uint8)


def _pieces(solid: Mask) -> list[tuple[Mask, int, int]]:
    """Each connected piece as its own little mask, with the place of its corner."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(solid, connectivity=4)
    found: list[tuple[Mask, int, int]] = []
    for each in range(1, count):
        left, top, width, height, _ = stats[each].tolist()
        window = np.s_[top : top + height, left : left + width]
        # The only piece is all there is: no need to tell it from others.
        found.append((solid[window] if count == 2 else white(labels[window] == each), left, top))
    return found


@lru_cache(maxsize=64)
def _square(side: int) -> Mask:
    return np.ones((side, side), np.uint8)


def cut(shape: Mask, left: int, top: int, usual: Usual) -> list[Blob]:
    """Cut a shape at its necks, unless that leaves something too small to be a part."""
    padded = np.asarray(cv2.copyMakeBorder(shape, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0), dtype=np.uint8)
    depth = np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, 3), dtype=np.float32)
    whole = [blob_of(shape, left, top, 2 * cv2.minMaxLoc(depth)[1])]
    if usual.settled:
        if whole[0].area < LUMP * usual.area:
            return whole
        pieces = [measured(each, left, top) for each in (usual.pattern.cut(shape) if usual.pattern else ())]
        if _are_parts(pieces, usual, 0.0):
            return pieces
        pieces = at_necks(padded, depth, NECK, left, top)
        if _are_parts(pieces, usual, 0.4 * usual.area):
            return [part for each in pieces for part in cut(each.shape, each.left, each.top, usual)]
        if whole[0].area > FEWEST * usual.area and (alike := equals(shape, left, top, usual)):
            return alike
        if usual.uniform and whole[0].area > SURELY_SEVERAL * usual.area:
            return at_valleys(shape, left, top, round(whole[0].area / usual.area))
        return whole
    # A row of equal pieces is a row of parts even where the necks are wide; the last may still be coming in.
    pieces = at_necks(padded, depth, NECK, left, top)
    row = row_of_equals(pieces)
    if _are_parts(row, usual, 0.0):
        return pieces
    several = len(pieces) == 2 and max(each.area for each in pieces) < ALIKE * min(each.area for each in pieces)
    pieces = at_necks(padded, depth, DEEP_NECK, left, top)
    if _are_parts(pieces, usual, 0.0):
        return [part for each in pieces for part in cut(each.shape, each.left, each.top, usual)]
    return [replace(whole[0], several=several)]


def _are_parts(pieces: list[Blob], usual: Usual, least: float) -> bool:
    """Whether every piece of a cut is large enough to be a part of its own."""
    if not pieces:
        return False
    least = max(least, CRUMB * max(each.area for each in pieces))
    long_enough = all(max(each.right - each.left, each.bottom - each.top) >= usual.smallest for each in pieces)
    return long_enough and all(each.area >= least for each in pieces)


def _is_part(blob: Blob, usual: Usual) -> bool:
    if max(blob.right - blob.left, blob.bottom - blob.top) < usual.smallest:
        return False
    return blob.area >= CRUMB * usual.area and blob.thickness >= THIN * usual.thickness
