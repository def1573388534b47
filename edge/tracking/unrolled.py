"""The belt unrolled: what each spot of the belt showed over all its looks, carried along as the belt moves."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.domain import Image

MEMORY = 0.2
"""How much the newest look weighs: about five looks decide, so flicker and standing ghosts fade."""


class Unrolled:
    """Evidence and claims for the stretch of belt that is in the picture, in belt coordinates."""

    def __init__(self, along: int, across: int) -> None:
        self.evidence: NDArray[np.float32] = np.zeros((across, along), dtype=np.float32)
        self.claimed: NDArray[np.uint8] = np.zeros((across, along), dtype=np.uint8)
        self.position = 0.0
        self._whole = 0
        self._fresh = 0

    def move(self, displacement: float) -> None:
        """Carry everything along by `displacement` small pixels (signed)."""
        self.position += displacement
        step = round(self.position) - self._whole
        self._whole += step
        if step:
            self.evidence = _shifted(self.evidence, step)
            self.claimed = _shifted(self.claimed, step)
            self._fresh = step
        else:
            self._fresh = 0

    def see(self, evidence: Image) -> None:
        """Add one look; belt that just came into the picture takes it as it is."""
        cv2.accumulateWeighted(evidence, self.evidence, MEMORY)
        step = self._fresh
        if step > 0:
            self.evidence[:, :step] = evidence[:, :step]
        elif step < 0:
            self.evidence[:, step:] = evidence[:, step:]

    def claim(self, left: int, top: int, shape: NDArray[np.uint8]) -> None:
        """Mark a shape as a part that has been handed out."""
        height, width = shape.shape
        window = self.claimed[top : top + height, left : left + width]
        np.maximum(window, shape, out=window)

    def claimed_share(self, left: int, top: int, shape: NDArray[np.uint8]) -> float:
        """How much of a shape lies on parts that have been handed out, 0 to 1."""
        height, width = shape.shape
        window = self.claimed[top : top + height, left : left + width]
        return float(np.count_nonzero(window & shape)) / max(1, np.count_nonzero(shape))

    def covered(self, left: int, top: int, shape: NDArray[np.uint8]) -> float:
        """How much of a shape still shows something or was handed out, 0 to 1."""
        height, width = shape.shape
        begin, end = max(0, left), min(left + width, self.evidence.shape[1])
        if begin >= end:
            return 0.0
        own = shape[:, begin - left : end - left]
        there = (self.evidence[top : top + height, begin:end] > 64) | (self.claimed[top : top + height, begin:end] > 0)
        return float(np.count_nonzero(there & (own > 0))) / max(1, np.count_nonzero(own))


def _shifted(layer: NDArray[np.float32] | NDArray[np.uint8], step: int) -> NDArray[Any]:
    out = np.zeros_like(layer)
    if abs(step) >= layer.shape[1]:
        return out
    if step > 0:
        out[:, step:] = layer[:, :-step]
    else:
        out[:, :step] = layer[:, -step:]
    return out
