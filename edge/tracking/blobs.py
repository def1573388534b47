"""From evidence on the unrolled belt to single parts: outlines, filled, and cut where two parts touch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from statistics import median
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.tracking.pattern import Pattern

Mask = NDArray[np.uint8]
Evidence = NDArray[np.float32]

LITTLE, MUCH = 60.0, 140.0
"""Evidence (0 to 255) that a shape reaches out to, and that it must hold somewhere."""
OWN = 0.4
"""A shape ends where the evidence falls below this share of its own."""
NECK, DEEP_NECK = 0.75, 0.5
"""Parts touch where a shape is narrower than this share of its thickness: once the usual size is known, and before."""
ALIKE = 1.6
"""Pieces of a row differ by less than this factor in area."""
ROW = 0.7
"""So much of a row is pieces that are alike; what is left over is coming in, or broken off."""
FIELD, FEWEST, GAPS = 0.2, 4, 0.03
"""A field of parts that touch all round takes up at least this share of the picture, holds so many, and leaves gaps of
this share between them."""
MANY = 6
"""While the usual part is unknown they must be so many: one part with vanes or ribs has some that are alike, too."""
HIGHEST, LOWEST, LEVELS = 0.97, 0.25, 16
"""Necks in a field are looked for at so many depths, of the deepest."""
HOLLOW, SPECK = 0.65, 6
"""A gap fills less than this share of its hull, and has more pixels than a speck."""
LUMP = 1.35
"""Only what is larger than the usual part by this factor may be several parts."""
SURELY_SEVERAL = 1.6
"""Where all parts are equal, what is larger by this factor is cut even without a neck."""
CRUMB = 0.25
"""What is smaller than this share of its neighbour, or of the usual part, is no part."""
THIN = 0.35
"""What is thinner than this share of the usual part is a seam, a scratch of the belt or a reflection."""
HOLE = 0.05
"""Holes are filled up to the size of the usual part, or to this share of the picture while that is unknown."""


SQUARE, WIDE = np.ones((3, 3), np.uint8), np.ones((5, 5), np.uint8)


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
        center = self.center[0] + along, self.center[1]
        return replace(self, left=self.left + along, right=self.right + along, center=center)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
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


def split(group: Group, evidence: Evidence, usual: Usual) -> list[Blob]:
    """The parts in a group: what stands out as much as the clearest of it, then what is left over."""
    left, top, right, bottom = group.rectangle
    window = evidence[top:bottom, left:right]
    here = cv2.bitwise_and(window, window, mask=filled(group))
    hole = usual.area if usual.settled else HOLE * evidence.size
    beside = top == 0 or bottom == evidence.shape[0]
    if beside:
        # An arm reaches in from a side; it must not be cut into parts because it is as large as some.
        usual = replace(usual, uniform=False, pattern=None)
    found: list[Blob] = []
    for _ in range(3):
        level = cv2.minMaxLoc(here)[1]
        if level < MUCH:
            break
        strong = _white(here > max(LITTLE, OWN * level))
        field = field_of(strong, left, top, usual, evidence.size)
        if field:
            return field
        solid = _solid(strong, hole, usual.thickness)
        for shape, x, y in _pieces(solid):
            found.extend(each for each in _cut(shape, left + x, top + y, usual) if _is_part(each, usual))
        taken = cv2.dilate(cv2.max(strong, solid), WIDE)
        here = cv2.bitwise_and(here, here, mask=cv2.bitwise_not(taken))
    largest = max((each.area for each in found), default=0)
    return [replace(each, beside=beside) for each in found if each.area >= CRUMB * largest]


def field_of(strong: Mask, left: int, top: int, usual: Usual, picture: int) -> list[Blob]:
    """The parts of a field of them that touch all round, as eggs do; empty when it is none."""
    if strong.size < FIELD * picture:
        return []
    filled, gaps = _without_holes(strong)
    if gaps < GAPS * cv2.countNonZero(filled):
        return []
    # The smallest gaps look like holes, and holes like gaps: whichever makes equal parts is right.
    return _equals(strong, left, top, usual) or _equals(filled, left, top, usual)


def _equals(shape: Mask, left: int, top: int, usual: Usual) -> list[Blob]:
    """The parts of a field, if nearly all of it falls into equal ones."""
    padded = np.asarray(cv2.copyMakeBorder(shape, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0), dtype=np.uint8)
    depth = np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, 3), dtype=np.float32)
    pieces = _grown(padded, depth, *_summits(depth), left, top)
    alike = _row_of_equals(pieces)
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
        hole = _white(labels[window] == each)
        if area > SPECK and area < HOLLOW * _hull(hole):
            gaps += area
        elif left > 0 and top > 0 and left + width < strong.shape[1] and top + height < strong.shape[0]:
            filled[window] |= hole
    return filled, gaps


def _hull(shape: Mask) -> int:
    """Pixels of the smallest shape without hollow sides around this one."""
    corners = cv2.convexHull(np.vstack(cv2.findContours(shape, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]))
    return int(cv2.countNonZero(cv2.fillConvexPoly(np.zeros_like(shape), corners, 255)))


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
        left, top, width, height, _ = (int(number) for number in stats[each])
        window = np.s_[top : top + height, left : left + width]
        # The only piece is all there is: no need to tell it from others.
        found.append((solid[window] if count == 2 else _white(labels[window] == each), left, top))
    return found


def _white(chosen: NDArray[np.bool_]) -> Mask:
    """255 where chosen. OpenCV's `compare` would take a picture of one or four pixels for a number."""
    return chosen.view(np.uint8) * np.uint8(255)


