"""Belts full of parts that touch all round, as eggs do on their way to the grader; drawn here, not by the simulator."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from edge.domain import Frame

WIDTH_PX, HEIGHT_PX, FPS, SPEED_PX_S = 320, 240, 30, 90.0
ROLLER_PX, ROLLER_SHADE = 20, 0.7


class Field:
    """Lanes of ellipses of different tone and tilt on dark rollers, moving to the right."""

    def __init__(self, seed: int, *, seconds: float, lanes: int, filled: float) -> None:
        """`filled`: the share of places that hold one."""
        self._rng = np.random.default_rng(seed)
        self._count = int(seconds * FPS)
        length = int(SPEED_PX_S * seconds) + 2 * WIDTH_PX
        self._belt = 55 + self._rng.normal(0, 4, (HEIGHT_PX, length)).astype(np.float32)
        for begin in range(0, length, ROLLER_PX):
            self._belt[:, begin : begin + ROLLER_PX // 3] *= ROLLER_SHADE
        self._centers: list[float] = []
        high = HEIGHT_PX / lanes / 2
        for lane in range(lanes):
            along = max(2 * high, self._rng.uniform(0.2, 0.4) * WIDTH_PX)
            while along < length - 3 * high:
                if self._rng.random() < filled:
                    self._lay(along, (lane + 0.5) * 2 * high, high)
                along += 1.56 * high * self._rng.uniform(1.0, 1.06)

    def _lay(self, along: float, across: float, high: float) -> None:
        left, room = int(along - 2 * high), int(4 * high)
        size = 1.56 * high * self._rng.uniform(0.9, 1.05), 2 * high * self._rng.uniform(0.9, 1.0)
        shape = np.zeros((HEIGHT_PX, room), np.float32)
        center = along - left, across + self._rng.uniform(-2, 2)
        cv2.ellipse(shape, (center, size, self._rng.uniform(-25, 25)), 1, -1, cv2.LINE_AA)
        rows, columns = np.mgrid[0:HEIGHT_PX, 0:room]
        away = ((columns - center[0]) / size[0] * 2) ** 2 + ((rows - center[1]) / size[1] * 2) ** 2
        tone = self._rng.uniform(150, 225) * (1 - 0.35 * np.clip(away, 0, 1))
        window = self._belt[:, left : left + room]
        window += (tone - window) * shape
        self._centers.append(along)

    def frames(self) -> Iterator[Frame]:
        """Gray, with some noise."""
        for index in range(self._count):
            at = SPEED_PX_S * index / FPS
            whole, part = int(at), at - int(at)
            first, second = (self._belt[:, whole + i : whole + i + WIDTH_PX] for i in (0, 1))
            seen = (first * (1 - part) + second * part)[:, ::-1] + self._rng.normal(0, 3, (HEIGHT_PX, WIDTH_PX))
            yield Frame(image=np.clip(seen, 0, 255).astype(np.uint8), index=index, at_s=index / FPS)

    @property
    def crossings(self) -> list[float]:
        """When each centre is at the middle of the picture, in s."""
        times = ((center - WIDTH_PX / 2 + 1) / SPEED_PX_S for center in self._centers)
        return sorted(at_s for at_s in times if 0 < at_s < self._count / FPS)
