"""What the empty belt looks like, pixel by pixel, and how far a frame stands out from it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.domain import Image

FULL = 255
"""Evidence of a pixel that surely is no belt."""


class EmptyBelt:
    """A running picture of the empty belt, corrected for the exposure of each frame."""

    def __init__(self, looks: list[Image]) -> None:
        stack = np.stack(looks)
        self._empty = _most_frequent(stack)
        self._noise = self._measured(stack)
        self._still: NDArray[np.float32] = np.zeros(stack.shape[1:], dtype=np.float32)

    def evidence(self, look: Image) -> tuple[Image, NDArray[np.uint8]]:
        """`(evidence 0 to 255, contrast)`; contrast is the look minus the empty belt, around 128."""
        gain = self._gain(look)
        empty = cv2.convertScaleAbs(self._empty, alpha=gain)
        difference = cv2.absdiff(look, empty)
        low = 2.5 * self._noise
        scale = FULL / (2 * low)
        grey = cv2.convertScaleAbs(np.maximum(difference, int(low)), alpha=scale, beta=-scale * int(low))
        contrast = cv2.addWeighted(look, 0.5, empty, -0.5, 128)
        return np.asarray(grey, dtype=np.uint8), np.asarray(contrast, dtype=np.uint8)

    def learn(self, look: Image, free: NDArray[np.uint8], rate: float) -> None:
        """Let the picture follow the frame where `free` is not 0."""
        cv2.accumulateWeighted(look, self._empty, rate, mask=free)

    def absorb(self, look: Image, before: Image, moved: float, limit: float) -> None:
        """Take over what stood still while the belt moved `limit` under it: a stain, a tool, a shadow."""
        same = cv2.threshold(cv2.absdiff(look, before), 3 * self._noise, 1, cv2.THRESH_BINARY_INV)[1]
        self._still = np.asarray((self._still + np.float32(moved)) * same, dtype=np.float32)
        _, stuck = cv2.threshold(self._still, limit, 1, cv2.THRESH_BINARY)
        cv2.accumulateWeighted(look, self._empty, 0.2, mask=stuck.astype(np.uint8))

    def _gain(self, look: Image) -> float:
        seen = look[4::8, 4::8].astype(np.float32)
        empty = self._empty[4::8, 4::8]
        ratio = (seen + 4) / (empty + 4)
        return float(np.clip(np.median(ratio), 0.4, 2.5))

    @staticmethod
    def _measured(stack: NDArray[np.uint8]) -> float:
        steps = np.abs(np.diff(stack[:, ::4, ::4].astype(np.float32), axis=0))
        return float(np.clip(np.median(steps) * 1.4826 * 1.5, 3.0, 20.0))


def _most_frequent(stack: NDArray[np.uint8]) -> NDArray[np.float32]:
    """For each pixel the level that recurs; where two do, the one that is common on the belt around it.

    A lane crowded with parts of one colour shows the part more often than the belt; the picture as a whole does not.
    """
    shape = stack.shape[1:]
    first, second = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32)
    most, next_most = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32)
    for low in range(0, 256, 12):
        inside = (stack >= low) & (stack < low + 18)
        count = inside.sum(axis=0, dtype=np.float32)
        if not count.any():
            continue
        mean = (stack * inside).sum(axis=0, dtype=np.float32) / np.maximum(count, 1)
        same = np.abs(mean - first) < 14
        best = count > most
        moved = best & ~same
        second[moved], next_most[moved] = first[moved], most[moved]
        first[best], most[best] = mean[best], count[best]
        runner = ~best & ~same & (count > next_most)
        second[runner], next_most[runner] = mean[runner], count[runner]
    common = _common(stack)
    rival = next_most > 0.12 * len(stack)
    swap = rival & (np.abs(second - common) < np.abs(first - common))
    return np.where(swap, second, first).astype(np.float32)


def _common(stack: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The commonest level around each column, over all rows and looks: `(1, along)`."""
    along = stack.shape[2]
    levels = np.zeros((1, along), dtype=np.float32)
    for begin in range(0, along, 20):
        strip = stack[:, :, max(0, begin - 10) : begin + 30]
        counts = np.bincount(strip.ravel(), minlength=256).astype(np.float32)
        levels[0, begin : begin + 20] = int(np.argmax(np.convolve(counts, np.ones(11), mode="same")))
    return levels
