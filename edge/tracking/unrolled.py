"""The belt unrolled: what each spot of the belt showed over all its looks, carried along as the belt moves."""

from __future__ import annotations

from collections import deque
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.domain import Image
from edge.tracking.blobs import SQUARE, Blob, Group, Mask
from edge.tracking.hidden import Hidden

MEMORY = 0.25
"""How much the newest look weighs: about four looks decide, so flicker and standing ghosts fade."""
FIRST = 0.6
"""How far the first look at a fresh stretch of belt is believed."""
CLAIMS_KEPT = 512


class Unrolled:
    """Evidence and claims for the stretch of belt that is in the picture.

    Blobs are in belt coordinates: along the belt, `whole` less than their place in the picture.
    """

    def __init__(self, along: int, across: int, hidden: Hidden) -> None:
        self.evidence: NDArray[np.float32] = np.zeros((across, along), dtype=np.float32)
        self.claimed: NDArray[np.uint8] = np.zeros((across, along), dtype=np.uint8)
        self.hidden = hidden
        self.position = 0.0
        self.whole = 0
        self._fresh = along
        self._moved = 0.0
        self._farthest = 0
        self._claims: deque[Blob] = deque(maxlen=CLAIMS_KEPT)

    @property
    def behind(self) -> int:
        """How far the belt has gone back from where it was farthest."""
        return self._farthest - self.whole

    def move(self, displacement: float) -> None:
        """Carry everything along by `displacement` pixels (signed), after the first look."""
        self.position += displacement
        self._moved = displacement
        step = round(self.position) - self.whole
        self.whole += step
        if not step:
            return
        self._fresh = step
        _shift(self.evidence, step)
        _shift(self.claimed, step)
        if self.whole - step < self._farthest:
            # The belt had gone back: what came into the picture again may have been handed out before.
            for blob in self._claims:
                self._paint(blob)
        self._farthest = max(self._farthest, self.whole)

    def see(self, evidence: Image) -> None:
        """Add one look; belt that just came into the picture has no history to be weighed against.

        Where the belt is hidden, what went in is carried on.
        """
        self.hidden.see(evidence, self._moved)
        cv2.accumulateWeighted(evidence, self.evidence, MEMORY, mask=self.hidden.visible)
        step = self._fresh
        if step:
            new = slice(0, step) if step > 0 else slice(step, None)
            self.evidence[:, new] = evidence[:, new] * np.float32(FIRST)
        self._fresh = 0

    def claim(self, blob: Blob) -> None:
        """Mark a blob as a part that has been handed out."""
        self._claims.append(blob)
        self._paint(blob)

    def is_claimed(self, group: Group, inside: Mask, spare: float) -> bool:
        """Whether all but `spare` pixels of a patch (in places of the picture) lie on parts that were handed out.

        A patch reaches a pixel farther than the shape that was cut from it.
        """
        left, top, right, bottom = group.rectangle
        claimed = self.claimed[top:bottom, left:right]
        total = cv2.countNonZero(inside)
        if not cv2.countNonZero(claimed):
            return total < spare
        within = cv2.countNonZero(cv2.bitwise_and(cv2.dilate(claimed, SQUARE), inside))
        return total - within < spare

    def claimed_share(self, blob: Blob) -> float:
        """How much of a blob lies on parts that have been handed out, 0 to 1."""
        window, shape = self._window(self.claimed, blob)
        if not shape.size or not cv2.countNonZero(window):
            return 0.0
        return float(cv2.countNonZero(cv2.bitwise_and(window, shape))) / max(1, cv2.countNonZero(shape))

    def has_claim_at(self, center: tuple[float, float], room: float) -> bool:
        """Whether the centre of a part that was handed out lies within `room` of this one, along and across."""
        along, across = center
        centers = (each.center for each in self._claims)
        return any(abs(x - along) < room and abs(y - across) < room for x, y in centers)

    def covered(self, blob: Blob) -> float:
        """How much of a blob still shows something or was handed out, 0 to 1."""
        evidence, shape = self._window(self.evidence, blob)
        claimed, _ = self._window(self.claimed, blob)
        there = ((evidence > 50) | (claimed > 0)) & (shape > 0)
        return float(np.count_nonzero(there)) / max(1, np.count_nonzero(shape))

    def strength(self, blob: Blob) -> float:
        """How much stands out under a blob, on average, 0 to 255."""
        evidence, shape = self._window(self.evidence, blob)
        return float(cv2.mean(evidence, mask=np.ascontiguousarray(shape))[0]) if shape.size else 0.0

    def _paint(self, blob: Blob) -> None:
        window, shape = self._window(self.claimed, blob)
        np.maximum(window, shape, out=window)

    def _window(self, layer: NDArray[Any], blob: Blob) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        """The part of a layer under a blob, and the blob's shape there."""
        left = blob.left + self.whole
        begin, end = max(0, left), min(blob.right + self.whole, layer.shape[1])
        if begin >= end:
            return layer[:0, :0], blob.shape[:0, :0]
        return layer[blob.top : blob.bottom, begin:end], blob.shape[:, begin - left : end - left]


def _shift(layer: NDArray[Any], step: int) -> None:
    """Move everything in a layer `step` columns along; what is uncovered becomes 0."""
    if step > 0:
        layer[:, step:] = layer[:, :-step].copy()
        layer[:, :step] = 0
    else:
        layer[:, :step] = layer[:, -step:].copy()
        layer[:, step:] = 0
