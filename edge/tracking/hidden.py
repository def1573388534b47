"""Where the belt cannot be seen: under a bar or a cable things go in and come out, and between show nothing."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.domain import Image

SHOWS = 60.0
"""Evidence (0 to 255) from which on something passes a spot."""
REMEMBERED = 3.0
"""Pictures of belt over which it is counted how often something passes."""
WIDEST = 0.2
"""What hides the belt is no longer than this share of the picture."""
PASSED = 0.06
"""Something must have passed on both sides for so large a share of a picture of belt."""
SELDOM = 0.25
"""A spot is hidden when it shows something for less than this share of what passes on both sides of it."""
EVERY = 0.05
"""It is asked again after this share of a picture of belt."""
SOLID = np.ones((3, 2), np.uint8)
"""What hides is at least so large."""


class Hidden:
    """Counts for each spot of the picture how much belt passed while it showed something."""

    def __init__(self, along: int, across: int) -> None:
        self._shown: NDArray[np.float32] = np.zeros((across, along), dtype=np.float32)
        self._along = along
        self._span = max(3, round(WIDEST * along))
        self._widest = np.ones((1, self._span), np.uint8)
        self._unasked = 0.0
        self.visible: NDArray[np.uint8] | None = None
        """Not 0 where the belt can be seen; `None` while that is everywhere."""

    def see(self, evidence: Image, displacement: float) -> None:
        """Take one look, `(across, along)`, after the belt moved on by so many of its pixels."""
        if displacement <= 0:
            return
        shows = cv2.threshold(evidence, SHOWS, 1.0, cv2.THRESH_BINARY)[1]
        cv2.accumulateWeighted(shows, self._shown, min(1.0, displacement / (REMEMBERED * self._along)))
        self._unasked += displacement
        if self._unasked >= EVERY * self._along:
            self._unasked = 0.0
            self._ask()

    def _ask(self) -> None:
        level = np.asarray(cv2.convertScaleAbs(self._shown, alpha=255.0 * REMEMBERED), dtype=np.uint8)
        padded = cv2.copyMakeBorder(level, 0, 0, self._span, self._span, cv2.BORDER_CONSTANT, value=0)
        closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, self._widest)
        around = closed[:, self._span : -self._span]
        # Less than a share of what is around, and that is more than little.
        seldom = np.maximum(cv2.convertScaleAbs(level, alpha=1 / SELDOM), np.uint8(255 * PASSED))
        hidden = cv2.compare(around, seldom, cv2.CMP_GT)
        if cv2.countNonZero(hidden):
            hidden = cv2.morphologyEx(hidden, cv2.MORPH_OPEN, SOLID)
        self.visible = np.asarray(cv2.bitwise_not(hidden), dtype=np.uint8) if cv2.countNonZero(hidden) else None
