"""What comes between the camera and the belt: a fixed bar, and a person's arm."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import PCG64, Generator
from numpy.typing import NDArray

Gray = NDArray[np.uint8]

VISIT_S = 7.0
"""In every stretch of so many seconds an arm comes once."""
MOVING_S = 0.4
"""So long it takes to come, and to go."""
GRASP_S = 0.5
"""A hand comes and goes in this time when it takes a part."""


class Bar:
    """Something fixed across the belt, an eighth of a part wide or a little more."""

    def __init__(self, along_px: int, part_px: float, seed: int) -> None:
        chance = Generator(PCG64([seed, 0xBA4]))
        self._left = round(along_px * float(chance.uniform(0.2, 0.8)))
        self._right = self._left + max(4, round(part_px * float(chance.uniform(0.12, 0.3))))
        self._tone = int(chance.integers(90, 200))

    def cover(self, picture: Gray) -> None:
        """Paint it."""
        picture[:, self._left : self._right] = self._tone
        picture[:, self._left : self._left + 2] = self._tone // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """An arm that reaches in from the side at which rows begin."""

    along_px: float
    across_px: float
    """Where its fingertips are."""
    width_px: float

    def cover(self, picture: Gray) -> None:
        """Paint it: a sleeve, a bare hand, and fingers."""
        x, y, half = round(self.along_px), round(self.across_px), max(3, round(self.width_px / 2))
        if y <= 0:
            return
        wrist = y - 3 * half
        cv2.rectangle(picture, (x - half, -1), (x + half, max(-1, wrist)), 96, cv2.FILLED)
        cv2.rectangle(picture, (x - half // 2, -1), (x - half // 4, max(-1, wrist)), 70, cv2.FILLED)
        cv2.circle(picture, (x, y - 2 * half), round(1.1 * half), 172, cv2.FILLED)
        for finger in range(-2, 3):
            tip = x + finger * half // 2, y - abs(finger) * half // 4
            cv2.line(picture, (x + finger * half // 3, y - 2 * half), tip, 160 + 8 * finger, max(2, half // 3))


class Visitor:
    """An arm that comes over the belt once in a while, stays, wanders and goes."""

    def __init__(self, along_px: int, across_px: int, part_px: float, speed_px_s: float, seed: int) -> None:
        self._along, self._across, self._part, self._speed = along_px, across_px, part_px, speed_px_s
        self._seed = seed

    def at(self, at_s: float) -> Reach | None:
        """The arm at this moment, if it is there."""
        visit, since_s = divmod(at_s, VISIT_S)
        chance = Generator(PCG64([self._seed, int(visit), 0xA12]))
        since_s -= float(chance.uniform(0.5, 2.5))
        stay_s = float(chance.uniform(0.3, 3.0))
        if not 0 <= since_s <= stay_s + 2 * MOVING_S:
            return None
        out = min(1.0, since_s / MOVING_S, (stay_s + 2 * MOVING_S - since_s) / MOVING_S)
        drift_px_s = float(chance.uniform(-0.6, 0.6)) * self._speed
        return Reach(
            along_px=self._along * float(chance.uniform(0.15, 0.85)) + drift_px_s * since_s,
            across_px=out * self._across * float(chance.uniform(0.4, 1.1)),
            width_px=self._part * float(chance.uniform(0.4, 0.9)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Grasp:
    """A hand that fetches one part."""

    grasped_s: float
    seconds: float
    """So long it comes, and so long it goes."""
    along_px: float
    across_px: float
    """Where the part's centre is when it is grasped."""
    part_px: float

    def shift(self, at_s: float) -> float | None:
        """How far the part has been drawn to the side; `None` when it is out of the picture."""
        gone = (at_s - self.grasped_s) / self.seconds
        return None if gone > 1 else max(0.0, gone) * (self.across_px + self.part_px)

    def reach(self, at_s: float, place_px: float) -> Reach | None:
        """The hand, which follows the part, now at `place_px` along the belt, until it is grasped."""
        after = (at_s - self.grasped_s) / self.seconds
        if not -1 <= after <= 1:
            return None
        return Reach(
            along_px=place_px if after < 0 else self.along_px,
            across_px=(self.across_px + 0.5 * self.part_px) * (1 - abs(after)),
            width_px=0.5 * self.part_px,
        )