@lru_cache(maxsize=64)
def _square(side: int) -> Mask:
    return np.ones((side, side), np.uint8)


def _cut(shape: Mask, left: int, top: int, usual: Usual) -> list[Blob]:
    """Cut a shape at its necks, unless that leaves something too small to be a part."""
    padded = np.asarray(cv2.copyMakeBorder(shape, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0), dtype=np.uint8)
    depth = np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, 3), dtype=np.float32)
    whole = [_blob(shape, left, top, 2 * cv2.minMaxLoc(depth)[1])]
    if usual.settled:
        if whole[0].area < LUMP * usual.area:
            return whole
        pieces = [_measured(each, left, top) for each in (usual.pattern.cut(shape) if usual.pattern else ())]
        if _are_parts(pieces, usual, 0.0):
            return pieces
        pieces = _at_necks(padded, depth, NECK, left, top)
        if _are_parts(pieces, usual, 0.4 * usual.area):
            return [part for each in pieces for part in _cut(each.shape, each.left, each.top, usual)]
        if whole[0].area > FEWEST * usual.area and (equals := _equals(shape, left, top, usual)):
            return equals
        if usual.uniform and whole[0].area > SURELY_SEVERAL * usual.area:
            return _at_valleys(shape, left, top, round(whole[0].area / usual.area))
        return whole
    # A row of equal pieces is a row of parts even where the necks are wide; the last may still be coming in.
    pieces = _at_necks(padded, depth, NECK, left, top)
    row = _row_of_equals(pieces)
    if _are_parts(row, usual, 0.0):
        return pieces
    several = len(pieces) == 2 and max(each.area for each in pieces) < ALIKE * min(each.area for each in pieces)
    pieces = _at_necks(padded, depth, DEEP_NECK, left, top)
    if _are_parts(pieces, usual, 0.0):
        return [part for each in pieces for part in _cut(each.shape, each.left, each.top, usual)]
    return [replace(whole[0], several=several)]


