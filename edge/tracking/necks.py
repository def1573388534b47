"""Where a shape is narrow it can be cut: the pieces between its necks, or between the valleys of a row."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.tracking.blobs import Blob, Evidence, Mask, blob_of, measured

NECK = 0.75
"""Parts touch where a shape is narrower than this share of its thickness, once the usual size is known."""
ALIKE = 1.6
"""Pieces of a row differ by less than this factor in area."""
ROW = 0.7
"""So much of a row is pieces that are alike; what is left over is coming in, or broken off."""
HIGHEST, LOWEST, LEVELS = 0.97, 0.25, 16
"""Necks in a field are looked for at so many depths, of the deepest."""


def row_of_equals(pieces: list[Blob]) -> list[Blob]:
    """Those of the pieces that are alike, if they are several and nearly all there is."""
    if len(pieces) < 3:
        return []
    middle = sorted(each.area for each in pieces)[len(pieces) // 2]
    alike = [each for each in pieces if each.area < ALIKE * middle < ALIKE * ALIKE * each.area]
    nearly_all = sum(each.area for each in alike) >= ROW * sum(each.area for each in pieces)
    return alike if len(alike) >= 2 and nearly_all else []


def at_valleys(shape: Mask, left: int, top: int, count: int) -> list[Blob]:
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
            pieces.append(measured(piece, left, top))
    return pieces


def at_necks(padded: Mask, depth: Evidence, neck: float, left: int, top: int) -> list[Blob]:
    """The pieces of a shape that hang together only where it is narrower than `neck` of its thickness."""
    return grown(padded, depth, *cores(depth, neck), left, top)


def grown(padded: Mask, depth: Evidence, cores: NDArray[np.int32], count: int, left: int, top: int) -> list[Blob]:
    """The pieces of a shape around these cores, numbered from 1."""
    if count < 2:
        return []
    markers = cores.copy()
    markers[padded == 0] = count + 1
    grown = cv2.watershed(cv2.cvtColor(padded, cv2.COLOR_GRAY2BGR), markers)[1:-1, 1:-1]
    pieces = [np.where(grown == each, 255, 0).astype(np.uint8) for each in range(1, count + 1)]
    return [blob_of(piece, left, top, 2 * float(depth[cores == i + 1].max())) for i, piece in enumerate(pieces)]


def cores(depth: Evidence, neck: float) -> tuple[NDArray[np.int32], int]:
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


def summits(depth: Evidence) -> tuple[NDArray[np.int32], int]:
    """As `cores`, for many parts of which each has necks of its own: `(one pixel of each, labelled; how many)`."""
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
