"""The belt unrolled: what each spot of the belt showed over all its looks, carried along as the belt moves."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.domain import Image

MEMORY = 0.2
"""How much the newest look weighs: about five looks decide, so flicker and standing ghosts fade."""


class Unrolled:
    """Evidence and claims for the stretch of belt that is in the picture, in belt coordinates."""

    def __init__(self, along: int, across: int) -> None:
        self.evidence = np.zeros((across, along), dtype=np.float32)
        self.claimed = np.zeros((across, along), dtype=np.uint8)
        self.position = 0.0
        self._whole = 0

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

    def mask(self) -> NDArray[np.uint8]:
        """255 where a part lies that nobody has claimed yet."""
        _, grey = cv2.threshold(self.evidence, 127.0, 255.0, cv2.THRESH_BINARY)
        return np.asarray(cv2.subtract(grey.astype(np.uint8), self.claimed), dtype=np.uint8)


def _shifted(layer: NDArray[np.float32] | NDArray[np.uint8], step: int) -> NDArray:
    out = np.zeros_like(layer)
    if abs(step) >= layer.shape[1]:
        return out
    if step > 0:
        out[:, step:] = layer[:, :-step]
    else:
        out[:, :step] = layer[:, -step:]
    return out