def _row_of_equals(pieces: list[Blob]) -> list[Blob]:
    """Those of the pieces that are alike, if they are several and nearly all there is."""
    if len(pieces) < 3:
        return []
    middle = sorted(each.area for each in pieces)[len(pieces) // 2]
    alike = [each for each in pieces if each.area < ALIKE * middle < ALIKE * ALIKE * each.area]
    nearly_all = sum(each.area for each in alike) >= ROW * sum(each.area for each in pieces)
    return alike if len(alike) >= 2 and nearly_all else []


def _at_valleys(shape: Mask, left: int, top: int, count: int) -> list[Blob]:
    """Cut a shape across its longer side where it is narrowest, into as many pieces as its area says."""
    along = shape.shape[1] >= shape.shape[0]
    profile = (shape > 0).sum(axis=0 if along else 1)
    length = len(profile)
    ends = [0]
    for each in range(1, count):
        low, high = round((each - 0.25) * length / count), round((each + 0.25) * length / count) + 1
        ends.append(low + int(np.argmin(profile[low:high])))
    pieces: list[Blob] = []
    for begin, end in pairwise([*ends, length]):
        piece = np.zeros_like(shape)
        window = np.s_[:, begin:end] if along else np.s_[begin:end, :]
        piece[window] = shape[window]
        if piece.any():
            pieces.append(_measured(piece, left, top))
    return pieces


def _measured(piece: Mask, left: int, top: int) -> Blob:
    depth = cv2.distanceTransform(cv2.copyMakeBorder(piece, 1, 1, 1, 1, cv2.BORDER_CONSTANT), cv2.DIST_L2, 3)
    return _blob(piece, left, top, 2 * float(depth.max()))


def _at_necks(padded: Mask, depth: Evidence, neck: float, left: int, top: int) -> list[Blob]:
    return _grown(padded, depth, *_cores(depth, neck), left, top)


def _grown(padded: Mask, depth: Evidence, cores: NDArray[np.int32], count: int, left: int, top: int) -> list[Blob]:
    """The pieces of a shape around these cores, numbered from 1."""
    if count < 2:
        return []
    markers = cores.copy()
    markers[padded == 0] = count + 1
    grown = cv2.watershed(cv2.cvtColor(padded, cv2.COLOR_GRAY2BGR), markers)[1:-1, 1:-1]
    pieces = [np.where(grown == each, 255, 0).astype(np.uint8) for each in range(1, count + 1)]
    return [_blob(piece, left, top, 2 * float(depth[cores == i + 1].max())) for i, piece in enumerate(pieces)]


def _are_parts(pieces: list[Blob], usual: Usual, least: float) -> bool:
    """Whether every piece of a cut is large enough to be a part of its own."""
    if not pieces:
        return False
    least = max(least, CRUMB * max(each.area for each in pieces))
    long_enough = all(max(each.right - each.left, each.bottom - each.top) >= usual.smallest for each in pieces)
    return long_enough and all(each.area >= least for each in pieces)


def _cores(depth: Evidence, neck: float) -> tuple[NDArray[np.int32], int]:
    """Label the inner parts of a shape that hang together only by necks; `(labels, how many)`."""
    deepest = float(depth.max())
    best: tuple[NDArray[np.int32], int] = np.zeros(depth.shape, dtype=np.int32), 1
    for share in (0.95, 0.8, 0.65, 0.5):
        level = share * neck * deepest
        count, labels = cv2.connectedComponents((depth > level).astype(np.uint8))
        peaks = np.zeros(count, dtype=np.float32)
        np.maximum.at(peaks, labels.ravel().astype(np.intp), depth.ravel())
        sure = [each for each in range(1, count) if level <= neck * peaks[each]]
        if len(sure) > best[1]:
            renamed = np.zeros(count, dtype=np.int32)
            renamed[sure] = np.arange(1, len(sure) + 1)
            best = renamed[labels], len(sure)
    return best


def _summits(depth: Evidence) -> tuple[NDArray[np.int32], int]:
    """As `_cores`, for many parts of which each has necks of its own: `(one pixel of each, labelled; how many)`."""
    found: list[tuple[float, int, int]] = []
    deepest = float(depth.max())
    for level in np.linspace(HIGHEST * deepest, LOWEST * deepest, LEVELS).tolist():
        count, labels = cv2.connectedComponents((depth > level).view(np.uint8))
        by_piece: dict[int, list[tuple[float, int, int]]] = {}
        for each in found:
            by_piece.setdefault(int(labels[each[1], each[2]]), []).append(each)
        for piece in range(1, count):
            if piece not in by_piece:
                _, peak, _, (column, row) = cv2.minMaxLoc(depth, (labels == piece).view(np.uint8))
                by_piece[piece] = [(peak, row, column)]
        # Where two meet, the lower one stands for itself only if there is a neck between.
        found = []
        for here in by_piece.values():
            highest = max(here)
            found.extend(each for each in here if each is highest or level <= NECK * each[0])
    markers = np.zeros(depth.shape, dtype=np.int32)
    for number, (_, row, column) in enumerate(found, start=1):
        markers[row, column] = number
    return markers, len(found)


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
