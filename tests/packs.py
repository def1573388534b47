"""A belt with coloured packs longer than half of the picture, filmed by hand; drawn here, not by the simulator."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.domain import Frame

WIDTH_PX, HEIGHT_PX, FPS, SPEED_PX_S = 320, 240, 25, 180.0
LONG_PX, HIGH_PX = 240, 130
SHAKE_PX = 7.0


class Packs:
    """Textured packs with a plain label, moving to the right; one lies over half of the picture at the start."""

    def __init__(self, seed: int, *, seconds: float) -> None:
        rng = np.random.default_rng(seed)
        self._count, self._seed = int(seconds * FPS), seed
        length = int(SPEED_PX_S * seconds) + 3 * WIDTH_PX
        self._belt = np.full((HEIGHT_PX, length, 3), 110, np.float32) + rng.normal(0, 3, (HEIGHT_PX, length, 1))
        self._centers: list[float] = []
        center, hue = 0.7 * WIDTH_PX, rng.uniform(0, 180)
        while center < length - 2 * WIDTH_PX:
            left, top = int(center - LONG_PX / 2), int(rng.uniform(0.2, 0.3) * HEIGHT_PX)
            window = self._belt[top : top + HIGH_PX, left : left + LONG_PX]
            window[:] = _pack(rng, hue)[:, -window.shape[1] :]
            self._centers.append(left + LONG_PX / 2)
            center += LONG_PX * rng.uniform(1.2, 1.8)
        self._belt = cv2.GaussianBlur(self._belt, (0, 0), 1.5)

    def frames(self) -> Iterator[Frame]:
        """BGR, with some noise."""
        noise = np.random.default_rng(self._seed)
        for index in range(self._count):
            by = np.array([[1, 0, self._along(index)], [0, 1, self._across(index)]], dtype=np.float32)
            seen = cv2.warpAffine(self._belt, by, (WIDTH_PX, HEIGHT_PX), borderMode=cv2.BORDER_REPLICATE)[:, ::-1]
            noisy = seen + noise.normal(0, 3, (HEIGHT_PX, WIDTH_PX, 1))
            yield Frame(image=np.clip(noisy, 0, 255).astype(np.uint8), index=index, at_s=index / FPS)

    @property
    def crossings(self) -> list[float]:
        """When each centre first is at the middle of the picture, in s."""
        moves = np.array([self._along(index) for index in range(self._count)])
        beyond = [np.flatnonzero(center + moves <= WIDTH_PX / 2) for center in self._centers]
        return [float(each[0]) / FPS for each in beyond if len(each) and each[0] > 0]

    @staticmethod
    def _along(index: int) -> float:
        return float(SHAKE_PX * np.sin(index / 4) - SPEED_PX_S * index / FPS)

    @staticmethod
    def _across(index: int) -> float:
        return float(SHAKE_PX * np.sin(index / 5 + 2))


def _pack(rng: np.random.Generator, hue: float) -> NDArray[np.float32]:
    grain = cv2.GaussianBlur(rng.normal(0, 1, (2, HIGH_PX, LONG_PX)).transpose(1, 2, 0), (0, 0), 5)
    grain /= grain.std()
    bright = np.clip(130 + 30 * grain[..., 0], 20, 250)
    hsv = np.dstack([(hue + 8 * grain[..., 1]) % 180, np.full_like(bright, 120), bright]).astype(np.uint8)
    pack = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    pack[HIGH_PX // 4 : HIGH_PX // 2, LONG_PX // 5 : 3 * LONG_PX // 5] = rng.uniform(0, 255, 3)
    return np.asarray(pack, dtype=np.float32)
