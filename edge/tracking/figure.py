"""Figure or ground: where parts that touch all round hide most of the belt, the belt is what is seen between."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.tracking.blobs import Usual
from edge.tracking.field import field_of

Levels = NDArray[np.uint8]
Float = NDArray[np.float32]

NEAR = 20
"""What differs by no more grey levels than this is the same level."""
SMOOTH, TRIED = 11, 3
"""So many of the commonest levels are tried."""
LEAST, MOST = 0.05, 0.55
"""Belt between parts is this share of all that moves; a pixel that shows it in fewer looks is not relied on."""
ASKED, AGREED, FEWEST = 6, 4, 6
"""So many looks are asked; in so many of them nearly all that is not belt must be so many equal parts."""


def between(levels: Levels, moving: NDArray[np.bool_]) -> tuple[Float, NDArray[np.bool_]] | None:
    """The belt between parts, and where it was seen often enough; `None` where parts do not hide most of it.

    `levels`: `(looks, across, along)` luma; `moving`: `(across, 1)`, rows that go with the belt.
    """
    rows = levels[:, moving[:, 0]].reshape(-1, levels.shape[2])
    counts = counted(rows) / np.float32(max(1, rows.size))
    for _ in range(TRIED):
        level = int(np.argmax(np.convolve(counts, np.ones(SMOOTH), mode="same")))
        around = slice(max(0, level - NEAR), level + NEAR + 1)
        share, counts[around] = float(counts[around].sum()), 0
        if LEAST < share < MOST and _is_between(levels, level, moving):
            near = _is_near(levels, level)
            seen = near.sum(axis=0, dtype=np.float32)
            mean = (levels * near).sum(axis=0, dtype=np.float32) / np.maximum(seen, 1)
            sure = seen >= max(2, LEAST * len(levels))
            return np.where(sure, mean, np.float32(level)).astype(np.float32), sure
    return None


def counted(levels: Levels) -> Float:
    """How often each level occurs in a picture, `(256,)`; exact up to 16 million pixels."""
    if not levels.size:
        return np.zeros(256, dtype=np.float32)
    return np.asarray(cv2.calcHist([levels], [0], None, [256], [0, 256])[:, 0], dtype=np.float32)


def _is_near(levels: Levels, level: int) -> NDArray[np.bool_]:
    return (levels >= max(0, level - NEAR)) & (levels <= min(255, level + NEAR))


def _is_between(levels: Levels, level: int, moving: NDArray[np.bool_]) -> bool:
    """Whether what is not this level falls, in most looks, into equal parts that touch."""
    picked = np.unique(np.linspace(0, len(levels) - 1, ASKED).astype(int))
    votes = 0
    for index in picked:
        parts = np.where(_is_near(levels[index], level) | ~moving, 0, 255).astype(np.uint8)[::2, ::2]
        parts = np.asarray(cv2.morphologyEx(parts, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)), dtype=np.uint8)
        votes += len(field_of(parts, 0, 0, Usual(), parts.size)) >= FEWEST
    return votes >= AGREED
